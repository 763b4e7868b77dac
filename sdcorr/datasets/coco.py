"""Objects with key-points in COCO's JSON, and the pairs that are made of them by rule.

The file is an object with three lists; what is not named here is passed over:

    images       id, file_name (a path from the folder of the pictures), and width and height if it has them
    categories   id, name, and keypoints: the names of the K key-points
    annotations  image_id, category_id, keypoints: K times x, y, v; bbox: x, y, width, height; iscrowd

v is 0 for a point without a place, 1 for one that is hidden and 2 for one that is seen; points of 1 and 2 in both
objects are asked for, and with `dataset.ask=all` those of 0 in the target. A box of zeros is none. Left out is what is
annotated as a crowd or has no place of any point, and every object that shares its image with another one of its
category, since a point of it might rightly be found on either.

Two objects of a category make a pair if at least one point has a place in both; the image that is listed first is the
source. `per_category` draws so many pairs of each category, by a seed and the category's name alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sdcorr.datasets.asking import hidden_points
from sdcorr.datasets.base import Box, Pair
from sdcorr.datasets.boxes import impossible
from sdcorr.datasets.tables import as_word
from sdcorr.errors import UserError

LISTS = ("images", "annotations", "categories")
VISIBILITIES = (0, 1, 2)
MOST_PAIRS = 1_000_000  # that are made without being asked for by number
CANDIDATES = 20  # are drawn for each pair, since some have no point in common
Entry = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Annotated:
    """An object in an image, raw, in pixels of the image."""

    where: str  # file and annotation
    file: str  # of the image, as it is written
    place: int  # of the image in the file's list
    size: tuple[int, int] | None  # (W, H) that the file says
    category: str
    names: tuple[str, ...]  # K
    points: np.ndarray  # (K, 2) float64, anything where unseen
    seen: np.ndarray  # (K,) bool
    box: Box | None


def is_coco(plain: Any) -> bool:
    """Whether what a JSON file says is in COCO's format."""
    return isinstance(plain, dict) and all(isinstance(plain.get(name), list) for name in LISTS)


def read_objects(name: str, plain: Entry) -> tuple[list[Annotated], list[str], str]:
    """The objects that can be paired; what is wrong with others; and how many were left out, in words."""
    mistakes: list[str] = []
    images, categories = (_by_id(name, plain, what, mistakes) for what in ("images", "categories"))
    mistakes += _namesakes(name, categories)
    places = {number: place for place, number in enumerate(images)}
    found: list[Annotated] = []
    left_out: Counter[str] = Counter()
    for number, entry in enumerate(plain["annotations"], start=1):
        where = f"{name}, annotation {_id(entry, number)}"
        try:
            image, category = _known(entry, "image_id", images), _known(entry, "category_id", categories)
            why = _left_out(entry)
            if why:
                left_out[why] += 1
            else:
                found.append(_annotated(where, entry, image, places[entry["image_id"]], category))
        except (ValueError, OverflowError) as error:
            mistakes.append(f"{where}: {error}")
    mistakes += _unequal(found)
    sharing = Counter((each.file, each.category) for each in found)
    alone = [each for each in found if sharing[each.file, each.category] == 1]
    left_out["beside another of their category"] = len(found) - len(alone)
    return alone, mistakes, ", ".join(f"{count:,} {why}" for why, count in left_out.items() if count)


def choose(objects: Sequence[Annotated], per_category: int | None, seed: int) -> list[tuple[Annotated, Annotated]]:
    """Source and target of all pairs, or of so many of each category; category by category, in the order of the file.

    Raises:
        UserError: if there are none, or too many to make all of them.
    """
    groups: dict[str, list[Annotated]] = {}
    for each in sorted(objects, key=lambda each: each.place):
        groups.setdefault(each.category, []).append(each)
    most = sum(math.comb(len(members), 2) for members in groups.values())
    if per_category is None and most > MOST_PAIRS:
        raise UserError(f"All objects would make {most:,} pairs: say how many with dataset.per_category=100.")
    chosen = [pair for name in sorted(groups) for pair in _of_category(name, groups[name], per_category, seed)]
    if not chosen:
        raise UserError("No two objects of a category have a key-point in common, so there is no pair: annotate more.")
    return chosen


def faults(annotated: Annotated, size: tuple[int, int]) -> Iterator[str]:
    """What cannot be in a picture of that size (W, H)."""
    if annotated.size not in (None, size):
        said = f"{annotated.size[0]} x {annotated.size[1]}"
        yield f"{annotated.where}: {annotated.file} is {size[0]} x {size[1]} pixels as one sees it, and not {said}"
        return
    for name, (x, y), seen in zip(annotated.names, annotated.points.tolist(), annotated.seen, strict=True):
        if seen and not (0 <= x <= size[0] and 0 <= y <= size[1]):
            yield (
                f"{annotated.where}: {name} ({x:g}, {y:g}) is outside {annotated.file}, which is "
                f"{size[0]} x {size[1]} pixels"
            )
    if annotated.box and (wrong := impossible(annotated.box, size)):
        yield f"{annotated.where}: bbox as corners {wrong}"


def pair_of(
    id: str, source: Annotated, target: Annotated, keys: Sequence[str], sizes: Sequence[tuple[int, int]], ask: str
) -> Pair:
    """The pair of two objects, whose pictures have these keys and sizes; `ask` is that of the data set."""
    return Pair(
        id=id,
        category=source.category,
        source=keys[0],
        target=keys[1],
        source_size=sizes[0],
        target_size=sizes[1],
        source_points=source.points,
        target_points=target.points,
        visible=source.seen & target.seen,
        names=source.names,
        source_box=source.box,
        target_box=target.box,
        hidden=hidden_points(ask, source.seen, target.seen),
    )


def _of_category(
    name: str, members: Sequence[Annotated], per_category: int | None, seed: int
) -> Iterator[tuple[Annotated, Annotated]]:
    total = math.comb(len(members), 2)
    if per_category is None:
        numbers = np.arange(total)
    else:
        draws = np.random.default_rng([seed, *name.encode()])
        numbers = draws.choice(total, min(total, CANDIDATES * per_category), replace=False)
    seen = np.stack([each.seen for each in members])  # (m, K)
    targets = ((1 + np.sqrt(1 + 8 * numbers)) // 2).astype(int)  # pair number t (t - 1) / 2 + s is (s, t), s < t
    sources = numbers - targets * (targets - 1) // 2
    common = (seen[sources] & seen[targets]).any(axis=1)
    kept = np.flatnonzero(common)[:per_category]
    for source, target in sorted(zip(sources[kept].tolist(), targets[kept].tolist(), strict=True)):
        yield members[source], members[target]


def _annotated(where: str, entry: Entry, image: Entry, place: int, category: Entry) -> Annotated:
    """Raises ValueError saying what is wrong with it."""
    table = np.array(_keypoints(entry)).reshape(-1, 3)  # (K, 3) x, y, v
    names = category.get("keypoints") or [str(number) for number in range(1, len(table) + 1)]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("the keypoints of its category are not names")
    names = [as_word(name) or str(number) for number, name in enumerate(names, start=1)]
    if len(names) != len(table):
        raise ValueError(f"it has {len(table)} key-points, and its category names {len(names)}")
    seen = table[:, 2] > 0
    if not np.isfinite(table[seen]).all():
        raise ValueError("a key-point with v above 0 is not a number")
    size = tuple(image.get(side) for side in ("width", "height"))
    return Annotated(
        where=where,
        file=_word(image, "file_name"),
        place=place,
        size=None if None in size else (_whole(size[0]), _whole(size[1])),
        category=as_word(_word(category, "name")),
        names=tuple(names),
        points=table[:, :2],
        seen=seen,
        box=_box(entry),
    )


def _keypoints(entry: Entry) -> list[float]:
    """The K times x, y, v of an annotation. Raises ValueError if they are not that."""
    values = entry["keypoints"]
    if not isinstance(values, list) or len(values) % 3:
        raise ValueError("keypoints is not x, y, v of each point")
    if wrong := [v for v in values[2::3] if v not in VISIBILITIES]:
        raise ValueError(f"keypoints has a visibility of {wrong[0]!r}, which is not 0, 1 or 2")
    if not all(type(value) in (int, float) or (value is None and not v) for value, v in _with_visibility(values)):
        raise ValueError("keypoints has something that is not a number")
    return [math.nan if value is None else float(value) for value in values]


def _with_visibility(values: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    return ((value, values[index - index % 3 + 2]) for index, value in enumerate(values))


def _left_out(entry: Entry) -> str:
    """Why an annotation cannot be paired; empty if it can."""
    if entry.get("iscrowd"):
        return "annotated as crowds"
    values = entry.get("keypoints") or []
    if isinstance(values, list) and len(values) % 3 == 0 and all(v == 0 for v in values[2::3]):
        return "without a key-point"
    return ""


def _box(entry: Entry) -> Box | None:
    """The box's corners; None if it is away or all zeros. Raises ValueError if it is no box."""
    values = [0, 0, 0, 0] if entry.get("bbox") in (None, []) else entry["bbox"]
    plain = isinstance(values, list) and len(values) == 4
    if not plain or not all(type(value) in (int, float) and math.isfinite(value) for value in values):
        raise ValueError(f"bbox is {values!r}, which is not x, y, width, height")
    x, y, width, height = map(float, values)
    return (x, y, x + width, y + height) if any(values) else None


def _unequal(objects: Sequence[Annotated]) -> Iterator[str]:
    """What is wrong where a category's objects have different numbers of key-points."""
    first: dict[str, Annotated] = {}
    for each in objects:
        other = first.setdefault(each.category, each)
        if len(each.names) != len(other.names):
            yield f"{each.where} has {len(each.names)} key-points, and {other.where} of its category {len(other.names)}"


def _namesakes(name: str, categories: Mapping[Any, Entry]) -> Iterator[str]:
    """Categories that could not be told apart in a score."""
    names = Counter(entry.get("name") for entry in categories.values() if isinstance(entry.get("name"), str))
    return (f"{name}: {count} categories are called {word!r}" for word, count in names.items() if count > 1)


def _by_id(name: str, plain: Entry, what: str, mistakes: list[str]) -> dict[Any, Entry]:
    """The entries of a list by their ids."""
    found: dict[Any, Entry] = {}
    for number, entry in enumerate(plain[what], start=1):
        key = _id(entry, None)
        if key is None:
            mistakes.append(f"{name}: entry {number} of {what} has no id")
        elif key in found:
            mistakes.append(f"{name}: two {what} have the id {key!r}")
        else:
            found[key] = entry
    return found


def _id(entry: Any, otherwise: Any) -> Any:
    """The id of an entry, a number or a word."""
    key = entry.get("id") if isinstance(entry, dict) else None
    return key if isinstance(key, int | float | str) else otherwise


def _known(entry: Any, name: str, known: Mapping[Any, Entry]) -> Entry:
    key = entry.get(name) if isinstance(entry, dict) else None
    if not isinstance(key, int | float | str) or key not in known:
        raise ValueError(f"{name} is {key!r}, which is the id of nothing")
    return known[key]


def _word(entry: Entry, name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is {value!r} in what it belongs to, which is no name")
    return value


def _whole(value: Any) -> int:
    if type(value) not in (int, float) or not math.isfinite(value) or value != int(value) or value < 1:
        raise ValueError(f"its image is {value!r} pixels wide or high")
    return int(value)
