"""Draws targets until enough of them hide a point, for the splits of `sdcorr.toybox.hiding`, and writes its table."""

from __future__ import annotations

from itertools import count

import yaml

from sdcorr.toybox.classes import THINGS
from sdcorr.toybox.dataset import SPLITS, drawing
from sdcorr.toybox.hiding import CHOSEN


def choose(source_key: str, targets: int, hiding: int) -> list[int]:
    """The numbers of a source's targets: the first that hide a point which it shows, and the first that hide none.

    Args:
        source_key: `world/class/source`.
        targets: how many in all.
        hiding: how many of them hide a point.
    """
    shown, wanted = drawing(source_key).visible, {True: hiding, False: targets - hiding}
    found: list[int] = []
    for number in count():
        hides = bool((shown & ~drawing(f"{source_key}/{number}").visible).any())
        if wanted[hides]:
            wanted[hides] -= 1
            found.append(number)
        if not any(wanted.values()):
            return found
    raise AssertionError  # there is no last number


def main() -> None:
    """Writes the table."""
    table = {
        split: {
            name: [choose(f"{size.world}/{name}/{source}", size.targets, size.hiding) for source in range(size.sources)]
            for name in THINGS
        }
        for split, size in SPLITS.items()
        if size.hiding is not None
    }
    CHOSEN.write_text(yaml.safe_dump(table, sort_keys=False, default_flow_style=None, width=120), encoding="utf-8")


if __name__ == "__main__":
    main()
