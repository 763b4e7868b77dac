"""Does the confidence know whether the target shows a point at all? The area under its ROC curve.

The chance that a point that the target shows has a higher confidence than one that it hides; 0.5 is a guess. Whether
the match of a shown point is right does not matter here: KAP asks that as well. It is the usual measure of telling two
classes apart without a threshold (Fawcett 2006, "An introduction to ROC analysis").
"""

from __future__ import annotations

import numpy as np

from sdcorr.scoring.confidence import auroc
from sdcorr.scoring.metrics.base import PERCENT, RankMetric


def area(confidence: np.ndarray, right: np.ndarray, hidden: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """See `sdcorr.scoring.confidence.auroc`."""
    return auroc(confidence, ~hidden, weights)


METRIC = RankMetric("there_auroc", "AUROC of there or not", PERCENT, in_full=False, of_ranks=area)
