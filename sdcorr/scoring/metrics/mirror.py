"""The fraction of points that are mirror hits: wrong, and on the same part of the object's other side.

Left and right are what features confuse most. A mirror hit is a miss that is within the threshold of the counterpart's
true place, as GECO (Hartwig et al. 2025) counts it where both are visible in the target. The fraction is of all points,
so that it adds up with PCK: what is neither is wrong otherwise. Of the points whose counterpart is asked for as well it
is the part `both_sides`. Where a data set tells of no counterpart there is no score.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sdcorr.scoring.arrays import Arrays
from sdcorr.scoring.metrics.base import PERCENT, Metric
from sdcorr.scoring.pck import point_distances, within
from sdcorr.scoring.protocols import Protocol


def mirror_hits(arrays: Arrays, protocol: Protocol, alphas: Sequence[float]) -> np.ndarray:
    """Which of the m points are on their counterpart instead, (m, A) of 0 and 1; NaN if no point has any."""
    has_one = arrays.counterparts >= 0
    if not has_one.any():
        return np.full((len(arrays.rows), len(alphas)), np.nan)
    predicted, truth, lengths = protocol.in_frame(arrays)
    comparison = protocol.on(arrays.dataset).comparison
    distances = point_distances(predicted, truth[arrays.counterparts])  # (m,); of those without one it means nothing
    on_it = [within(distances, lengths[arrays.rows], alpha, comparison) for alpha in alphas]
    wrong = ~protocol.correct_points(arrays, alphas)
    return (np.stack(on_it, axis=-1) & wrong & has_one[:, None]).astype(np.float64)


METRIC = Metric(
    name="mirror", label="mirror hits", unit=PERCENT, of_points=mirror_hits, at_thresholds=True, in_full=False
)
