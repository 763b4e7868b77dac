"""How long scoring takes: `python benchmarks/score_speed.py [--methods 1] [--bootstrap 1000]`.

Writes a run with made-up predictions of the size of the test split of SPair-71k (12,234 pairs, 7 points each on
average, four flags of difficulty) into a temporary folder, then times what `sdcorr score` does:
reading the records, and scoring them with intervals under every protocol that has a rule for the data set.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from sdcorr.datasets import Match, Pair
from sdcorr.run.records import PredictionStore, UnitRecord
from sdcorr.scoring.arrays import read
from sdcorr.scoring.protocols import PROTOCOLS
from sdcorr.scoring.score import score
from sdcorr.scoring.summary import flatten, write_summary

CATEGORIES, SOURCES, TARGETS = 18, 30, 23  # 12,420 pairs, cut to SPair-71k's
PAIRS = 12_234
LEVELS = {name: ("easy", "medium", "hard") for name in ("viewpoint_variation", "scale_variation")}
LEVELS |= {name: ("none", "source", "target", "both") for name in ("truncation", "occlusion")}


def pair(category: int, source: int, target: int, draws: np.random.Generator) -> Pair:
    """A pair of 500 x 375 photographs that do not exist."""
    count = int(draws.integers(3, 12))
    points = draws.uniform((0, 0), (500, 375), (2, count, 2))
    return Pair(
        id=f"{category}/{source}-{target}",
        category=f"category {category}",
        source=f"{category}/{source}",
        target=f"{category}/t{target}",
        source_size=(500, 375),
        target_size=(500, 375),
        source_points=points[0],
        target_points=points[1],
        visible=np.ones(count, dtype=bool),
        names=[str(index) for index in range(count)],
        source_box=(20, 30, 420, 330),
        target_box=(50, 20, 480, 300),
        flags={name: str(draws.choice(words)) for name, words in LEVELS.items()},
    )


def write_run(folder: Path, methods: int) -> PredictionStore:
    """A run folder in which every method errs by about 30 pixels."""
    draws = np.random.default_rng(0)
    store, left = PredictionStore(folder), PAIRS
    store.claim({"dataset": {"name": "spair"}})
    for category in range(CATEGORIES):
        for source in range(SOURCES):
            pairs = [pair(category, source, target, draws) for target in range(min(TARGETS, left))]
            left -= len(pairs)
            for method in range(methods if pairs else 0):
                errors = [draws.normal(0, 30, each.true_points.shape) for each in pairs]
                found = tuple(
                    (each, Match(each.true_points + error, np.ones(len(error))))
                    for each, error in zip(pairs, errors, strict=True)
                )
                name = f"method{method}"
                store.save(UnitRecord("spair", "test", name, f"{category}/{source}", 1.0, found))
    return store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", type=int, default=1, help="methods in the run, all compared with the first")
    parser.add_argument("--bootstrap", type=int, default=1000, help="resamples for the intervals")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = write_run(Path(folder), args.methods)
        start = time.perf_counter()
        arrays = read(store, "method0")
        points = len(arrays["method0"].rows)
        print(f"{time.perf_counter() - start:6.1f} s  reading {args.methods} x {PAIRS:,} pairs, {points:,} points")
        for protocol in PROTOCOLS.values():
            if protocol.knows("spair"):
                lap = time.perf_counter()
                scores = score(arrays, "method0", protocol, samples=args.bootstrap)
                write_summary(folder, scores, f"summary-{protocol.name}.json")
                print(f"{time.perf_counter() - lap:6.1f} s  {protocol.name}: {len(flatten(scores))} numbers")
        print(f"{time.perf_counter() - start:6.1f} s  in all")


if __name__ == "__main__":
    main()
