"""Scripts, styles and templates for the browser.

`pair.js` draws two pictures with their points joined and the attention maps behind each match. The report embeds it and
`style.css` in its page; the app serves both as files. The other files here are of the report alone.
"""

from pathlib import Path

FOLDER = Path(__file__).parent


def asset(name: str) -> str:
    """Return the text of a file of this folder."""
    return (FOLDER / name).read_text(encoding="utf-8")
