"""All points that were asked for, ranked by confidence: those that the target shows, and those that it hides.

Scores of them are no means over points, so they are resampled here: a resample of the bootstrap draws whole pairs, and
the points of a pair that is drawn twice count twice. Pairs of which only hidden points are asked are among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sdcorr.scoring.arrays import Arrays
from sdcorr.scoring.averages import USUAL
from sdcorr.scoring.bootstrap import Estimate, interval, weights_of_points
from sdcorr.scoring.metrics import RankMetric, kap, there_auroc
from sdcorr.scoring.parts import ALL
from sdcorr.scoring.protocols import Protocol
from sdcorr.scoring.scores import Score

RANK_METRICS: tuple[RankMetric, ...] = (kap.METRIC, there_auroc.METRIC)


@dataclass(frozen=True, eq=False)
class Ranks:
    """The m points that a method was asked for, whose place is known or that the target hides."""

    ids: np.ndarray  # (n,) str, of the pairs, sorted
    rows: np.ndarray  # (m,) int: which pair a point belongs to
    confidence: np.ndarray  # (m,)
    hidden: np.ndarray  # (m,) bool: the target does not show it
    right: np.ndarray  # (m, A) bool: its match is right at each threshold; of a hidden point never
    alphas: tuple[float, ...]

    @classmethod
    def of(cls, arrays: Arrays, protocol: Protocol, alphas: Sequence[float]) -> Ranks | None:
        """Those of a method; None if no hidden point was asked for.

        Raises:
            UserError: if the protocol does not suit the data.
        """
        hidden = arrays.hidden
        if arrays.confidence is None or not len(hidden.confidence):
            return None
        pairs = np.concatenate([arrays.ids[arrays.rows], hidden.ids])  # (m,)
        ids, rows = np.unique(pairs, return_inverse=True)
        shown = protocol.correct_points(arrays, alphas)
        right = np.concatenate([shown, np.zeros((len(hidden.ids), len(alphas)), dtype=bool)])
        confidence = np.concatenate([arrays.confidence, hidden.confidence])
        return cls(ids, rows, confidence, np.arange(len(rows)) >= len(shown), right, tuple(alphas))

    def of_pairs(self, ids: np.ndarray) -> Ranks:
        """The points of some of the pairs, named by their sorted ids."""
        kept = np.isin(self.ids[self.rows], ids)
        rows = np.searchsorted(ids, self.ids[self.rows[kept]])
        return Ranks(ids, rows, self.confidence[kept], self.hidden[kept], self.right[kept], self.alphas)

    def values(self, samples: int, seed: int) -> np.ndarray:
        """What every measure of RANK_METRICS is, of all points and of each resample: (1 + samples, measures)."""
        samples = samples if len(self.ids) > 1 else 0
        chunks = weights_of_points(self.rows, len(self.ids), samples, seed)
        return np.concatenate([self._weighted(weights) for weights in chunks])

    def _weighted(self, weights: np.ndarray) -> np.ndarray:
        """(S, measures) of weights (S, m)."""
        columns = []
        for metric in RANK_METRICS:
            for right in self.right.T if metric.at_thresholds else self.right.T[:1]:
                columns.append(metric.of_ranks(self.confidence, right, self.hidden, weights))
        return np.stack(columns, axis=1)


def rank_scores(ranks: Ranks, samples: int, seed: int, less: Ranks | None = None) -> Iterator[Score]:
    """The scores of a method, or by how much they are above another's.

    Args:
        ranks: of the method.
        samples: bootstrap resamples; 0 for no intervals.
        seed: of the bootstrap, which draws the same pairs for both.
        less: the other method's, of the same pairs.
    """
    values = ranks.values(samples, seed)
    if less is not None:
        values = values - less.values(samples, seed)
    measures = [measure for metric in RANK_METRICS for measure in metric.measures(ranks.alphas)]
    for measure, column in zip(measures, values.T, strict=True):
        if np.isfinite(column[0]):
            estimate = Estimate(float(column[0]), *(interval(column[1:]) or ()))
            yield Score(measure, USUAL[0], ALL, estimate, len(ranks.ids), len(ranks.rows))


def shared(ours: Ranks, theirs: Ranks) -> tuple[Ranks, Ranks]:
    """The points of the pairs that two methods both have."""
    ids = np.intersect1d(ours.ids, theirs.ids, assume_unique=True)
    return ours.of_pairs(ids), theirs.of_pairs(ids)
