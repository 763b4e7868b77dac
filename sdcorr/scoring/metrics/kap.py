"""KAP, the keypoint average precision: PCK of a method that may also say that a point is not there.

The average precision over all points that the source shows, ranked by confidence. A match of a point that the target
hides is a wrong one, however sure; a method does well if it is less sure of these. The idea is that of Mariotti et al.
(2024, spherical maps) and of Jamais Vu (Mariotti et al. 2025). Their code ranks two similarities of every point, the
greatest near its true place (a positive) and the greatest away from it (a negative); here a point is what a method
answers, one match with one confidence, since a record holds no more. So no published number may stand beside it.
"""

from __future__ import annotations

import numpy as np

from sdcorr.scoring.confidence import average_precision
from sdcorr.scoring.metrics.base import PERCENT, RankMetric


def precision(confidence: np.ndarray, right: np.ndarray, hidden: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """See `sdcorr.scoring.confidence.average_precision`."""
    return average_precision(confidence, right, weights, hidden)


METRIC = RankMetric("kap", "KAP", PERCENT, at_thresholds=True, in_full=False, of_ranks=precision)
