"""The fraction of points that are correct at each threshold, as the protocol says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sdcorr.scoring.arrays import Arrays
from sdcorr.scoring.metrics.base import PERCENT, Metric
from sdcorr.scoring.protocols import Protocol


def correct(arrays: Arrays, protocol: Protocol, alphas: Sequence[float]) -> np.ndarray:
    """Which of the m points are correct at each threshold, (m, A) bool."""
    return protocol.correct_points(arrays, alphas)


METRIC = Metric(name="pck", label="PCK", unit=PERCENT, of_points=correct, at_thresholds=True)
