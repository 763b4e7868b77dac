"""Which points a score is of: all, or those of a part of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Part:
    """Some of the points, by what tells them apart."""

    by: Literal["all", "look-alikes", "category", "difficulty"] = "all"
    value: str = ""  # the category, the value of the flag; of look-alikes, ambiguous and so on
    flag: str = ""  # of a difficulty

    @property
    def name(self) -> str:
        """For example `cat`, `ambiguous`, `scale=easy`."""
        return f"{self.flag}={self.value}" if self.flag else self.value

    @property
    def family(self) -> str:
        """What the part is told apart by: `category`, `look-alikes`, or the flag."""
        return self.flag or self.by


ALL = Part()
AMBIGUOUS = Part("look-alikes", "ambiguous")  # points of a part that has a look-alike on the same object
DISTINCT = Part("look-alikes", "distinct")
GEOMETRY_AWARE = Part("look-alikes", "geometry_aware")  # the target shows another point of its group (GeoAware-SC)
BOTH_SIDES = Part("look-alikes", "both_sides")  # its counterpart on the other side of the object is asked for too
GROUPS = (
    ALL,
    AMBIGUOUS,
    DISTINCT,
    GEOMETRY_AWARE,
    BOTH_SIDES,
)  # parts that cut through pairs; the others are of whole pairs
