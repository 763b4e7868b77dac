"""Counterparts found in the toybox's pictures against its left and right, and what mirror-aware scores say by either.

    sdcorr eval dataset.split=test 'methods=[prompt]' run_dir=RUN
    python benchmarks/counterparts.py RUN

Features of `read_once`'s evidence: one draw at t = 261. Intervals are over the pairs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import torch

from sdcorr.cli import build, origin
from sdcorr.cli.compose import compose
from sdcorr.datasets.sides import sides
from sdcorr.report.table import number
from sdcorr.run.counterparts import SHARE, Both, pooled, taken
from sdcorr.run.found_sides import FoundSides
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.arrays import Arrays, collect
from sdcorr.scoring.parts import ALL, BOTH_SIDES
from sdcorr.scoring.protocols import protocol_named
from sdcorr.scoring.score import score

SHOWN = ("pck@0.10/per_point", "pck_dagger@0.10/per_point", "mirror@0.10/per_point")


def main(run: Path) -> None:
    """Prints the pairs of names with their shares, precision and recall, and the scores."""
    store = PredictionStore(run)
    split = store.config()["dataset"]["split"]
    cfg = compose("eval", f"dataset.split={split}", "methods=[read_once]", "embeddings=null")
    benchmark = origin.benchmark(cfg)
    (entry,) = build.methods(cfg, benchmark)
    linked, seen = pooled(benchmark, entry.method)
    true: set[Both] = {
        (pair.category, min(both), max(both))
        for pair in benchmark.pairs
        for both in combinations(pair.names, 2)
        if sides("toybox", pair).counterpart(both[0]) == both[1]
    }
    right, all_true = (sum(counts[key] for key in true) for counts in (linked, seen))
    every = sum(linked.values())
    print(f"{split}, picture by picture: {right} of {every} found are right, {right} of {all_true} are found")
    for key in sorted(set(linked) | true, key=lambda key: -linked[key] / seen[key])[:8]:
        print(f"  {linked[key]} of {seen[key]} = {linked[key] / seen[key]:.2f}", *key, "*" if key in true else "")
    found = taken(linked, seen)
    hits = {(each.category, min(each.names), max(each.names)) for each in found} & true
    print(
        f"pooled, {SHARE} of the pictures: {len(hits)} of {len(found)} are right, {len(hits)} of {len(true)} are found"
    )
    method = store.methods()[0]
    arrays = collect(store.records(method))
    for name, each in {"annotated": arrays, "found": nameless(arrays, found)}.items():
        print(name, _scores(each))


def nameless(arrays: Arrays, found: list[FoundSides]) -> Arrays:
    """The same predictions where no name tells a side, with what was found."""
    pairs = tuple(replace(pair, names=tuple(map(_unsided, pair.names))) for pair in arrays.pairs)
    renamed = [replace(each, names=(_unsided(each.names[0]), _unsided(each.names[1]))) for each in found]
    return replace(arrays, pairs=pairs, found=tuple(renamed))


def _unsided(name: str) -> str:
    return f"part {name.replace(' ', '-')}"


def _scores(arrays: Arrays) -> Mapping[str, str]:
    found = score({"run": arrays}, "run", protocol_named("standard", "toybox"), [0.1], samples=2000)
    told = {}
    for each in found.ours.scores:
        key = f"{each.measure.key}/{each.average}"
        if key in SHOWN and each.part in (ALL, BOTH_SIDES):
            told[f"{key}/{each.part.name}"] = f"{number(each).text} {number(each).interval} ({each.points})"
    return told


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main(Path(sys.argv[1]))
