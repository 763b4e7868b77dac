"""Which drawings are the targets of the splits `hidden_val` and `hidden_test`: some hide a point, some none.

One drawing in ten hides a point that its source shows, so most that are drawn are not among them. What was chosen is in
`hiding.yaml`, by split, class and source; `python -m sdcorr.toybox.making.hiding` draws and chooses again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import yaml

CHOSEN = Path(__file__).with_name("hiding.yaml")


@cache
def chosen() -> Mapping[str, Mapping[str, Sequence[Sequence[int]]]]:
    """By split and class, of each source the numbers of its targets, in ascending order."""
    return yaml.safe_load(CHOSEN.read_text(encoding="utf-8"))
