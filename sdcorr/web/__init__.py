"""Scripts, styles and templates for the browser.

`pair.js` draws two pictures with their points joined and the attention maps behind each match, and `ballot.js` into
that what a consensus has weighed. The report embeds them and `style.css` in its page; the app serves them as files. The
other files here are of the report alone.
"""

from pathlib import Path

FOLDER = Path(__file__).parent


def asset(name: str) -> str:
    """Return the text of a file of this folder."""
    return (FOLDER / name).read_text(encoding="utf-8")
