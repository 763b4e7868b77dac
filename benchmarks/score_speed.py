"""How long scoring takes: `python benchmarks/score_speed.py [--methods 1] [--bootstrap 1000]`.

Writes a run with made-up predictions of the size of the test split of SPair-71k (12,234 pairs, 7 points each on
average, four flags of difficulty) into a temporary folder, then times what `sdcorr score` does:
reading the records, and scoring them with intervals under every protocol that has a rule for the data set; and the
report, its size and the memory of it all.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sdcorr.datasets import Match, Pair, group_by_source
from sdcorr.digests import digest
from sdcorr.errors import UserError
from sdcorr.methods.base import Claim
from sdcorr.report.page import write_report
from sdcorr.report.results import gather
from sdcorr.run.predict import peak_bytes
from sdcorr.run.records import UnitRecord
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.arrays import read
from sdcorr.scoring.protocols import PROTOCOLS
from sdcorr.scoring.score import score
from sdcorr.scoring.summary import flatten, write_summary

CATEGORIES, SOURCES, TARGETS = 18, 30, 23  # 12,420 pairs, cut to SPair-71k's
PAIRS = 12_234
LEVELS = dict.fromkeys(("viewpoint_variation", "scale_variation"), ("easy", "medium", "hard"))
LEVELS |= dict.fromkeys(("truncation", "occlusion"), ("none", "source", "target", "both"))


def pair(category: int, source: int, target: int, draws: np.random.Generator) -> Pair:
    """Make up a pair of photographs of 500 x 375 pixels."""
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


class MadeUp:
    """Pairs of pictures that do not exist."""

    name, split = "spair", "test"

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = pairs

    def image(self, key: str) -> Image.Image:
        """None there is."""
        raise UserError(f"There is no image {key}.")

    def digest(self, key: str) -> str:
        """As if there were one."""
        return digest(key)


def write_run(folder: Path, methods: int) -> PredictionStore:
    """Write a run folder in which every method errs by about 30 pixels."""
    draws = np.random.default_rng(0)
    places = [(c, s, t) for c in range(CATEGORIES) for s in range(SOURCES) for t in range(TARGETS)]
    benchmark, store = MadeUp([pair(*place, draws) for place in places[:PAIRS]]), PredictionStore(folder)
    store.claim_run({"dataset": {"name": benchmark.name}}, benchmark)
    for method in range(methods):
        name = f"method{method}"
        store.claim(name, Claim("made up", 1, {}))
        for unit in group_by_source(benchmark.pairs):
            errors = [draws.normal(0, 30, each.true_points.shape) for each in unit.pairs]
            answers = tuple(
                (each, Match(each.true_points + error, np.ones(len(error))))
                for each, error in zip(unit.pairs, errors, strict=True)
            )
            keys = {key for each in unit.pairs for key in (each.source, each.target)}
            read = {key: benchmark.digest(key) for key in keys}
            store.save(UnitRecord("spair", "test", name, unit.source, 1.0, answers, pictures=read))
    return PredictionStore(folder)


def main() -> None:
    """Read the command line, write the run, and time scoring it."""
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
        lap = time.perf_counter()
        results = gather(store, "method0", PROTOCOLS["standard"], samples=args.bootstrap)
        page = write_report(results, image=None)
        seconds = time.perf_counter() - lap
        print(f"{seconds:6.1f} s  report.html of all of it, {page.stat().st_size / 1e6:.1f} MB, with no pictures")
        print(f"{peak_bytes() / 1e6:,.0f} MB at the most")


if __name__ == "__main__":
    main()
