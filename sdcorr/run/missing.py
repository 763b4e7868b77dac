"""The pairs of a data set that a run has no prediction of, and why: kept in the run folder and told at the end."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from rich.console import Console

from sdcorr.datasets import Benchmark
from sdcorr.files import write_whole
from sdcorr.run.store import PredictionStore

FILE = "broken.json"
SHOWN = 20  # pairs that are told; the file has all


class Missing(NamedTuple):
    """A pair without a prediction."""

    pair: str  # its id
    reason: str  # of its annotation, which the data set left out, or of an image that cannot be read


def missing(benchmark: Benchmark, store: PredictionStore, methods: Iterable[str]) -> list[Missing]:
    """The pairs that the data set left out as broken, then those without a prediction by one of the methods.

    Data sets that can have broken annotations list them as `broken`: (pair's id, reason).
    """
    found = dict(getattr(benchmark, "broken", ()))
    there = set(store.methods())
    for method in methods:
        for record in store.records(method) if method in there else ():
            for failure in record.failures:
                found.setdefault(failure.pair, failure.reason)
    return [Missing(pair, reason) for pair, reason in found.items()]


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
