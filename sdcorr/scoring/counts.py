"""Counts of points and sums of a metric over them, pair by pair: all that scores and their intervals are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sdcorr.scoring.arrays import Arrays
from sdcorr.scoring.metrics import METRICS, Measure, Metric
from sdcorr.scoring.parts import Part
from sdcorr.scoring.pck import ALPHAS
from sdcorr.scoring.protocols import Protocol


@dataclass(frozen=True, eq=False)
class Counts:
    """What one metric found of one method, one row per scored pair, n in all, sorted by the pair's id."""

    measures: tuple[Measure, ...]  # K: the metric, at each of its thresholds
    ids: np.ndarray  # (n,) str
    categories: np.ndarray  # (n,) str
    points: np.ndarray  # (n, G) int: visible points of each part in GROUPS
    sums: np.ndarray  # (n, G, K) over these points; of PCK int, how many are correct at each threshold
    flags: Mapping[str, np.ndarray] = field(default_factory=dict)  # name -> (n,) str, "" where a pair has no such flag

    def rows(self, chosen: np.ndarray) -> Counts:
        """The counts of some of the pairs, chosen by a mask (n,) or by indices."""
        return Counts(
            self.measures,
            self.ids[chosen],
            self.categories[chosen],
            self.points[chosen],
            self.sums[chosen],
            {name: values[chosen] for name, values in self.flags.items()},
        )

    def ungrouped(self) -> Counts:
        """The counts of all points, without those of look-alikes and of distinct points: G = 1."""
        return replace(self, points=self.points[:, :1], sums=self.sums[:, :1])

    @property
    def sizes(self) -> tuple[int, int]:
        """Pairs and points."""
        return len(self.ids), int(self.points[:, 0].sum())

    def parts(self) -> Iterator[tuple[Part, np.ndarray]]:
        """The pairs of each category and of each degree of difficulty: the part and a mask (n,)."""
        for category in np.unique(self.categories):
            yield Part("category", str(category)), self.categories == category
        for name, values in self.flags.items():
            for value in np.unique(values[values != ""]):
                yield Part("difficulty", str(value), name), values == value


def count(arrays: Arrays, protocol: Protocol, alphas: Sequence[float] = ALPHAS, metric: Metric = METRICS[0]) -> Counts:
    """Adds up a metric over the points of every pair.

    Args:
        arrays: what one method predicted.
        protocol: what correct means.
        alphas: A thresholds, fractions of the protocol's length.
        metric: what is added up, by default PCK.

    Raises:
        UserError: if the protocol does not suit the data.
    """
    values = metric.of_points(arrays, protocol, alphas)  # (m, K)
    if values.dtype == bool:
        values = values.astype(int)
    starts = np.flatnonzero(np.diff(arrays.rows, prepend=-1))  # every pair has a point, so these are n
    return Counts(
        metric.measures(alphas),
        arrays.ids,
        arrays.categories,
        np.add.reduceat(arrays.groups, starts),
        np.add.reduceat(arrays.groups[:, :, None] * values[:, None, :], starts),
        arrays.flags,
    )
