"""PCK of a tally under every average, and of resamples of its pairs.

Intervals come from a bootstrap over pairs, 95 % between the percentiles. Points of one pair stand or fall
together, so a resample draws whole pairs; `per_point` then pools the points of the pairs drawn. A resample is a
weight for every pair, how often it was drawn, so all averages of all resamples are a few matrix products.
"""

from functools import lru_cache

import numpy as np

from sdcorr.scoring.counts import GROUPS, Tally
from sdcorr.scoring.pck import AVERAGES, averages

RESAMPLES_AT_ONCE = 100  # bounds the memory while drawing: 10 MB for 12,000 pairs
PAIRS_AT_ONCE = 1024  # bounds the memory while adding: 8 MB for 1,000 resamples


def estimate(counts: Tally) -> np.ndarray:
    """PCK in [0, 1], (averages, G, A): every average in AVERAGES, group and threshold; NaN without points."""
    return weighted(counts, np.ones((len(counts.ids), 1), dtype=np.uint16))[0]


def resampled(counts: Tally, samples: int, seed: int) -> np.ndarray:
    """PCK of `samples` bootstrap resamples of the pairs, (samples, averages, G, A).

    The draws depend on the number of pairs and the seed alone, so that two tallies of the same pairs can be
    subtracted from each other.
    """
    return weighted(counts, draws(len(counts.ids), samples, seed))


def weighted(counts: Tally, weights: np.ndarray) -> np.ndarray:
    """PCK of S weightings of the pairs.

    Args:
        counts: of n pairs.
        weights: (n, S) how often each pair counts.

    Returns:
        (S, averages, G, A), NaN where there is no point.
    """
    samples, alphas = weights.shape[1], counts.correct.shape[-1]
    members = [counts.categories == category for category in np.unique(counts.categories)]
    result = []
    for group in range(len(GROUPS)):
        columns = _columns(counts.points[:, group], counts.correct[:, group])  # (n, 2A + 2)
        if not counts.points[:, group].any():  # most data sets tell no look-alikes apart
            result.append(np.full((samples, len(AVERAGES), alphas), np.nan))
            continue
        sums = np.stack([_sums(columns[rows], weights[rows]) for rows in members], axis=1)  # (S, C, 2A + 2)
        correct, points = sums[..., :alphas], sums[..., alphas]
        image_pck, images = sums[..., alphas + 1 : -1], sums[..., -1]
        with np.errstate(invalid="ignore"):
            result.append(np.stack(averages(correct, points, image_pck, images), axis=1))
    return np.stack(result, axis=2)


@lru_cache(maxsize=2)  # the same for every method and protocol; 24 MB for 12,000 pairs and 1,000 resamples
def draws(pairs: int, samples: int, seed: int) -> np.ndarray:
    """How often each of n pairs is drawn in each resample, (n, samples)."""
    generator = np.random.default_rng(seed)
    weights = np.empty((pairs, samples), dtype=np.uint16)
    for start in range(0, samples, RESAMPLES_AT_ONCE):
        count = min(RESAMPLES_AT_ONCE, samples - start)
        drawn = generator.integers(pairs, size=(count, pairs)) + pairs * np.arange(count)[:, None]
        weights[:, start : start + count] = np.bincount(drawn.ravel(), minlength=count * pairs).reshape(count, pairs).T
    weights.setflags(write=False)
    return weights


def interval(values: np.ndarray) -> tuple[float, float] | None:
    """The 95 % interval of resampled values (samples,), of those that had any points; None if none had."""
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _columns(points: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """What every average is made of, for each of n pairs: right points (A), points, PCK of the pair (A), 1 if any."""
    image_pck = correct / np.maximum(points, 1)[:, None]
    return np.column_stack([correct, points, image_pck, points > 0]).astype(np.float64)


def _sums(columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted sums of columns (n, K) over the pairs by weights (n, S), (S, K)."""
    sums = np.zeros((weights.shape[1], columns.shape[1]))
    for start in range(0, len(columns), PAIRS_AT_ONCE):
        chunk = slice(start, start + PAIRS_AT_ONCE)
        sums += weights[chunk].T.astype(np.float64) @ columns[chunk]
    return sums
