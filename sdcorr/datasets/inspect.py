"""The dataset card: what the data on this disk hold, beside what is known of the published ones.

    sdcorr inspect dataset=spair dataset.split=val dataset.root=FOLDER

It takes the settings of `eval.py` and any data set. What differs from the published numbers, which each data set's own
file knows (`Benchmark.expected`), is marked; points outside their image, which no reader changes, are counted.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from sdcorr.datasets.base import Benchmark, Pair
from sdcorr.datasets.pictures import PictureFiles

SHOWN = 5  # at most so many of a list
RECORD = "prepared.json"  # what `sdcorr.datasets.fetch.prepare` leaves in a data set's folder


def card(benchmark: Benchmark) -> str:
    """The card of one split: a line a fact, what it is and its value."""
    facts = dict(_facts(benchmark))
    width = max(map(len, facts))
    return "\n".join(f"{what:<{width}}  {value}".rstrip() for what, value in facts.items())


def counts(benchmark: Benchmark) -> dict[str, int]:
    """Pairs (those that cannot be read too), images, points to be found, and pairs of each category."""
    pairs = benchmark.pairs
    categories = Counter(pair.category for pair in pairs)
    return {
        "pairs": len(pairs) + len(benchmark.broken),
        "images": len({pair.source for pair in pairs} | {pair.target for pair in pairs}),
        "points": int(sum(pair.visible.sum() for pair in pairs)),
    } | {f"category/{name}": categories[name] for name in sorted(categories)}


def digest(pairs: Sequence[Pair]) -> str:
    """16 hexadecimal digits that name the annotations: ids, points, what is visible, boxes."""
    found = hashlib.sha256()
    for pair in pairs:
        boxes = [pair.source_box, pair.target_box]
        found.update(json.dumps([pair.id, pair.source, pair.target, boxes]).encode())
        hidden = () if pair.hidden is None else (pair.hidden,)
        for array in (pair.source_points, pair.target_points, pair.visible, *hidden):
            plain = np.where(np.isnan(array), np.nan, array) if array.dtype.kind == "f" else array  # one kind of NaN
            found.update(plain.astype(plain.dtype.newbyteorder("<")).tobytes())
    return found.hexdigest()[:16]


def outside(points: np.ndarray, size: tuple[int, int]) -> tuple[int, int]:
    """How many of the points (N, 2) lie outside an image of that size (W, H), and how many on its far edges.

    The far edges, x = W or y = H, are inside by the pixel area convention; code that takes points for indices of
    pixels does not reach them.
    """
    beyond = ((points < 0) | (points > size)).any(axis=1)
    return int(beyond.sum()), int((points == size).any(axis=1)[~beyond].sum())


def _facts(benchmark: Benchmark) -> Iterator[tuple[str, str]]:
    pairs, broken = benchmark.pairs, benchmark.broken
    found, known = counts(benchmark), benchmark.expected
    yield "data set", f"{benchmark.name}, split {benchmark.split}"
    if isinstance(benchmark, PictureFiles):
        yield "folder", str(benchmark.folder)
        yield "sha256 of the archive", _archive(benchmark.folder)
    yield "digest of the annotations", digest(pairs)
    for what in ("pairs", "images", "points"):
        yield what, _beside(found.pop(what), known.get(what))
    yield "pairs that cannot be read", _some(len(broken), [f"{name}: {reason}" for name, reason in broken])
    if any(pair.hidden is not None for pair in pairs):
        yield "points hidden in the target", f"{sum(int(pair.is_hidden.sum()) for pair in pairs):,}"
    points = [int(pair.visible.sum()) for pair in pairs]
    yield "points in a pair", _range(points)
    yield "pairs without a point", _some(points.count(0), [pair.id for pair in pairs if not pair.visible.any()])
    yield from _outliers(pairs)
    boxes = [box for pair in pairs for box in (pair.source_box, pair.target_box) if box]
    yield "boxes", f"{len(boxes):,} of {2 * len(pairs):,}"
    if boxes:
        yield "longer side of a box", _range([max(box[2] - box[0], box[3] - box[1]) for box in boxes])
    sizes = {key: size for pair in pairs for key, size in _images(pair)}.values()
    yield "width of an image", _range([size[0] for size in sizes])
    yield "height of an image", _range([size[1] for size in sizes])
    yield from _flags(pairs)
    for what in sorted(found.keys() | {name for name in known if name.startswith("category/")}):
        yield f"pairs of {what.removeprefix('category/')}", _beside(found.get(what, 0), known.get(what))


def _archive(folder: Path) -> str:
    try:
        return str(json.loads((folder / RECORD).read_text())["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return f"unknown, for {RECORD} is not there"


def _outliers(pairs: Sequence[Pair]) -> Iterator[tuple[str, str]]:
    """Points outside their image, and on its far edges, in sources and in targets."""
    for side in ("source", "target"):
        places = [
            outside(getattr(pair, f"{side}_points")[pair.visible], getattr(pair, f"{side}_size")) for pair in pairs
        ]
        names = [pair.id for pair, place in zip(pairs, places, strict=True) if place[0]]
        yield f"points outside the {side}", _some(sum(place[0] for place in places), names)
        yield f"points on the {side}'s far edges", f"{sum(place[1] for place in places):,}"


def _flags(pairs: Sequence[Pair]) -> Iterator[tuple[str, str]]:
    """How often each value of a flag is there; of a flag with many values, how many."""
    for name in sorted({name for pair in pairs for name in pair.flags}):
        values = Counter(str(pair.flags.get(name, "-")) for pair in pairs)
        few = ", ".join(f"{value} {count:,}" for value, count in sorted(values.items()))
        yield f"flag {name}", few if len(values) <= 2 * SHOWN else f"{len(values):,} values"


def _images(pair: Pair) -> tuple[tuple[str, tuple[int, int]], ...]:
    return (pair.source, pair.source_size), (pair.target, pair.target_size)


def _beside(value: int, known: int | None) -> str:
    return f"{value:,}" + ("" if known is None else ", as published" if value == known else f" (published: {known:,})")


def _range(values: Sequence[float]) -> str:
    if not values:
        return "none"
    return f"{min(values):g} to {max(values):g}, median {np.median(values):g}"


def _some(count: int, names: Sequence[str]) -> str:
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{count:,}" + (f" ({'; '.join(names[:SHOWN])}{more})" if names else "")
