"""The counterparts that were found in a run, and not annotated: counterparts.json in its folder.

The file says so, and by which method and in how many pictures each was found; whoever scores by it says so too. Apart
from the finding (`sdcorr.run.counterparts`), so that scoring need not wait for torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sdcorr.errors import UserError
from sdcorr.files import write_whole

FILE = "counterparts.json"
FORMAT = "sdcorr counterparts 1"


@dataclass(frozen=True)
class FoundSides:
    """Two points that were found to be counterparts."""

    category: str
    names: tuple[str, str]
    found: int  # pictures in which they are each other's counterpart
    pictures: int  # that show both


def write_sides(folder: Path, found: Iterable[FoundSides], method: str) -> Path:
    """Writes the file, and returns its path.

    Args:
        folder: of the run.
        found: what `find_sides` gives.
        method: whose features it was found with.

    Raises:
        UserError: if the folder cannot be written.
    """
    path = folder / FILE
    told = {
        "format": FORMAT,
        "origin": "found, not annotated",
        "method": method,
        "pairs": [asdict(each) for each in found],
    }
    write_whole(path, json.dumps(told, indent=1) + "\n")
    return path


def read_sides(folder: Path) -> list[FoundSides]:
    """What was found in a run; nothing if nobody has looked.

    Raises:
        UserError: if the file is not one of this program.
    """
    path = folder / FILE
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] != FORMAT:
            raise ValueError(f"its format is not {FORMAT!r}")
        return [FoundSides(**each | {"names": (each["names"][0], each["names"][1])}) for each in told["pairs"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(f"{path} is no whole record of counterparts ({error}): delete it and evaluate again.") from None
