"""The refinement of matches, tried on the predictions of a finished run: no model is loaded.

    sdcorr eval 'methods=[prompt,unet_features]' run_dir=RUN
    python benchmarks/subpixel.py RUN [ROOT]              # ROOT: where the data set is, if elsewhere

A number is PCK per point under the standard protocol, before -> after, with the difference and its 95 % interval over
the pairs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch

from sdcorr.cli import origin
from sdcorr.cli.compose import compose
from sdcorr.cli.paths import override
from sdcorr.datasets import Match, Pair, scorable
from sdcorr.methods.refine import refined
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.arrays import Arrays
from sdcorr.scoring.protocols import PROTOCOLS

ALPHAS = (0.01, 0.05, 0.10)
RESAMPLES = 2000
NEEDLESS = ("same_pixel", "same_box_position", "image_patches")  # which have no maps


def right(dataset: str, found: list[tuple[Pair, Match]]) -> tuple[np.ndarray, np.ndarray]:
    """Which points of pairs are correct, (m, A) bool, and the pair of each, (m,)."""
    known = [scorable(*each) for each in found]
    arrays = Arrays.of(dataset, [(pair, match.points) for pair, match in known])
    return PROTOCOLS["standard"].correct_points(arrays, ALPHAS), arrays.rows


def row(store: PredictionStore, method: str, root: list[str]) -> str:
    """A row of the table."""
    dataset = store.config()["dataset"]
    words = [
        f"dataset={dataset['name']}",
        *(override(f"dataset.{key}", dataset[key]) for key in ("split",) if key in dataset),
    ]
    benchmark = origin.benchmark(compose("eval", *words, *(override("dataset.root", each) for each in root)))
    pictures = {key: benchmark.image(key) for pair in benchmark.pairs for key in (pair.source, pair.target)}
    before = [each for record in store.records(method) for each in record.predictions if len(each[1].points)]
    start = time.perf_counter()
    after = [
        (p, Match(refined(pictures[p.source], pictures[p.target], p.query_points, m.points), m.confidence))
        for p, m in before
    ]
    seconds = time.perf_counter() - start
    (old, rows), (new, _) = right(dataset["name"], before), right(dataset["name"], after)
    draws = np.random.default_rng(0).integers(0, len(before), (RESAMPLES, len(before)))
    counts = np.bincount(rows, minlength=len(before))
    cells = []
    for column in range(len(ALPHAS)):
        gains = np.bincount(rows, new[:, column].astype(float) - old[:, column], len(before))
        low, high = np.percentile(100 * gains[draws].sum(1) / counts[draws].sum(1), (2.5, 97.5))
        scores = [100 * each[:, column].mean() for each in (old, new)]
        cells.append(f"{scores[0]:.1f} -> {scores[1]:.1f}, {scores[1] - scores[0]:+.1f} [{low:+.1f}, {high:+.1f}]")
    return f"| {method} | {' | '.join(cells)} | {1000 * seconds / len(rows):.0f} |"


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run = PredictionStore(Path(sys.argv[1]))
    print("| method | @0.01 | @0.05 | @0.10 | ms a point |\n|---|---|---|---|---|")
    for name in run.methods():
        if name not in NEEDLESS:
            print(row(run, name, sys.argv[2:]), flush=True)
