"""The loop that predicts: every source image once, each saved as soon as it is done.

Ranks share the units of work by a rule that needs nothing but the list of pairs, so they never talk to each
other: a rank may be slow, die or be started later, and nothing waits for it.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sdcorr.datasets import Benchmark, ImageReader, Match, Pair, SourceUnit, group_by_source
from sdcorr.errors import UserError
from sdcorr.run.memory import peak_bytes
from sdcorr.run.records import Failure, PredictionStore, UnitRecord, pair_to_json

LINE_EVERY = 60.0  # seconds between lines of progress where there is no terminal to draw a bar in


class Method(Protocol):
    """Anything that finds points again in another image: prompt embeddings, a baseline, a trained network."""

    def match(self, unit: SourceUnit, image: ImageReader) -> Iterator[tuple[Pair, Match]]:
        """Yields every pair of the unit with its match, in any order.

        `image` reads the RGB image of a key and raises UserError if it cannot.
        """
        ...


def share(units: Iterable[SourceUnit], rank: int, world_size: int) -> list[SourceUnit]:
    """The units that one rank works on, in the order of the data set; over all ranks each unit appears exactly once.

    Dealt heaviest first, each unit to the rank with the least work so far. All units are dealt, whether done already
    or not: ranks that start at different times must not deal different hands. Data sets go class by class, and so do
    ranks, for the images of a class are each other's targets and what was computed of them is kept for a while.

    Raises:
        ValueError: if the rank is not in [0, world_size).
    """
    if not 0 <= rank < world_size:
        raise ValueError(f"rank must be in [0, {world_size}), not {rank}")
    units = list(units)
    loads: list[float] = [0.0] * world_size
    mine = set()
    for unit in sorted(units, key=lambda unit: (-unit.cost, unit.source)):
        lightest = loads.index(min(loads))
        loads[lightest] += unit.cost
        if lightest == rank:
            mine.add(unit.source)
    return [unit for unit in units if unit.source in mine]


def predict(
    benchmark: Benchmark,
    method: Method,
    store: PredictionStore,
    name: str,
    *,
    rank: int = 0,
    world_size: int = 1,
    console: Console | None = None,
    describe: Callable[[UnitRecord], str] | None = None,
) -> tuple[Failure, ...]:
    """Predicts all pairs that the store does not have yet, and saves each source image when it is done.

    A record that is torn, or was made from other annotations, is predicted anew. A pair whose image cannot be
    read is left out, kept as a failure in its record, and tried again by the next run if the image can be
    read.

    Args:
        benchmark: the pairs and their images.
        method: what finds the points.
        store: where the records are; `store.claim(config)` guards it against another configuration.
        name: what the method is called in the store.
        rank: which share of the work is done here.
        world_size: the number of shares.
        console: where the progress of this share is printed, and the time that it will take; None to be silent.
        describe: is given every whole record of this share, those found and those made, and says in a few words what
            stands beside the progress.

    Returns:
        The failures among this rank's pairs, old and new.

    Raises:
        UserError: if a record cannot be written, or from the method.
    """
    failures: list[Failure] = []
    waiting: list[tuple[SourceUnit, UnitRecord]] = []
    for unit in share(group_by_source(benchmark.pairs), rank, world_size):
        record = still_good(benchmark, store, name, unit)
        if is_whole(unit, record):
            failures += record.failures
            if describe:
                describe(record)
        else:
            waiting.append((unit, record))
    title = name if world_size == 1 else f"{name}, share {rank + 1} of {world_size}"
    with _progress(console, title, [unit.cost for unit, _ in waiting]) as advance:
        for unit, record in waiting:
            record = complete(benchmark, method, unit, record)
            store.save(record)
            failures += record.failures
            advance(unit.cost, describe(record) if describe else "")
    return tuple(failures)


def is_whole(unit: SourceUnit, record: UnitRecord) -> bool:
    """Whether a record of `still_good` says something about every pair of its unit."""
    return len(record.predictions) + len(record.failures) == len(unit.targets)


def still_good(benchmark: Benchmark, store: PredictionStore, name: str, unit: SourceUnit) -> UnitRecord:
    """What the store has for a unit, less the pairs that have changed or whose image can be read by now."""
    record = store.load(name, unit.source)
    if record is None or (record.dataset, record.split) != (benchmark.name, benchmark.split):
        return UnitRecord(benchmark.name, benchmark.split, name, unit.source, 0.0, ())
    wanted = {pair.id: pair_to_json(pair) for pair in unit.pairs}
    predictions = [(pair, match) for pair, match in record.predictions if wanted.get(pair.id) == pair_to_json(pair)]
    unreadable = _unreadable(benchmark, {failure.image for failure in record.failures})
    failures = [failure for failure in record.failures if failure.pair in wanted and failure.image in unreadable]
    return UnitRecord(
        benchmark.name,
        benchmark.split,
        name,
        unit.source,
        record.seconds,
        tuple(predictions),
        tuple(failures),
    )


def complete(benchmark: Benchmark, method: Method, unit: SourceUnit, record: UnitRecord) -> UnitRecord:
    """Matches the pairs that a unit's record lacks; raises what `predict` raises."""
    matches = {pair.id: match for pair, match in record.predictions}
    matches |= {pair.id: Match(np.empty((0, 2)), np.empty(0)) for pair in unit.pairs if not pair.visible.any()}
    failures = {failure.pair: failure for failure in record.failures}
    start = time.perf_counter()
    while pairs := [pair for pair in unit.pairs if pair.id not in matches and pair.id not in failures]:
        try:
            (missing,) = group_by_source(pairs)
            for pair, match in method.match(missing, benchmark.image):
                _check(pair, match)
                matches[pair.id] = match
        except UserError:
            # an image stops the whole unit: find every unreadable one now, then go on without their pairs
            pairs = [pair for pair in pairs if pair.id not in matches]
            unreadable = _unreadable(benchmark, {key for pair in pairs for key in (pair.source, pair.target)})
            if not unreadable:
                raise
            for pair in pairs:
                if key := next((key for key in (pair.source, pair.target) if key in unreadable), None):
                    failures[pair.id] = Failure(pair.id, key, unreadable[key])
        else:
            if left_out := [pair.id for pair in pairs if pair.id not in matches]:
                raise ValueError(f"{record.method} yields no match for pair {left_out[0]}")
    return UnitRecord(
        record.dataset,
        record.split,
        record.method,
        record.source,
        record.seconds + time.perf_counter() - start,
        tuple((pair, matches[pair.id]) for pair in unit.pairs if pair.id in matches),
        tuple(failures[pair.id] for pair in unit.pairs if pair.id in failures),
        peak_bytes(),
    )


def _check(pair: Pair, match: Match) -> None:
    if len(match.points) != pair.visible.sum():
        raise ValueError(f"pair {pair.id}: {len(match.points)} matches for {pair.visible.sum()} visible points")


def _unreadable(benchmark: Benchmark, keys: Iterable[str]) -> dict[str, str]:
    """Those images that cannot be read, with the reason."""
    reasons = {}
    for key in sorted(keys):
        try:
            benchmark.image(key)
        except UserError as error:
            reasons[key] = str(error)
    return reasons


@contextmanager
def _progress(console: Console | None, name: str, costs: Sequence[float]) -> Iterator[Callable[[float, str], None]]:
    """A bar with the time left in a terminal, a line a minute elsewhere; yields what to call after a unit.

    That takes the unit's cost, and a few words about what has been found so far.
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
        units = f"{count}/{len(costs)} source images" + (f", {words}" if words else "")
        bar.update(task, advance=cost, units=units)
        if not console.is_terminal and (now - spoken > LINE_EVERY or count == len(costs)):
            spoken, minutes = now, (now - start) * (sum(costs) - work) / max(work, 1) / 60
            console.print(f"{name}: {units}, about {minutes:.0f} min left", highlight=False)

    # the speed is averaged over the whole run: a unit of Stable Diffusion takes longer than the usual window
    with Progress(
        *columns, console=console, speed_estimate_period=float("inf"), disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(name, total=sum(costs), units=f"0/{len(costs)} source images")
        yield advance
