"""The ways to average over points, pairs and categories: papers differ in them, so every score comes under all.

`per_point` pools all points of all pairs; `per_image` is the mean over pairs of each pair's own mean; `hybrid`
(sd-dino) pools the points of each category and weights categories by their pairs; `category_per_point` and
`category_per_image` are the plain means over categories of the first two.
"""

from __future__ import annotations

from typing import Any

AVERAGES = ("per_point", "per_image", "hybrid", "category_per_point", "category_per_image")
USUAL = AVERAGES[:2]  # those that need no categories


def averages(sums: Any, points: Any, pair_means: Any, pairs: Any) -> tuple[Any, ...]:
    """The mean of a quantity under every average, from sums over the pairs of each of C categories.

    Args:
        sums: (..., C, K) sums over points of K quantities, for example of those that are correct at K thresholds.
        points: (..., C) points.
        pair_means: (..., C, K) sums over pairs of the pair's own mean.
        pairs: (..., C) pairs with a point.

    Returns:
        (..., K) for each of AVERAGES; a category without points counts for nothing, NaN if all are.

    >>> import numpy as np
    >>> values = averages(np.array([[1.0], [2.0]]), np.array([10, 2]), np.array([[0.1], [2.0]]), np.array([1, 2]))
    >>> [round(float(value[0]), 3) for value in values]
    [0.25, 0.7, 0.7, 0.55, 0.55]
    """
    points, pairs = points[..., None], pairs[..., None]
    of_points, of_pairs = sums / points.clip(1), pair_means / pairs.clip(1)  # (..., C, K) within a category
    categories = (pairs > 0).sum(-2)
    return (
        sums.sum(-2) / points.sum(-2),
        pair_means.sum(-2) / pairs.sum(-2),
        (of_points * pairs).sum(-2) / pairs.sum(-2),
        of_points.sum(-2) / categories,
        of_pairs.sum(-2) / categories,
    )


def average_name(average: str) -> str:
    """An average in words.

    >>> average_name("category_per_image")
    'category per image'
    """
    return average.replace("_", " ")
