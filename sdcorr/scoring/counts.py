"""Counts of points and sums of a metric over them, pair by pair: all that scores and their intervals are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby

import numpy as np

from sdcorr.scoring.arrays import Arrays
from sdcorr.scoring.metrics import METRICS, Measure, Metric
from sdcorr.scoring.parts import Part
from sdcorr.scoring.pck import ALPHAS
from sdcorr.scoring.protocols import Protocol


@dataclass(frozen=True, eq=False)
class Counts:
    """What was found of one method, one row per scored pair, n in all, sorted by the pair's id."""

    measures: tuple[Measure, ...]  # K: every metric, at each of its thresholds
    ids: np.ndarray  # (n,) str
    categories: np.ndarray  # (n,) str
    points: np.ndarray  # (n, G) int: visible points of each part in GROUPS
    sums: np.ndarray  # (n, G, K) over these points; of PCK, how many are correct at each threshold
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
    def size(self) -> tuple[int, int]:
        """Pairs and points."""
        return len(self.ids), int(self.points[:, 0].sum())

    @cached_property
    def by_category(self) -> Mapping[str, np.ndarray]:
        """The pairs of each category, a mask (n,)."""
        return {str(category): self.categories == category for category in np.unique(self.categories)}

    @property
    def by_metric(self) -> Iterator[slice]:
        """Where the measures of each metric are."""
        start = 0
        for _, group in groupby(self.measures, key=lambda measure: measure.metric):
            end = start + len(list(group))
            yield slice(start, end)
            start = end

    def parts(self) -> Iterator[tuple[Part, np.ndarray]]:
        """The pairs of each category and of each degree of difficulty: the part and a mask (n,)."""
        for category, rows in self.by_category.items():
            yield Part("category", category), rows
        for name, values in self.flags.items():
            for value in np.unique(values[values != ""]):
                yield Part("difficulty", str(value), name), values == value


def count(
    arrays: Arrays,
    protocol: Protocol,
    alphas: Sequence[float] = ALPHAS,
    metrics: Sequence[Metric] = METRICS[:1],
) -> Counts:
    """Adds up metrics over the points of every pair.

    Args:
        arrays: what one method predicted.
        protocol: what correct means.
        alphas: A thresholds, fractions of the protocol's length.
        metrics: what is added up, by default PCK alone.

    Raises:
        UserError: if the protocol does not suit the data.
    """
    values = np.concatenate([metric.of_points(arrays, protocol, alphas) for metric in metrics], axis=1)  # (m, K)
    starts = np.flatnonzero(np.diff(arrays.rows, prepend=-1))  # every pair has a point, so these are n
    return Counts(
        tuple(measure for metric in metrics for measure in metric.measures(alphas)),
        arrays.ids,
        arrays.categories,
        np.add.reduceat(arrays.groups, starts),
        np.add.reduceat(arrays.groups[:, :, None] * values.astype(np.float64)[:, None, :], starts),
        arrays.flags,
    )
