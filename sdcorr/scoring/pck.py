"""PCK, the percentage of correct keypoints: those within `alpha` times a length that suits the object.

    PCK(alpha) = mean over points of [ |prediction - truth| <= alpha * L ]

Which frame the distance is measured in and what L is are a protocol's choice (`sdcorr.scoring.protocols`), how the mean
is taken is an average's (`sdcorr.scoring.averages`). The functions take numpy arrays and torch tensors alike.
"""

from __future__ import annotations

from typing import Any

ALPHAS = (0.01, 0.05, 0.10, 0.15)


def alpha_text(alpha: float) -> str:
    """A threshold as it is written in every name, with two digits or as many as it needs.

    >>> alpha_text(0.1), alpha_text(0.125)
    ('0.10', '0.125')
    """
    return max(f"{alpha:.2f}", f"{alpha:g}", key=len)


def pck_name(alpha: float) -> str:
    """The name of PCK at a threshold.

    >>> pck_name(0.1)
    'pck@0.10'
    """
    return f"pck@{alpha_text(alpha)}"


def point_distances(predicted: Any, truth: Any) -> Any:
    """Euclidean distances of N points.

    Args:
        predicted: (N, 2) xy, pixels of any one frame.
        truth: (N, 2) xy, pixels of the same frame.

    Returns:
        (N,) distances in that frame, in the precision of the inputs.
    """
    return ((predicted - truth) ** 2).sum(-1) ** 0.5


def within(distances: Any, normalizer: Any, alpha: float, comparison: str = "<=") -> Any:
    """Which of N points are correct at one threshold.

    Args:
        distances: (N,) in the frame of the protocol.
        normalizer: the length L in the same frame, a scalar or (N,).
        alpha: fraction of L.
        comparison: "<=" or "<"; it decides for a distance exactly on the threshold.

    Returns:
        (N,) bool.
    """
    threshold = normalizer * alpha
    return distances <= threshold if comparison == "<=" else distances < threshold
