"""The distance between a match and the truth, in pixels of the original target image, whatever the protocol.

PCK says how often a match is near enough; the mean error also says how far the others are off. It has no threshold and
no length to divide by, so it compares methods on one data set, not data sets with each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sdcorr.scoring.arrays import Arrays
from sdcorr.scoring.metrics.base import PIXELS, Metric
from sdcorr.scoring.pck import point_distances
from sdcorr.scoring.protocols import Protocol


def distances(arrays: Arrays, protocol: Protocol, alphas: Sequence[float]) -> np.ndarray:
    """How far each of the m points is from the truth, (m, 1)."""
    return point_distances(arrays.predicted, arrays.truth)[:, None]


METRIC = Metric(name="error_px", label="mean error", unit=PIXELS, of_points=distances)
