"""How fast the student is beside the method, the queries read once and the UNet's own features.

    python benchmarks/student.py             --help has the rest; results/student.md and student.json are written

All on the same pairs of drawings, one after another in one process, on the same number of threads; processor time is
given beside the clock's, which a busy machine stretches. Nothing of a measurement is kept for the next: every method
starts with empty caches, its network loaded and warm.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from measure import save

from sdcorr.cli import build
from sdcorr.cli.compose import compose
from sdcorr.datasets import Pair, SourceUnit, group_by_source
from sdcorr.methods.finder import Finder
from sdcorr.toybox.dataset import Toybox
from sdcorr.toybox.world import SIZE

RESULTS = Path(__file__).parent / "results"
METHODS = ("prompt", "read_once", "unet_features", "student")
POINTS = (1, 10, 100, 1000)
PICTURES = (1, 10, 100, 1000)


@dataclass(frozen=True)
class Spent:
    """Seconds of one piece of work."""

    clock: float
    processor: float


def measured(work: Callable[[], object]) -> Spent:
    """What a piece of work takes."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return Spent(time.perf_counter() - clock, time.process_time() - processor)


def typical(work: Callable[[], object], repeats: int) -> Spent:
    """The median of several, after one that does not count."""
    work()
    each = [measured(work) for _ in range(repeats)]
    return Spent(statistics.median(one.clock for one in each), statistics.median(one.processor for one in each))


def units_of(pairs: Sequence[Pair], count: int) -> list[SourceUnit]:
    """The first so many pairs, each as a unit of its own: a new source and a new target every time."""
    seen: set[str] = set()
    chosen = [pair for pair in pairs if pair.visible.any() and not (pair.source in seen or seen.add(pair.source))]
    return [group_by_source([pair])[0] for pair in chosen[:count]]


def per_pair(cfg_words: Sequence[str], data: Toybox, units: Sequence[SourceUnit]) -> dict[str, dict[str, float]]:
    """Seconds per new pair, of every method on the same pairs."""
    cfg = compose(
        "eval", "dataset.split=val", "embeddings=null", f"methods=[{','.join(METHODS)}]", "maps=0", *cfg_words
    )
    found = {}
    for entry in build.methods(cfg, data):
        method = entry.method
        method.prepare()
        list(method.match(units[0], data.image))  # warm
        spent = [measured(lambda unit=unit, method=method: list(method.match(unit, data.image))) for unit in units[1:]]
        found[entry.name] = {
            "clock": statistics.mean(one.clock for one in spent),
            "processor": statistics.mean(one.processor for one in spent),
            "pairs": len(spent),
        }
    return found


def of_the_student(finder: Finder, data: Toybox, repeats: int) -> Iterator[tuple[str, Spent]]:
    """What the student's own work takes: pictures, first points, and how it grows."""
    images = [data.image(pair.target) for pair in data.pairs]
    many = [images[number % len(images)] for number in range(max(PICTURES))]
    rng = np.random.default_rng(0)
    points = rng.uniform(0, SIZE, (max(POINTS), 2))

    def first_point() -> None:
        source, target = finder.read_rgb(images[:2])
        finder.find(source, points[:1], [target])

    yield "first point of a new pair", typical(first_point, repeats)
    yield "64 pictures read", typical(lambda: finder.read_rgb(many[:64]), max(2, repeats // 4))
    features = finder.read_rgb(many)
    for count in POINTS:
        yield (
            f"{count} points, 1 picture read before",
            typical(lambda count=count: finder.find(features[0], points[:count], features[1:2]), repeats),
        )
    for count in PICTURES:
        yield (
            f"1 point, {count} pictures read before",
            typical(lambda count=count: finder.find(features[0], points[:1], features[:count]), repeats),
        )


def page(told: dict) -> str:
    """The results as Markdown."""
    pairs, student = told["pairs"], told["pairs"]["student"]
    about = (
        f"`python benchmarks/student.py` on {told['machine']}; the toybox's val drawings, {student['pairs']} new pairs "
        f"of {told['points_a_pair']:.1f} points, every method on the same ones in one run."
    )
    lines = [
        "# The student's speed",
        "",
        about,
        "",
        "| method | seconds a pair | processor seconds | times the student's |",
        "|---|---|---|---|",
    ]
    for name, spent in pairs.items():
        ratio = spent["processor"] / student["processor"]
        lines.append(f"| {name} | {spent['clock']:.4f} | {spent['processor']:.4f} | {ratio:.1f} |")
    lines += ["", "The ratio is of processor seconds, which other work on the machine does not change.", ""]
    lines += ["| the student alone | milliseconds | processor milliseconds |", "|---|---|---|"]
    lines += [f"| {name} | {1e3 * a:.2f} | {1e3 * b:.2f} |" for name, (a, b) in told["student"].items()]
    read = told["student"]["64 pictures read"]
    lines += ["", f"That is {64 / read[0]:.0f} pictures a second ({64 / read[1]:.0f} a processor second).", ""]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pairs", type=int, default=8, help="new pairs, of which the first warms up (8)")
    parser.add_argument("--repeats", type=int, default=20, help="of what is quick (20)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of torch")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("words", nargs="*", help="settings of the evaluation, such as method.restarts=2")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(True)
    data = Toybox("val")
    units = units_of(data.pairs, args.pairs)
    cfg = compose("eval", "methods=[student]", "method=student", *args.words)
    student = build.methods(cfg, data)[0].method
    told = {
        "machine": f"{args.threads} thread(s) of a CPU",
        "points_a_pair": float(np.mean([len(unit.points) for unit in units[1:]])),
        "pairs": per_pair(args.words, data, units),
        "student": {
            name: (spent.clock, spent.processor)
            for name, spent in of_the_student(student.finder, data, args.repeats)  # pyright: ignore
        },
    }
    args.out.mkdir(parents=True, exist_ok=True)
    save("student", args.out, told, page(told))
    print(page(told))


if __name__ == "__main__":
    main()
