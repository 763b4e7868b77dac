"""One source picture's labels: points are chosen, matched in every target, and what speaks for each match is noted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sdcorr.datasets import Benchmark, Match, Pair, group_by_source
from sdcorr.datasets.base import TRANSFER_COST
from sdcorr.errors import UserError
from sdcorr.labels.points import GRID, Parts, choose_points
from sdcorr.methods.maps import KEPT, Features, MapMethod
from sdcorr.run.units import unreadable

PICTURES_OF_PARTS = 64  # of a group, from which it is learned what its object is

EVIDENCE = {  # column -> what a match leaves behind, see `sdcorr.methods.evidence`; NaN where a method leaves none
    "peak": "peak",
    "margin": "margin",
    "entropy": "entropy",
    "restarts": "restarts",
    "layers": "layers",
    "way_back": "back",
    "likeness": "likeness",
    "votes": "votes",
}

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class LabelUnit:
    """A source picture and the pictures in which its points are followed: the unit of work."""

    category: str
    source: str  # image key
    targets: tuple[str, ...]  # image keys

    @property
    def cost(self) -> float:
        """The expected work, in sources."""
        return 1 + TRANSFER_COST * len(self.targets)


class Labeler:
    """Labels source pictures with a method. What it does for one depends on nothing but the unit and its group.

    Args:
        method: gives matches with maps, and features of pictures.
        benchmark: reads the pictures.
        groups: the pictures in use by category, their keys.
        points: the most that are chosen in a source picture.
    """

    def __init__(
        self, method: MapMethod, benchmark: Benchmark, groups: Mapping[str, Sequence[str]], points: int
    ) -> None:
        self._method, self._benchmark, self._groups, self._points = method, benchmark, groups, points
        self._sizes: dict[str, tuple[int, int]] = {}
        self._parts = lru_cache(maxsize=1)(self._parts_of)
        self._surfaces = lru_cache(maxsize=KEPT)(self._surfaces_of)

    def label(self, unit: LabelUnit) -> Columns:
        """The labels of a unit, a row a point and target; those of a picture that cannot be read are left out.

        Returns:
            `track`, `target`, points, and what JUDGED_BY of `folder` names, (N,) each;
            points in pixels of the pictures.

        Raises:
            UserError: from the method.
        """
        try:
            return self._label(unit, unit.targets)
        except UserError:
            bad = unreadable(self._benchmark, (unit.source, *unit.targets))
            if not bad:
                raise
            left = tuple(key for key in unit.targets if key not in bad)
            return self._label(unit, () if unit.source in bad else left)

    def _label(self, unit: LabelUnit, targets: Sequence[str]) -> Columns:
        if not targets:
            return _joined([])
        parts, surface = self._parts(unit.category), self._surfaces(unit.source, unit.category)
        picture = surface.pooled(GRID)
        size = self._size(unit.source)
        points = choose_points(parts.clusters(picture), parts.distances(picture), size, self._points, unit.source)
        if not len(points):
            return _joined([])
        pairs = [self._pair(unit, target, points) for target in targets]
        (asked,) = group_by_source(pairs)
        matches = self._method.match(asked, self._benchmark.image)
        return _joined([self._rows(unit, pair.target, points, match) for pair, match in matches])

    def _rows(self, unit: LabelUnit, target: str, points: np.ndarray, match: Match) -> Columns:
        there = self._surfaces(target, unit.category).pooled(GRID)
        column, row = (match.points / self._size(target) * GRID).astype(int).clip(0, GRID - 1).T
        nothing = np.full(len(points), np.nan)
        return {
            "track": np.array([f"{unit.source}#{number:03}" for number in range(len(points))]),
            "target": np.array([target] * len(points)),
            "source_x": points[:, 0],
            "source_y": points[:, 1],
            "target_x": match.points[:, 0],
            "target_y": match.points[:, 1],
            "confidence": match.confidence,
            **{name: match.evidence.get(of, nothing) for name, of in EVIDENCE.items()},
            "on_object": self._parts(unit.category).distances(there)[row * GRID + column],
        }

    def _pair(self, unit: LabelUnit, target: str, points: np.ndarray) -> Pair:
        """What is asked of the method; nobody knows the answer."""
        return Pair(
            id=f"{unit.source}-{target}",
            category=unit.category,
            source=unit.source,
            target=target,
            source_size=self._size(unit.source),
            target_size=self._size(target),
            source_points=points,
            target_points=np.full_like(points, np.nan),
            visible=np.ones(len(points), dtype=bool),
            names=tuple(map(str, range(len(points)))),
        )

    def _parts_of(self, category: str) -> Parts:
        """What the group shows, from an even spread of its pictures."""
        keys = self._groups[category]
        step = max(1, -(-len(keys) // PICTURES_OF_PARTS))
        bad: Mapping[str, str] = {}
        try:
            return self._parts_from(category, keys[::step])
        except UserError:
            bad = unreadable(self._benchmark, keys[::step])
            if not bad:
                raise
        return self._parts_from(category, [key for key in keys[::step] if key not in bad])

    def _parts_from(self, category: str, keys: Sequence[str]) -> Parts:
        return Parts.of([self._surfaces(key, category).pooled(GRID) for key in keys])

    def _surfaces_of(self, key: str, category: str) -> Features:
        return self._method.surfaces(key, self._benchmark.image, category)

    def _size(self, key: str) -> tuple[int, int]:
        if key not in self._sizes:
            self._sizes[key] = self._benchmark.image(key).size
        return self._sizes[key]


def _joined(rows: Sequence[Columns]) -> Columns:
    return {name: np.concatenate([each[name] for each in rows]) for name in rows[0]} if rows else {}
