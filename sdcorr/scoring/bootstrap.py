"""Means of a metric under every average, and their intervals.

Intervals come from a bootstrap over pairs, 95 % between the percentiles. Points of one pair stand or fall
together, so a resample draws whole pairs; `per_point` then pools the points of the pairs drawn. A resample is a
weight for every pair, how often it was drawn, so all averages of all resamples are a few matrix products.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from sdcorr.scoring.averages import AVERAGES, averages
from sdcorr.scoring.counts import Counts

RESAMPLES_AT_ONCE = 100  # bounds the memory while drawing: 10 MB for 12,000 pairs
OF_POINTS_AT_ONCE = 32  # the same for the weights of points: 25 MB for 100,000
PAIRS_AT_ONCE = 1024  # bounds the memory while adding: 8 MB for 1,000 resamples


class Estimate(NamedTuple):
    """A value and the ends of its 95 % interval; None without a bootstrap."""

    value: float
    low: float | None = None
    high: float | None = None

    def times(self, factor: float) -> Estimate:
        """For example in percent."""
        ends = (None if end is None else factor * end for end in self[1:])
        return Estimate(factor * self.value, *ends)


@dataclass(frozen=True, eq=False)
class Means:
    """Means of K quantities under every average, of G groups of points; NaN without points."""

    values: np.ndarray  # (averages, G, K)
    resamples: np.ndarray  # (samples, averages, G, K)

    def __sub__(self, other: Means) -> Means:
        """The difference, resample by resample: both must be of the same pairs, drawn with the same seed."""
        return Means(self.values - other.values, self.resamples - other.resamples)

    def estimate(self, average: str, group: int, index: int) -> Estimate | None:
        """One of them with its interval; None without points."""
        where = (AVERAGES.index(average), group, index)
        if not np.isfinite(self.values[where]):
            return None
        return Estimate(float(self.values[where]), *(interval(self.resamples[(slice(None), *where)]) or ()))


class Bootstrap:
    """Draws pairs anew, always the same for the same number of pairs, so that two methods can be subtracted.

    Args:
        samples: resamples; 0 for no intervals.
        seed: of the draws.
    """

    def __init__(self, samples: int = 1000, seed: int = 0) -> None:
        self.samples, self.seed = samples, seed
        self._known: dict[Counts, Means] = {}  # a subject is compared with many methods

    def means(self, counts: Counts) -> Means:
        """Means over all pairs."""
        if counts not in self._known:
            self._known[counts] = Means(estimate(counts), weighted(counts, self._draws(counts)))
        return self._known[counts]

    def means_of_part(self, counts: Counts, rows: np.ndarray) -> Means:
        """Means over all points of some pairs, chosen by a mask (n,).

        The draws are those of all pairs, so the number of pairs in a part varies as it would if pairs were chosen anew.
        """
        part = counts.ungrouped().rows(rows)
        draws = self._draws(counts)[rows]
        return Means(estimate(part), weighted(part, draws if len(draws) > 1 else draws[:, :0]))

    def _draws(self, counts: Counts) -> np.ndarray:
        """How often each pair is drawn; no resample of a single pair, which would vary by nothing."""
        return draws(len(counts.ids), self.samples if len(counts.ids) > 1 else 0, self.seed)


def estimate(counts: Counts) -> np.ndarray:
    """Every average in AVERAGES of each group and quantity, (averages, G, K); NaN without points."""
    return weighted(counts, np.ones((len(counts.ids), 1), dtype=np.uint16))[0]


def weighted(counts: Counts, weights: np.ndarray) -> np.ndarray:
    """Means of S weightings of the pairs.

    Args:
        counts: of n pairs.
        weights: (n, S) how often each pair counts.

    Returns:
        (S, averages, G, K), NaN where there is no point.
    """
    blocks = list(counts.by_metric)
    result = []
    for group in range(counts.points.shape[1]):
        points = counts.points[:, group]
        if not points.any():  # most data sets tell no look-alikes apart
            result.append(np.full((weights.shape[1], len(AVERAGES), len(counts.measures)), np.nan))
            continue
        columns = [_columns(points, counts.sums[:, group, block]) for block in blocks]  # (n, 2K + 2) of each metric
        members = counts.by_category.values()
        added = [_sums([each[rows] for each in columns], weights[rows]) for rows in members]  # per category and metric
        means = [_averages(np.stack(of_metric, axis=1)) for of_metric in zip(*added, strict=True)]
        result.append(np.concatenate(means, axis=-1))  # (S, averages, K)
    return np.stack(result, axis=2)


@lru_cache(maxsize=2)  # the same for every method and protocol; 24 MB for 12,000 pairs and 1,000 resamples
def draws(pairs: int, samples: int, seed: int) -> np.ndarray:
    """How often each of n pairs is drawn in each resample, (n, samples)."""
    generator = np.random.default_rng(seed)
    weights = np.empty((pairs, samples), dtype=np.uint16)
    for start in range(0, samples, RESAMPLES_AT_ONCE):
        size = min(RESAMPLES_AT_ONCE, samples - start)
        drawn = generator.integers(pairs, size=(size, pairs)) + pairs * np.arange(size)[:, None]
        weights[:, start : start + size] = np.bincount(drawn.ravel(), minlength=size * pairs).reshape(size, pairs).T
    weights.setflags(write=False)
    return weights


def weights_of_points(rows: np.ndarray, pairs: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each of m points counts: once, then as often as its pair is drawn in each resample.

    Args:
        rows: (m,) int, which of the pairs a point belongs to.
        pairs: their number.
        samples: resamples; 0 for none.
        seed: of the bootstrap.

    Yields:
        (S, m) float64, 1 + samples rows in all, a few at a time.
    """
    yield np.ones((1, len(rows)))
    times = draws(pairs, samples, seed)  # (n, samples)
    for start in range(0, samples, OF_POINTS_AT_ONCE):
        yield times[:, start : start + OF_POINTS_AT_ONCE][rows].T.astype(np.float64)


def interval(values: np.ndarray) -> tuple[float, float] | None:
    """The 95 % interval of resampled values (samples,), of those that had any points; None if none had."""
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _columns(points: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """What every average is made of, for each of n pairs: sums (K), points, means of the pair (K), 1 if any point."""
    pair_means = sums / np.maximum(points, 1)[:, None]
    return np.column_stack([sums, points, pair_means, points > 0]).astype(np.float64)


def _sums(columns: Sequence[np.ndarray], weights: np.ndarray) -> list[np.ndarray]:
    """Weighted sums over the pairs, by weights (n, S), of the columns (n, K) of each metric: (S, K) of each.

    Each metric has a product of its own, so that its digits do not depend on which others are scored.
    """
    sums = [np.zeros((weights.shape[1], each.shape[1])) for each in columns]
    for start in range(0, len(weights), PAIRS_AT_ONCE):
        chunk = slice(start, start + PAIRS_AT_ONCE)
        drawn = weights[chunk].T.astype(np.float64)
        for total, each in zip(sums, columns, strict=True):
            total += drawn @ each[chunk]
    return sums


def _averages(added: np.ndarray) -> np.ndarray:
    """Every average, (S, averages, K), from the sums of `_columns` over the pairs of each category, (S, C, 2K + 2)."""
    quantities = added.shape[-1] // 2 - 1
    sums, points = added[..., :quantities], added[..., quantities]
    pair_means, pairs = added[..., quantities + 1 : -1], added[..., -1]
    with np.errstate(invalid="ignore"):
        return np.stack(averages(sums, points, pair_means, pairs), axis=1)
