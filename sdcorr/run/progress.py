"""What a long loop says of its progress: a bar in a terminal, a line a minute elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_EVERY = 60.0  # seconds between lines of progress where there is no terminal to draw a bar in


def duration(seconds: float) -> str:
    """A rough time in words: `0 min`, `45 min`, `3.5 h`, `12 days`."""
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    if hours < 72:
        return f"{hours:.1f} h" if hours < 10 else f"{hours:.0f} h"
    return f"{hours / 24:,.0f} days"


@contextmanager
def progress(
    console: Console | None, name: str, costs: Sequence[float], of: str = "source images"
) -> Iterator[Callable[[float, str], None]]:
    """Shows how far a loop over pictures is, and the time that is left.

    Args:
        console: where it is shown; None to be silent.
        name: of the loop.
        costs: the expected work of each picture, in any unit.
        of: what the pictures are called.

    Yields:
        What to call with a picture's cost when it is done, and a few words about what was found so far.
    """
    if console is None or not costs:
        yield lambda cost, words: None
        return
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[units]}")]
    columns += [TimeElapsedColumn(), TimeRemainingColumn()]
    start = spoken = time.monotonic()
    count, work = 0, 0.0

    def advance(cost: float, words: str) -> None:
        nonlocal spoken, count, work
        count, work, now = count + 1, work + cost, time.monotonic()
        units = f"{count}/{len(costs)} {of}" + (f", {words}" if words else "")
        bar.update(task, advance=cost, units=units)
        if not console.is_terminal and (now - spoken > LINE_EVERY or count == len(costs)):
            spoken, left = now, (now - start) * (sum(costs) - work) / max(work, 1)
            time_left = f"about {duration(left)} left" if count < len(costs) else f"in {duration(now - start)}"
            console.print(f"{name}: {units}, {time_left}", highlight=False, soft_wrap=True)

    # the speed is averaged over the whole run: a unit of Stable Diffusion takes longer than the usual window
    with Progress(
        *columns, console=console, speed_estimate_period=float("inf"), disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(name, total=sum(costs), units=f"0/{len(costs)} {of}")
        yield advance
