"""The pairs of a data set that a run has no prediction of, and why: kept in the run folder and told at the end."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from rich.console import Console

from sdcorr.datasets import Benchmark, group_by_source
from sdcorr.files import write_whole
from sdcorr.run.store import PredictionStore
from sdcorr.run.units import share

FILE = "broken.json"
SHOWN = 20  # pairs that are told; the file has all


class Missing(NamedTuple):
    """A pair without a prediction."""

    pair: str  # its id
    reason: str  # its annotation, which the data set left out, an image that cannot be read, a network that gives NaN


def missing(benchmark: Benchmark, store: PredictionStore, methods: Iterable[str]) -> list[Missing]:
    """The pairs that the data set left out as broken, then those without a prediction by one of the methods.

    Data sets that can have broken annotations list them as `broken`: (pair's id, reason).
    """
    found = {pair: {reason: None} for pair, reason in getattr(benchmark, "broken", ())}
    there = set(store.methods())
    for method in methods:
        for record in store.records(method) if method in there else ():
            for failure in record.failures:
                by = f"{method}: " if failure.cause == "numbers" else ""  # others may have predicted it
                found.setdefault(failure.pair, {})[f"{by}{failure.reason}"] = None
    return [Missing(pair, " ".join(reasons)) for pair, reasons in found.items()]


def try_again(
    benchmark: Benchmark, store: PredictionStore, methods: Iterable[str], rank: int = 0, world_size: int = 1
) -> None:
    """Forgets of which pairs a network made NaN or infinity, before a run begins, so that it tries them again.

    Each rank does so for its own share, before any work: a failure that is found afterwards is of this run, and nobody
    waits for more. What a rank that never starts would have tried is told as it was.

    Args:
        benchmark: the pairs.
        store: the run and the methods are claimed.
        methods: names of the methods.
        rank: which share of the work is done here.
        world_size: the number of shares.

    Raises:
        UserError: if the folder cannot be read or written.
    """
    units = share(group_by_source(benchmark.pairs), rank, world_size)
    for method in methods:
        for unit in units:
            record = store.load(method, unit.source)
            failed = {each.pair for each in record.failures if each.cause == "numbers"} if record else set()
            if failed:
                store.forget(method, unit.source, failed)


def keep(store: PredictionStore, pairs: Iterable[Missing]) -> None:
    """Writes them to broken.json in the run folder, an empty list if there are none.

    Raises:
        UserError: if the disk is full or the folder cannot be written.
    """
    write_whole(store.run_dir / FILE, json.dumps([pair._asdict() for pair in pairs], indent=1) + "\n")


def tell(console: Console, store: PredictionStore, pairs: list[Missing]) -> None:
    """Prints the first of them, if there are any."""
    if not pairs:
        return
    number = "1 pair has" if len(pairs) == 1 else f"{len(pairs):,} pairs have"
    lines = [f"{number} no prediction, and {store.run_dir / FILE} lists all:"]
    lines += [f"  {pair}: {reason}" for pair, reason in pairs[:SHOWN]]
    if len(pairs) > SHOWN:
        lines.append(f"  and {len(pairs) - SHOWN:,} more")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
