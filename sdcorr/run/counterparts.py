"""Which parts of a data set's objects are the two sides of one, where no annotator says so.

Each picture is matched with its own mirror image (`sdcorr.methods.counterparts`), and what is found is pooled by the
names of the points over the pictures of a category; `sdcorr.run.found_sides` keeps it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations

import numpy as np

from sdcorr.datasets import Benchmark, Pair
from sdcorr.errors import UserError
from sdcorr.methods.base import Method
from sdcorr.methods.counterparts import counterparts
from sdcorr.methods.maps import MapMethod
from sdcorr.run.found_sides import FoundSides

# Chosen on the toybox's val split, where true pairs are found in 29 to 43 % of the pictures and others in 15 % at most.
SHARE = 0.22  # of the pictures that show both points
LEAST = 3  # pictures; a pair that is none is found in two at most on val

Both = tuple[str, str, str]  # a category, and two names in their order


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
