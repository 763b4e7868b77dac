"""Does the confidence know when a match is wrong? Four answers, each with an interval from the bootstrap over pairs.

The share of right points among those of like confidence; the area under the ROC curve of the confidence as a judge of
right and wrong (the chance that a right point has the higher one, 0.5 for a guess); the PCK of what is kept when the
least sure points are dropped; and the average precision of the matches. Points with the same confidence are never told
apart. Of a confidence that is said to be a probability also: how far it is one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sdcorr.scoring.bootstrap import Estimate, interval, weights_of_points

BINS = 10
SHARES = tuple(np.linspace(0.05, 1.0, 20).round(2).tolist())  # of the points, that are kept


@dataclass(frozen=True)
class Bin:
    """Points of like confidence."""

    confidence: float  # mean
    right: Estimate  # share of them, in [0, 1]
    points: int


@dataclass(frozen=True)
class Reliability:
    """What is known about a confidence."""

    bins: tuple[Bin, ...]  # the least sure first
    auroc: Estimate | None  # None where all points are right, or all wrong
    precision: Estimate  # average precision of the matches
    kept: tuple[Estimate, ...]  # PCK of the surest SHARES of the points


@dataclass(frozen=True)
class ProbabilityScore:
    """How far what is said to be a probability is one."""

    error: Estimate  # expected calibration error over tenths, see `calibration_error`
    brier: Estimate  # mean squared difference of probability and outcome
    without: float  # the Brier score of the share of right points, said of every point


def reliability(
    confidence: np.ndarray,
    right: np.ndarray,
    rows: np.ndarray,
    *,
    bins: np.ndarray | None = None,
    samples: int = 1000,
    seed: int = 0,
) -> Reliability:
    """Judges a confidence.

    Args:
        confidence: (m,) of each point.
        right: (m,) bool, whether its match is right.
        rows: (m,) int, which of the pairs it belongs to, counted from 0.
        bins: (m,) int, which bin it is in; `deciles` by default.
        samples: bootstrap resamples; 0 for no intervals.
        seed: of the bootstrap.

    Raises:
        ValueError: if there is no point.
    """
    if not len(confidence):
        raise ValueError("there is no point whose confidence could be judged")
    bins = deciles(confidence) if bins is None else bins
    chunks = weights_of_points(rows, int(rows.max()) + 1, samples, seed)
    found = [_all_four(confidence, right, bins, weights) for weights in chunks]
    shares, areas, precisions, kept = (np.concatenate(each) for each in zip(*found, strict=True))
    return Reliability(
        tuple(
            Bin(float(confidence[bins == index].mean()), _estimate(shares[:, index]), int((bins == index).sum()))
            for index in range(shares.shape[1])
        ),
        None if np.isnan(areas[0]) else _estimate(areas),
        _estimate(precisions),
        tuple(_estimate(kept[:, index]) for index in range(len(SHARES))),
    )


def score_probability(
    probability: np.ndarray, right: np.ndarray, rows: np.ndarray, *, samples: int = 1000, seed: int = 0
) -> ProbabilityScore:
    """Judges a probability of being right; the arguments are those of `reliability`.

    The bootstrap adds noise to that of the sample, which an error without a sign takes for more error: its interval
    lies rather too high than too low.
    """
    chunks = weights_of_points(rows, int(rows.max()) + 1, samples, seed)
    found = [_error_and_brier(probability, right, weights) for weights in chunks]
    errors, scores = (np.concatenate(each) for each in zip(*found, strict=True))
    share = right.mean()
    return ProbabilityScore(_estimate(errors), _estimate(scores), float(share * (1 - share)))


def tenths(probability: np.ndarray) -> np.ndarray:
    """Which tenth of [0, 1] each of m probabilities is in, (m,) int from 0, empty tenths left out.

    >>> tenths(np.array([0.05, 0.31, 0.38, 1.0]))
    array([0, 1, 1, 2])
    """
    wanted = np.minimum((probability * BINS).astype(int), BINS - 1)
    return np.unique(wanted, return_inverse=True)[1].reshape(-1)


def calibration_error(probability: np.ndarray, right: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The expected calibration error: how far probabilities are from the share of right points, on average.

    Naeini et al. 2015 and Guo et al. 2017: in each tenth of [0, 1] the mean probability is compared with the share of
    right points, and the differences are averaged by the tenths' numbers of points.

    Args:
        probability: (m,) in [0, 1].
        right: (m,) bool.
        weights: (S, m), how often each point counts.

    Returns:
        (S,).

    >>> calibration_error(np.array([0.2, 0.2, 0.9, 0.9]), np.array([False, True, True, True]), np.ones((1, 4)))
    array([0.2])
    """
    bins = tenths(probability)
    members = np.eye(int(bins.max()) + 1)[bins]  # (m, B)
    return np.abs(weights @ (members * (right - probability)[:, None])).sum(1) / weights.sum(1)


def brier_score(probability: np.ndarray, right: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean squared difference of probability and outcome (Brier 1950); the arguments are as above, (S,).

    >>> brier_score(np.array([0.5, 1.0]), np.array([False, True]), np.ones((1, 2)))
    array([0.125])
    """
    return weights @ (right - probability) ** 2 / weights.sum(1)


def deciles(confidence: np.ndarray, count: int = BINS) -> np.ndarray:
    """Which bin each of m points is in, (m,) int from 0; as many in each as may be, those with the same in the same.

    >>> deciles(np.array([0.1, 0.4, 0.2, 0.2, 0.2, 0.9]), count=3)
    array([0, 1, 0, 0, 0, 1])
    """
    edges = np.quantile(confidence, np.arange(1, count) / count, method="inverted_cdf")  # the last of each bin
    wanted = np.searchsorted(edges, confidence, side="left")
    return np.unique(wanted, return_inverse=True)[1].reshape(-1)


def auroc(confidence: np.ndarray, right: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The chance that a right point has a higher confidence than a wrong one; a tie is half a chance.

    Args:
        confidence: (m,).
        right: (m,) bool.
        weights: (S, m), how often each point counts.

    Returns:
        (S,), NaN where no point that counts is right, or none is wrong.

    >>> auroc(np.array([0.9, 0.8, 0.3, 0.3]), np.array([True, False, True, False]), np.ones((1, 4)))
    array([0.625])
    """
    good, bad = _by_confidence(confidence, right, weights)
    below = bad.cumsum(1) - bad / 2  # wrong ones that a right one of this confidence is surer than
    with np.errstate(invalid="ignore"):
        return (good * below).sum(1) / (good.sum(1) * bad.sum(1))


def average_precision(
    confidence: np.ndarray, right: np.ndarray, weights: np.ndarray, hidden: np.ndarray | None = None
) -> np.ndarray:
    """The mean, over all points that the target shows, of the precision when a point is found; 0 if it never is.

    Matches are taken from the surest to the least sure. Precision is the share of right ones among those taken so far,
    so a wrong match, or any match of a point that is hidden in the target, lowers that of all less sure ones.
    This is the keypoint average precision (KAP) of Mariotti et al. 2024 and 2025 as far as matches alone can tell:
    their code also ranks, of every point, the best similarity away from its true place, which no record holds. It is
    the PCK if the ranking is perfect, and its square if the confidence is the same for all.

    Args:
        confidence: (m,).
        right: (m,) bool; of a hidden point False.
        weights: (S, m), how often each point counts.
        hidden: (m,) bool, the points that the target does not show; None if it shows all.

    Returns:
        (S,), NaN where no point that counts is shown.

    >>> average_precision(np.array([0.9, 0.8, 0.3, 0.3]), np.array([True, False, True, False]), np.ones((1, 4)))
    array([0.375])
    """
    good, bad = (part[:, ::-1] for part in _by_confidence(confidence, right, weights))  # surest first
    found = good.cumsum(1)
    shown = weights.sum(1) if hidden is None else (weights * ~hidden).sum(1)
    with np.errstate(invalid="ignore"):
        precision = found / (found + bad.cumsum(1))
        return np.nansum(good * precision, 1) / shown  # where nothing was taken yet nothing was found


def share_kept(confidence: np.ndarray, right: np.ndarray, weights: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """The share of right points among the surest ones.

    Args:
        confidence: (m,).
        right: (m,) bool.
        weights: (S, m), how often each point counts.
        shares: K of the points that are kept, each in (0, 1]; some of equally sure points count in part.

    Returns:
        (S, K), NaN where no point counts.

    >>> share_kept(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]), np.ones((1, 4)), (0.5, 1.0))
    array([[0.75, 0.5 ]])
    """
    good, bad = (part[:, ::-1].cumsum(1) for part in _by_confidence(confidence, right, weights))  # surest first
    kept = np.empty((len(weights), len(shares)))
    with np.errstate(invalid="ignore"):
        for row, (rights, points) in enumerate(zip(good, good + bad, strict=True)):
            wanted = np.array(shares) * points[-1]
            kept[row] = np.interp(wanted, np.r_[0, points], np.r_[0, rights]) / wanted
    return kept


def _all_four(
    confidence: np.ndarray, right: np.ndarray, bins: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Share right of each bin (S, B), area (S,), average precision (S,), share right of what is kept (S, K)."""
    members = np.eye(int(bins.max()) + 1)[bins]  # (m, B)
    with np.errstate(invalid="ignore"):
        shares = (weights @ (members * right[:, None])) / (weights @ members)
    ranked = (confidence, right, weights)
    return shares, auroc(*ranked), average_precision(*ranked), share_kept(*ranked, SHARES)


def _error_and_brier(probability: np.ndarray, right: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return calibration_error(probability, right, weights), brier_score(probability, right, weights)


def _by_confidence(confidence: np.ndarray, right: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted numbers of right and of wrong points of each confidence there is, (S, U) each, the least sure first."""
    order = np.argsort(confidence, kind="stable")
    starts = np.flatnonzero(np.diff(confidence[order], prepend=-np.inf))
    good, bad = (np.add.reduceat(weights[:, order] * of[order], starts, axis=1) for of in (right, ~right))
    return good, bad


def _estimate(values: np.ndarray) -> Estimate:
    """The first value, and the interval of the others."""
    return Estimate(float(values[0]), *(interval(values[1:]) or ()))
