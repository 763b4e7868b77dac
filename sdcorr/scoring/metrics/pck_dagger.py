"""PCK with a dagger: a point is correct only if, of all asked key-points of the target, its own is the nearest.

PCK counts a match on the wrong one of two near key-points as correct as long as both are within the threshold. Here it
does not count, nor does one place that answers for several points: it is nearest to one of them at most. The rule is
that of Jamais Vu (Mariotti et al. 2025), whose code compares with the key-points that are visible in both images; those
are the points that are asked for here. Frame, length and threshold are the protocol's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sdcorr.scoring.arrays import Arrays
from sdcorr.scoring.metrics.base import PERCENT, Metric
from sdcorr.scoring.pck import point_distances
from sdcorr.scoring.protocols import Protocol


def correct_and_nearest(arrays: Arrays, protocol: Protocol, alphas: Sequence[float]) -> np.ndarray:
    """Which of the m points are correct at each threshold and nearest to their own key-point, (m, A) bool."""
    return protocol.correct_points(arrays, alphas) & nearest_is_own(arrays, protocol)[:, None]


def nearest_is_own(arrays: Arrays, protocol: Protocol) -> np.ndarray:
    """Whether no other true point of its pair is nearer to a prediction than its own, (m,) bool, in the frame."""
    if not len(arrays.rows):
        return np.zeros(0, dtype=bool)
    predicted, truth, _ = protocol.in_frame(arrays)
    rivals = np.diff(arrays.starts)[arrays.rows]  # (m,) key-points of its pair, its own among them
    ends = np.cumsum(rivals)
    point = np.repeat(np.arange(len(rivals)), rivals)  # (R,) every point as often as it has rivals
    rival = np.arange(len(point)) - np.repeat(ends - rivals, rivals) + arrays.starts[arrays.rows][point]  # (R,)
    nearest = np.minimum.reduceat(point_distances(predicted[point], truth[rival]), ends - rivals)  # (m,)
    return point_distances(predicted, truth) <= nearest


METRIC = Metric(
    name="pck_dagger",
    label="PCK\N{DAGGER}",
    unit=PERCENT,
    of_points=correct_and_nearest,
    at_thresholds=True,
    in_full=False,
)
