"""The loop that labels: every source picture once, each saved as soon as it is done.

Ranks share the source pictures by the rule of an evaluation and never talk to each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

from rich.console import Console

from sdcorr.datasets import Benchmark
from sdcorr.digests import digest
from sdcorr.errors import UserError
from sdcorr.labels.folder import LabelFolder, UnitCost
from sdcorr.labels.labeler import Labeler, LabelUnit
from sdcorr.labels.retrieval import Links
from sdcorr.run.ending import until_all_are_there
from sdcorr.run.pairs import READERS, picture_digest
from sdcorr.run.progress import progress
from sdcorr.run.units import share

Groups = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Extent:
    """How much of a data set is labeled. 0 stands for all.

    Raises:
        UserError: if a number is not legal.
    """

    points: int  # that are chosen in a source picture, at most
    pictures: int  # of each group, the first ones
    sources: int  # of them, those whose points are followed
    targets: int  # in which the points of a source are followed

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 1 if name == "points" else 0
            if type(value) is not int or value < least:
                raise UserError(f"{name}={value} is not legal: give a whole number from {least}.")


def pictures_of(
    benchmark: Benchmark, extent: Extent, *, apart: bool = True
) -> tuple[Groups, dict[str, str], list[str]]:
    """The pictures to label.

    Args:
        benchmark: has them, in groups; no annotation is looked at.
        extent: how many of them.
        apart: whether its groups are kept apart; else all pictures are one, and which of them belong together is left
            to be found out.

    Returns:
        The keys by group, without groups of one; the digest of each; the keys that cannot be read and are left out.

    Raises:
        UserError: if nothing is left.
    """
    asked = {category: tuple(keys)[: extent.pictures or None] for category, keys in benchmark.groups.items()}
    every = sorted({key for keys in asked.values() for key in keys})
    if not apart:
        asked = {benchmark.name: tuple(every)}
    with ThreadPoolExecutor(READERS) as readers:
        found = dict(zip(every, readers.map(lambda key: picture_digest(benchmark, key), every), strict=True))
    digests = {key: made for key, made in found.items() if made is not None}
    groups = {category: tuple(key for key in keys if key in digests) for category, keys in asked.items()}
    groups = {category: keys for category, keys in groups.items() if len(keys) > 1}
    if not groups:
        raise UserError(f"{benchmark.name} has no group of two pictures or more that can be read: nothing to label.")
    return groups, digests, [key for key in every if key not in digests]


def units_of(groups: Groups, extent: Extent, links: Links | None = None) -> list[LabelUnit]:
    """The units of work: each source picture with the targets that its points are followed to.

    Args:
        groups: of the pictures.
        extent: how many of them.
        links: those that belong with each picture, its nearest targets first; None: all others of its group.
    """
    if links is not None:
        linked = {category: [key for key in keys if links[key]] for category, keys in groups.items()}
        return [
            LabelUnit(category, source, tuple(links[source][: extent.targets or None]))
            for category, keys in linked.items()
            for source in keys[: extent.sources or None]
        ]
    return [
        LabelUnit(category, source, _some([key for key in keys if key != source], extent.targets, source))
        for category, keys in groups.items()
        for source in keys[: extent.sources or None]
    ]


def label(
    units: Sequence[LabelUnit],
    make: Callable[[], Labeler],
    folder: LabelFolder,
    *,
    rank: int = 0,
    world_size: int = 1,
    console: Console | None = None,
) -> None:
    """Labels all units of a share that the folder does not have yet, and saves each when it is done.

    Args:
        units: all of the data set.
        make: makes what labels; it is called only if something is to be done.
        folder: where the labels are.
        rank: which share of the work is done here.
        world_size: the number of shares.
        console: where it is said how far this share is, and how long it will take; None to be silent.

    Raises:
        UserError: if the folder cannot be written, or from the method.
    """
    waiting = [unit for unit in share(units, rank, world_size) if not folder.has(unit)]
    if not waiting:
        return
    labeler = make()
    title = "labels" if world_size == 1 else f"labels, share {rank + 1} of {world_size}"
    count = kept = 0
    with progress(console, title, [unit.cost for unit in waiting]) as advance:
        for unit in waiting:
            made, good = label_unit(unit, labeler, folder)
            count, kept = count + made, kept + good
            advance(unit.cost, f"{count:,} labels, {kept:,} kept")


def label_unit(unit: LabelUnit, labeler: Labeler, folder: LabelFolder) -> tuple[int, int]:
    """Labels a unit and saves it; returns how many labels there are, and how many of them are kept."""
    started, on_cpu = time.perf_counter(), time.process_time()
    columns = labeler.label(unit)
    cost = UnitCost(time.perf_counter() - started, time.process_time() - on_cpu, len(unit.targets))
    return folder.save(unit, columns, cost)


def finish(
    units: Sequence[LabelUnit],
    make: Callable[[], Labeler],
    folder: LabelFolder,
    *,
    alone: Callable[[], bool],
    console: Console,
) -> None:
    """The end of the work of several ranks: returns when the folder has all units; see `until_all_are_there`.

    Args:
        units: as of `label`.
        make: likewise.
        folder: likewise.
        alone: whether no other rank works any more.
        console: where it is said what is waited for.
    """
    labeler = cache(make)

    def make_it(unit: LabelUnit) -> None:
        label_unit(unit, labeler(), folder)

    until_all_are_there(units, folder.seconds, make_it, alone=alone, console=console)


def _some(keys: Sequence[str], count: int, source: str) -> tuple[str, ...]:
    """`count` keys, drawn by what they are called and by whose targets they are; in their order."""
    if not count or count >= len(keys):
        return tuple(keys)
    drawn = set(sorted(keys, key=lambda key: digest(f"{source}\n{key}"))[:count])
    return tuple(key for key in keys if key in drawn)
