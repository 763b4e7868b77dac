"""Which key-points of an object look alike: the same part on its other side, and published groups (sides.yaml).

They are told by the names of key-points alone, so they are known of every pair that was ever recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from sdcorr.datasets.base import Pair

FILE = Path(__file__).with_name("sides.yaml")
OTHER = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Sides:
    """What is alike among the key-points of a category."""

    mirrored: Mapping[str, str]  # name -> its counterpart's
    group: Mapping[str, int]  # name -> which group of parts that look alike it is in

    def counterpart(self, name: str) -> str | None:
        """The name of the same part on the other side; None if it has none.

        >>> Sides({}, {}).counterpart("left front paw"), Sides({}, {}).counterpart("nose")
        ('right front paw', None)
        """
        if name in self.mirrored:
            return self.mirrored[name]
        side, _, part = name.partition(" ")
        return f"{OTHER[side]} {part}" if side in OTHER and part else None

    def any_of(self, names: Sequence[str]) -> bool:
        """Whether any of these key-points has a counterpart."""
        return any(self.counterpart(name) is not None for name in names)


def sides(dataset: str, pair: Pair) -> Sides:
    """What is alike among the key-points of a pair of that data set."""
    known = _known()
    return known.get((dataset, pair.category)) or known.get((dataset, "")) or NOTHING


NOTHING = Sides({}, {})


@cache
def _known() -> dict[tuple[str, str], Sides]:
    """By the data set and the category, "" for all of its categories."""
    plain: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return {
        (dataset, category): Sides(_both_ways(told.get("mirrored", ())), _numbered(told["alike"]))
        for dataset, categories in plain.items()
        for category, told in categories.items()
    }


def _both_ways(pairs: Sequence[Sequence[str | int]]) -> dict[str, str]:
    return {str(pair[side]): str(pair[1 - side]) for pair in pairs for side in (0, 1)}


def _numbered(groups: Sequence[Sequence[str | int]]) -> dict[str, int]:
    return {str(name): number for number, group in enumerate(groups) for name in group}
