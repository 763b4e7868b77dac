"""What a browser shows: a pair of pictures whose points are joined, with the attention maps behind each match.

`pair.js` and `style.css` are used as they are by the report, which holds them, and by the app, which serves them.
"""

from pathlib import Path

FOLDER = Path(__file__).parent


def asset(name: str) -> str:
    """The text of a file of this folder."""
    return (FOLDER / name).read_text(encoding="utf-8")
