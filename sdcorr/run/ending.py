"""The end of work that several ranks share and never talk about: what one has left undone is done by the first.

A rank may be slow, die or be started later. Nothing is heard of it but the units that it leaves behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from rich.console import Console

from sdcorr.run.progress import LINE_EVERY

Unit = TypeVar("Unit")

POLL = 2.0  # seconds between two looks
LEAST_PATIENCE = 60.0  # seconds; a network disk may show a new file as late as that
PATIENCE = 10.0  # times the longest unit so far


def until_all_are_there(
    units: Iterable[Unit],
    taken: Callable[[Unit], float | None],
    make: Callable[[Unit], None],
    *,
    alone: Callable[[], bool],
    console: Console,
    poll: float = POLL,
    least_patience: float = LEAST_PATIENCE,
) -> None:
    """Returns when all units are there.

    If none has come for a long time, or all other ranks are known to have ended, one that is missing is made here, and
    so on. Should its rank be alive after all, both make the same.

    Args:
        units: in the order in which ranks do theirs.
        taken: the seconds that a unit took; None if it is not there.
        make: makes a unit.
        alone: whether no other rank works any more.
        console: where it is said what is waited for.
        poll: seconds between two looks.
        least_patience: seconds without a new unit after which one is made here, whatever they took so far.
    """
    left, longest, heard, spoken = list(units), 0.0, time.monotonic(), -LINE_EVERY
    while True:
        nobody_else = alone()  # before looking, or a last unit would be missed
        found = [taken(unit) for unit in left]
        lacking = [unit for unit, seconds in zip(left, found, strict=True) if seconds is None]
        if not lacking:
            return
        longest = max([longest, *(seconds for seconds in found if seconds is not None)])
        now = time.monotonic()
        if len(lacking) < len(left):
            heard = now
        left = lacking
        late = now - heard > max(least_patience, PATIENCE * longest)
        if now - spoken > LINE_EVERY:
            spoken = now
            done_by = "made here, for no other rank does" if nobody_else or late else "with the other ranks"
            number = "1 source image is" if len(left) == 1 else f"{len(left)} source images are"
            console.print(f"{number} still to come, {done_by}", highlight=False)
        if nobody_else or late:
            make(left.pop())  # the last: a rank that is slow but alive works from the other end
        else:
            time.sleep(poll)
