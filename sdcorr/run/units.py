"""The units of work: which rank does which source images, and what of a source image is done already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol, TypeVar

from sdcorr.datasets import Benchmark, SourceUnit
from sdcorr.errors import UserError
from sdcorr.run.records import UnitRecord
from sdcorr.run.store import PredictionStore


class Work(Protocol):
    """What is done in one piece."""

    @property
    def source(self) -> str:
        """The key of its source image, unique."""
        ...

    @property
    def cost(self) -> float:
        """Of the work, in any unit."""
        ...


Unit = TypeVar("Unit", bound=Work)


def share(units: Iterable[Unit], rank: int, world_size: int) -> list[Unit]:
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


def done(benchmark: Benchmark, store: PredictionStore, method: str, unit: SourceUnit) -> tuple[UnitRecord, set[str]]:
    """What the store has for a unit that is still true, as a record that may lack pairs.

    Pairs that have vanished, or have other annotations or pictures now, are not in it, and neither are pairs whose
    image could not be read and can be by now. Those of whose image a network made NaN are: they were tried in this run,
    for `missing.try_again` forgets those of earlier ones.

    Returns:
        The record, and the ids of the pairs that it lacks for no other reason than that their pictures have changed.
    """
    record = store.load(method, unit.source)
    if record is None or (record.dataset, record.split) != (benchmark.name, benchmark.split):
        return UnitRecord(benchmark.name, benchmark.split, method, unit.source, 0.0, ()), set()
    current = store.pairs.current(record)
    ids = {pair.id for pair in unit.pairs}
    bad = unreadable(benchmark, {failure.image for failure in current.failures if failure.cause == "image"})
    predictions = tuple(each for each in current.predictions if each[0].id in ids)
    known = [each for each in current.failures if each.cause == "numbers" or each.image in bad]
    failures = tuple(each for each in known if each.pair in ids)
    read = {key for pair, _ in predictions for key in (pair.source, pair.target)}
    pictures = {key: digest for key, digest in current.pictures.items() if key in read}
    found = replace(current, predictions=predictions, failures=failures, pictures=pictures)
    return found, store.pairs.repainted(record) & ids if len(predictions) < len(record.predictions) else set()


def is_whole(unit: SourceUnit, record: UnitRecord) -> bool:
    """Whether a record of `done` says something about every pair of its unit."""
    return len(record.predictions) + len(record.failures) == len(unit.targets)


def unreadable(benchmark: Benchmark, keys: Iterable[str]) -> dict[str, str]:
    """Those images that cannot be read, with the reason."""
    reasons = {}
    for key in sorted(keys):
        try:
            benchmark.image(key)
        except UserError as error:
            reasons[key] = str(error)
    return reasons
