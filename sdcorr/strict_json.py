"""JSON that people write, of which nothing is dropped without a word."""

from __future__ import annotations

import json
from typing import Any

SHOWN = 60  # letters of an object that is told


def loads(text: str, name: str) -> Any:
    """What a JSON text says.

    Args:
        text: of a file.
        name: of the file, for the complaint.

    Raises:
        ValueError: in one sentence, if it is not JSON, has half of a letter in it, which cannot be written again, or
            an object in it has a key twice, of which Python's own reader would keep the last.
    """
    try:
        plain = json.loads(text, object_pairs_hook=_once)
        if "\\ud" in text.lower():  # an escape of one of the two halves that some letters are written in
            json.dumps(plain, ensure_ascii=False).encode()
        return plain
    except UnicodeEncodeError as error:
        half = error.object[error.start : error.end].encode("ascii", "backslashreplace").decode()
        raise ValueError(f"{name} has half of a letter in it ({half})") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{name}:{error.lineno} is not JSON at character {error.colno} ({error.msg})") from None
    except (ValueError, RecursionError) as error:  # a key twice, a number of thousands of digits, lists in lists
        raise ValueError(f"{name} cannot be read ({error})") from None


def _once(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) < len(items):
        names = [name for name, _ in items]
        twice = next(name for name in names if names.count(name) > 1)
        start = json.dumps(dict(items[:3]))[:SHOWN].rstrip("}")
        raise ValueError(f"the key {twice!r} is there twice in the object that begins {start}")
    return found
