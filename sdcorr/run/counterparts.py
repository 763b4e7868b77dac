"""Which parts of a run's objects are the two sides of one, where no annotator says so: counterparts.json in its folder.

Each picture is matched with its own mirror image (`sdcorr.methods.counterparts`), and what is found is pooled by the
names of the points over the pictures of a category. The file says that it was found, and not annotated, by which method
and in how many pictures; whoever scores by it says so too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from sdcorr.datasets import Benchmark, Pair
from sdcorr.errors import UserError
from sdcorr.files import write_whole
from sdcorr.methods.base import Method
from sdcorr.methods.counterparts import counterparts
from sdcorr.methods.maps import MapMethod

FILE = "counterparts.json"
FORMAT = "sdcorr counterparts 1"
# Chosen on the toybox's val split, where true pairs are found in 29 to 43 % of the pictures and others in 15 % at most.
SHARE = 0.22  # of the pictures that show both points
LEAST = 3  # pictures; a pair that is none is found in two at most on val

Both = tuple[str, str, str]  # a category, and two names in their order


@dataclass(frozen=True)
class FoundSides:
    """Two points that were found to be counterparts."""

    category: str
    names: tuple[str, str]
    found: int  # pictures in which they are each other's counterpart
    pictures: int  # that show both


def find_sides(benchmark: Benchmark, method: Method) -> list[FoundSides]:
    """The counterparts among the points of a data set, by category.

    Args:
        benchmark: its pairs and pictures; that a picture is in several pairs does not count.
        method: one with features, prepared. It reads each picture, and its mirror image.

    Raises:
        UserError: if the method has no features, or a picture cannot be read.
    """
    return taken(*pooled(benchmark, method))


def pooled(benchmark: Benchmark, method: Method) -> tuple[Counter[Both], Counter[Both]]:
    """In how many pictures two points are each other's counterpart, and how many show both; see `find_sides`."""
    if not isinstance(method, MapMethod) or not method.has_features:
        raise UserError("counterparts=true stands on a method with features: give prompt, read_once or unet_features.")
    linked: Counter[Both] = Counter()
    seen: Counter[Both] = Counter()
    for (key, category), places in _pictures(benchmark.pairs).items():
        names = sorted(places)
        seen.update((category, *both) for both in combinations(names, 2))
        picture = method.features(key, benchmark.image, category)
        mirrored = method.mirrored_features(key, benchmark.image, category)
        links = counterparts(picture, mirrored, np.array([places[name] for name in names]).reshape(-1, 2))
        linked.update((category, names[one], names[other]) for one, other in links)
    return linked, seen


def write_sides(folder: Path, found: Iterable[FoundSides], method: str) -> Path:
    """Writes the file, and returns its path.

    Args:
        folder: of the run.
        found: what `find_sides` gives.
        method: whose features it was found with.

    Raises:
        UserError: if the folder cannot be written.
    """
    path = folder / FILE
    told = {
        "format": FORMAT,
        "origin": "found, not annotated",
        "method": method,
        "pairs": [asdict(each) for each in found],
    }
    write_whole(path, json.dumps(told, indent=1) + "\n")
    return path


def read_sides(folder: Path) -> list[FoundSides]:
    """What was found in a run; nothing if nobody has looked.

    Raises:
        UserError: if the file is not one of this program.
    """
    path = folder / FILE
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] != FORMAT:
            raise ValueError(f"its format is not {FORMAT!r}")
        return [FoundSides(**each | {"names": (each["names"][0], each["names"][1])}) for each in told["pairs"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(f"{path} is no whole record of counterparts ({error}): delete it and evaluate again.") from None


def _pictures(pairs: Iterable[Pair]) -> dict[tuple[str, str], dict[str, tuple[float, float]]]:
    """By key and category the asked points that a picture is known to show; a name with two places is none."""
    found: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}
    unclear: set[tuple[str, str, str]] = set()
    for pair in pairs:
        for key, points in ((pair.source, pair.query_points), (pair.target, pair.true_points)):
            places = found.setdefault((key, pair.category), {})
            for name, (x, y) in zip(pair.asked_names, points.tolist(), strict=True):
                if x == x and places.setdefault(name, (x, y)) != (x, y):
                    unclear.add((key, pair.category, name))
    for key, category, name in unclear:
        del found[key, category][name]
    return found


def taken(linked: Mapping[Both, int], seen: Mapping[Both, int]) -> list[FoundSides]:
    """Those that are found often enough, the surest first; a point has one counterpart."""
    found: dict[tuple[str, str], FoundSides] = {}
    for both, count in sorted(linked.items(), key=lambda each: (-each[1] / seen[each[0]], each[0])):
        category, *names = both
        free = not any((category, name) in found for name in names)
        if free and count >= LEAST and count >= SHARE * seen[both]:
            each = FoundSides(category, (names[0], names[1]), count, seen[both])
            found |= {(category, name): each for name in names}
    return list(dict.fromkeys(found.values()))
