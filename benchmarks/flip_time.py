"""What the consensus adds to the time of a method: seconds of CPU on the same pairs, all ways in one process.

    python benchmarks/flip_time.py [read_once] [ROUNDS]

A round matches the same source picture of the toybox in its targets with every way in turn, in a rotating order; each
way has its own method, so that nothing that one has kept helps another. The first round is not counted.
"""

from __future__ import annotations

import sys
import time
from statistics import median

from sdcorr.cli import build, origin
from sdcorr.cli.compose import compose
from sdcorr.datasets import group_by_source

WAYS = ("none", "dense", "dense_flip", "joint")


def main(method: str, rounds: int) -> None:
    """Prints seconds of CPU of each way, and how many times those of `none` that is."""
    entries = ",".join(f"{{method: {method}, consensus: {way}, name: {way}}}" for way in WAYS)
    cfg = compose("eval", "dataset.split=demo", f"methods=[{entries}]", "embeddings=null", "logger=none", "maps=0")
    benchmark = origin.benchmark(cfg)
    units = group_by_source(benchmark.pairs)
    made = {way: entry.method for way, entry in zip(WAYS, build.methods(cfg, benchmark), strict=True)}
    spent: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds + 1):
        unit = units[number % len(units)]
        for way in (*WAYS[number % len(WAYS) :], *WAYS[: number % len(WAYS)]):
            start = time.process_time()
            points = sum(len(match.points) for _, match in made[way].match(unit, benchmark.image))
            if number:
                spent[way].append((time.process_time() - start) / points)
    for way, seconds in spent.items():
        ratios = [mine / other for mine, other in zip(seconds, spent["none"], strict=True)]
        print(f"{method} {way}: {1000 * median(seconds):.0f} ms of CPU a point, {median(ratios):.2f} times none")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "read_once", int(sys.argv[2]) if len(sys.argv) > 2 else 5)
