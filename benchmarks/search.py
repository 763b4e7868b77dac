"""A search over a folder of drawings: time to index, size, time of a query, recall against exact, and what it finds.

    python benchmarks/search.py --pictures 10000         --help has the rest; results/search.md and .json are written

The drawings are of the toybox's world and of no split of it, indexed by the student that ships. Queries are visible
keypoints of the val split's sources. All is measured in one process, on the same number of threads.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from measure import save

from sdcorr.methods.finder import Finder
from sdcorr.methods.maps import Features
from sdcorr.retrieval import Hit, PictureIndex
from sdcorr.retrieval.folder import IndexFolder
from sdcorr.retrieval.work import CELLS, bring_up_to_date
from sdcorr.toybox.anatomy import STUDENT_FOLDER
from sdcorr.toybox.classes import THINGS
from sdcorr.toybox.dataset import Toybox, drawing

RESULTS = Path(__file__).parent / "results"
WORLD = 14  # first number of the drawings' seeds, which no split has
ALPHAS = (0.05, 0.1, 0.2)
MOST = 10
AT_ONCE = 64
TIMED_EXACTLY = 5  # queries


@dataclass(frozen=True, eq=False)
class Query:
    """A keypoint to be found."""

    category: str
    part: str
    picture: int  # which source
    features: Features
    point: tuple[float, float]


def draw(folder: Path, count: int, processes: int) -> None:
    """Write drawings, of every class as many."""
    keys = [f"{WORLD}/{name}/{number}" for number in range(-(-count // len(THINGS))) for name in THINGS][:count]
    with ProcessPoolExecutor(processes) as pool:
        list(pool.map(_draw, [folder] * len(keys), keys, chunksize=64))


def _draw(folder: Path, key: str) -> None:
    _, category, number = key.split("/")
    path = folder / category / f"{number}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing(key).image.save(path)


def queries(finder: Finder, split: str) -> list[Query]:
    """Every visible keypoint of the sources of a split."""
    found = []
    sources = dict.fromkeys(pair.source for pair in Toybox(split).pairs)
    for picture, key in enumerate(sources):
        drawn = drawing(key)
        (features,) = finder.read_rgb([drawn.image])
        for part, (x, y), visible in zip(drawn.names, drawn.points.tolist(), drawn.visible, strict=True):
            if visible:
                found.append(Query(drawn.category, part, picture, features, (x, y)))
    return found


def judged(query: Query, hits: Sequence[Hit]) -> list[tuple[float, ...]]:
    """Of each hit: whether it is of the class, whether its drawing shows the part, its distance in sides of the box."""
    found = []
    for hit in hits:
        category, file = hit.picture.split("/")
        drawn = drawing(f"{WORLD}/{category}/{Path(file).stem}")
        row = drawn.names.index(query.part) if category == query.category else None
        shown = row is not None and bool(drawn.visible[row])
        away = np.inf
        if row is not None and shown:
            x0, y0, x1, y1 = drawn.box
            away = float(np.hypot(*np.subtract(hit.point, drawn.points[row]))) / max(x1 - x0, y1 - y0)
        found.append((float(category == query.category), float(shown), away))
    return found


def best_of_all(
    folder: IndexFolder, finder: Finder, pictures: Path, asked: Sequence[Query], unrounded: bool
) -> dict[str, list[list[str]]]:
    """The best pictures of each query among all: by the bytes that are kept, and if asked by features as read."""
    points = [query.features.at(np.array([query.point])) for query in asked]
    wanted = F.normalize(torch.cat(points), dim=1)  # (Q, C)
    names = list(folder.pictures)
    scores: dict[str, list[np.ndarray]] = {"kept": [], "unrounded": []}
    for start in range(0, len(names), AT_ONCE):
        batch = names[start : start + AT_ONCE]
        for name in batch:
            scores["kept"].append(folder.cells(folder.pictures[name]).cosines(wanted.numpy()).max((1, 2)))
        for features in finder.read([pictures / name for name in batch]) if unrounded else []:
            scores["unrounded"].append((wanted @ features.values.flatten(1)).amax(1).numpy())
    return {
        kind: [[names[row] for row in np.argsort(-each, kind="stable")[:MOST]] for each in np.stack(values, 1)]
        for kind, values in scores.items()
        if values
    }


def share(values: Sequence[Sequence[float]], groups: Sequence[int], draws: int = 2000) -> list[float]:
    """Mean of 0s and 1s in percent, with the 95 % bootstrap interval over groups (source pictures)."""
    number = max(groups) + 1
    sums, counts = np.zeros(number), np.zeros(number)
    for row, group in zip(values, groups, strict=True):
        sums[group] += sum(row)
        counts[group] += len(row)
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, number, (draws, number))
    means = sums[chosen].sum(1) / counts[chosen].sum(1).clip(min=1)
    return [100 * each for each in (sums.sum() / counts.sum(), *np.quantile(means, (0.025, 0.975)))]


def measure(pictures: int, split: str, threads: int, unrounded: bool, scratch: Path) -> dict:
    """All figures."""
    told: dict = {"pictures": pictures, "split": split, "threads": threads, "cells": CELLS}
    started = time.perf_counter()
    draw(scratch / "pictures", pictures, threads)
    told["seconds_to_draw"] = time.perf_counter() - started
    finder = Finder.load(STUDENT_FOLDER)
    folder = IndexFolder(scratch / "index")
    for name in ("index", "look_again"):
        started, on_cpu = time.perf_counter(), time.process_time()
        bring_up_to_date(IndexFolder(scratch / "index"), scratch / "pictures", finder.read_rgb, CELLS)
        told[f"seconds_to_{name}"] = time.perf_counter() - started
        told[f"processor_seconds_to_{name}"] = time.process_time() - on_cpu
        print(f"{name}: {told[f'seconds_to_{name}']:.1f} s", flush=True)
    told["bytes"] = folder.nbytes
    told["bytes_of_neighbors"] = (scratch / "index" / "neighbors.faiss").stat().st_size
    started = time.perf_counter()
    index = PictureIndex(folder, finder.peaks)
    told["seconds_to_open"] = time.perf_counter() - started
    asked = queries(finder, split)
    groups = [query.picture for query in asked]
    near, quick, slow = [], [], []
    index.search(asked[0].features, asked[0].point, MOST)
    for query in asked:
        started = time.perf_counter()
        near.append(index.search(query.features, query.point, MOST))
        quick.append(time.perf_counter() - started)
    for query in asked[:TIMED_EXACTLY]:
        started = time.perf_counter()
        index.search(query.features, query.point, MOST, exact=True)
        slow.append(time.perf_counter() - started)
    told |= {"queries": len(asked), "sources": len(set(groups))}
    told["milliseconds_a_query"] = [1e3 * each for each in (statistics.median(quick), np.quantile(quick, 0.95))]
    told["milliseconds_exact"] = 1e3 * statistics.median(slow)
    for name, best in best_of_all(folder, finder, scratch / "pictures", asked, unrounded).items():
        for most in (1, MOST):
            common = [
                [float(hit.picture in theirs[:most]) for hit in ours[:most]]
                for ours, theirs in zip(near, best, strict=True)
            ]
            told[f"recall@{most} of {name}"] = share(common, groups)
    seen = [judged(query, hits) for query, hits in zip(asked, near, strict=True)]
    told["of_the_class"] = share([[each[0] for each in hits] for hits in seen], groups)
    told["part_shown"] = share([[each[1] for each in hits] for hits in seen], groups)
    for alpha in ALPHAS:
        told[f"right@{alpha}"] = share([[float(each[2] <= alpha) for each in hits] for hits in seen], groups)
        shown = [[float(each[2] <= alpha) for each in hits if each[1]] for hits in seen]
        told[f"right_where_shown@{alpha}"] = share(shown, groups)
    return told


def page(told: dict) -> str:
    """The results as Markdown."""
    threads = f"{told['threads']} thread{'s' if told['threads'] > 1 else ''}"
    quick, slow = told["milliseconds_a_query"], told["milliseconds_exact"]

    def with_interval(name: str) -> str:
        mean, low, high = told[name]
        return f"{mean:.1f} [{low:.1f}, {high:.1f}]"

    rows = [
        ("index, seconds", f"{told['seconds_to_index']:.0f} ({told['processor_seconds_to_index']:.0f} of a processor)"),
        ("the same again, nothing changed, seconds", f"{told['seconds_to_look_again']:.1f}"),
        (
            "size on disk, MB",
            f"{told['bytes'] / 1e6:,.0f}, of it {told['bytes_of_neighbors'] / 1e6:,.0f} for the search",
        ),
        ("opened in, seconds", f"{told['seconds_to_open']:.2f}"),
        ("a query, milliseconds, median and 95 %", f"{quick[0]:.1f}, {quick[1]:.1f}"),
        ("the same with a look at every picture, median", f"{slow:.0f}: {slow / quick[0]:.0f} times as long"),
        *(
            (
                f"recall@1 and @10 against a look at every picture{what}, %",
                f"{with_interval(f'recall@1 of {kind}')}; {with_interval(f'recall@10 of {kind}')}",
            )
            for kind, what in (("kept", ""), ("unrounded", "'s features in full precision"))
            if f"recall@1 of {kind}" in told
        ),
        ("hits of the top 10 of the query's class, %", with_interval("of_the_class")),
        *(
            (
                f"hits right at alpha {alpha}, %; of those whose drawing shows the part",
                f"{with_interval(f'right@{alpha}')}; {with_interval(f'right_where_shown@{alpha}')}",
            )
            for alpha in ALPHAS
        ),
    ]
    about = (
        f"`python benchmarks/search.py --pictures {told['pictures']}` on {threads} of a CPU: "
        f"{told['pictures']:,} drawings of the toybox's world, {told['queries']} visible keypoints of the "
        f"{told['sources']} sources of {told['split']}, the student that ships. "
        "Brackets are 95 % bootstrap intervals over sources. A hit is right if it is of the "
        "query's class and its point is within alpha times the longer side of the object's box of the true keypoint."
    )
    return "\n".join(
        ["# A search over a folder", "", about, "", "| | |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows), ""]
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pictures", type=int, default=1000, help="drawings in the folder (1000)")
    parser.add_argument("--split", default="val", help="whose sources are asked for (val)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of torch and faiss")
    parser.add_argument("--unrounded", action="store_true", help="recall against features in full precision as well")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as scratch:
        told = measure(args.pictures, args.split, args.threads, args.unrounded, Path(scratch))
    args.out.mkdir(parents=True, exist_ok=True)
    save("search", args.out, told, page(told))
    print(page(told))


if __name__ == "__main__":
    main()
