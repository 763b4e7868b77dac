"""PCK, the percentage of correct key-points: those within `alpha` times a length that suits the object.

    PCK(alpha) = mean over points of [ |prediction - truth| <= alpha * L ]

Papers average in ways that give different numbers, so all of them are reported (AVERAGES): `per_point` pools all
points of all pairs; `per_image` is the mean over pairs of each pair's own fraction; `hybrid` (sd-dino) pools the
points of each category and weights categories by their pairs; `category_per_point` and `category_per_image` are the
plain means over categories of the first two. Which frame the distance is measured in and what L is are a protocol's
choice (`sdcorr.scoring.protocols`). The functions take numpy arrays and torch tensors alike.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torchmetrics import Metric

ALPHAS = (0.01, 0.05, 0.10, 0.15)
AVERAGES = ("per_point", "per_image", "hybrid", "category_per_point", "category_per_image")


def pck_name(alpha: float) -> str:
    """The name of a threshold in every summary and table.

    >>> pck_name(0.1), pck_name(0.125)
    ('pck@0.10', 'pck@0.125')
    """
    return f"pck@{max(f'{alpha:.2f}', f'{alpha:g}', key=len)}"


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


def averages(correct: Any, points: Any, image_pck: Any, images: Any) -> tuple[Any, ...]:
    """PCK under every average, from sums over the pairs of each of C categories.

    Args:
        correct: (..., C, A) points that are right at each threshold.
        points: (..., C) points.
        image_pck: (..., C, A) sum over pairs of the pair's own PCK.
        images: (..., C) pairs with a point.

    Returns:
        (..., A) for each of AVERAGES; a category without points counts for nothing, NaN if all are.

    >>> import numpy as np
    >>> values = averages(np.array([[1.0], [2.0]]), np.array([10, 2]), np.array([[0.1], [2.0]]), np.array([1, 2]))
    >>> [round(float(value[0]), 3) for value in values]
    [0.25, 0.7, 0.7, 0.55, 0.55]
    """
    points, images = points[..., None], images[..., None]
    of_points, of_images = correct / points.clip(1), image_pck / images.clip(1)  # (..., C, A) within a category
    categories = (images > 0).sum(-2)
    return (
        correct.sum(-2) / points.sum(-2),
        image_pck.sum(-2) / images.sum(-2),
        (of_points * images).sum(-2) / images.sum(-2),
        of_points.sum(-2) / categories,
        of_images.sum(-2) / categories,
    )


class PCK(Metric):
    """PCK under every average and per category, kept as sums: exact under any split of the pairs over ranks.

    As input to `update` the metric accepts one pair: `predicted` (N, 2) and `truth` (N, 2), xy in pixels of
    one frame, `normalizer`, the length L of that pair in that frame, and its `category`. A pair without
    points counts for nothing. `compute` returns a flat dict, `pck@0.10/per_point`, `pck@0.10/per_image` and
    with categories also the other averages of AVERAGES and `pck@0.10/per_point/category/<name>`; a category without
    points is left out.

    Args:
        alphas: the A thresholds, fractions of the normalizer.
        categories: the C names that `update` may give; empty to keep no categories apart.
        comparison: "<=" or "<".

    Example:
        >>> metric = PCK(alphas=[0.1])
        >>> metric.update(torch.tensor([[3.0, 4.0], [0.0, 9.0]]), torch.zeros(2, 2), normalizer=50.0)
        >>> {name: round(float(value), 2) for name, value in metric.compute().items()}
        {'pck@0.10/per_point': 0.5, 'pck@0.10/per_image': 0.5}
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    correct: torch.Tensor
    points: torch.Tensor
    image_pck: torch.Tensor
    images: torch.Tensor

    def __init__(
        self,
        alphas: Sequence[float] = ALPHAS,
        categories: Sequence[str] = (),
        comparison: str = "<=",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alphas, self.categories, self.comparison = tuple(alphas), tuple(categories), comparison
        rows = max(len(self.categories), 1)
        sums = {"correct": (rows, len(self.alphas)), "points": (rows,), "images": (rows,)}
        for name, shape in sums.items():
            self.add_state(name, default=torch.zeros(shape, dtype=torch.long), dist_reduce_fx="sum")
        image_pck = torch.zeros(sums["correct"], dtype=torch.float64)
        self.add_state("image_pck", default=image_pck, dist_reduce_fx="sum")

    def update(
        self,
        predicted: torch.Tensor,
        truth: torch.Tensor,
        normalizer: float | torch.Tensor,
        category: str | None = None,
    ) -> None:
        """Adds one pair, see the class.

        Raises:
            ValueError: if the category is not one of `categories`.
        """
        if self.categories and category not in self.categories:
            raise ValueError(f"category must be one of {', '.join(self.categories)}, not {category!r}")
        if len(truth) == 0:
            return
        row = self.categories.index(category) if self.categories else 0
        distances = point_distances(predicted, truth)
        correct = torch.stack(
            [within(distances, normalizer, alpha, self.comparison) for alpha in self.alphas]
        )  # (A, N)
        self.correct[row] += correct.sum(-1)
        self.points[row] += len(truth)
        self.image_pck[row] += correct.double().mean(-1)
        self.images[row] += 1

    def compute(self) -> dict[str, torch.Tensor]:
        """The flat summary of all pairs so far; fractions in [0, 1], NaN without any point."""
        values = averages(self.correct.double(), self.points, self.image_pck, self.images)  # of (A,)
        names = AVERAGES if self.categories else AVERAGES[:2]
        summary = {}
        for index, alpha in enumerate(self.alphas):
            alpha = pck_name(alpha)
            summary |= {f"{alpha}/{name}": value[index] for name, value in zip(names, values, strict=False)}
            for row, category in enumerate(self.categories):
                if self.points[row]:
                    per_point = self.correct[row, index].double() / self.points[row]
                    per_image = self.image_pck[row, index] / self.images[row]
                    summary[f"{alpha}/per_point/category/{category}"] = per_point
                    summary[f"{alpha}/per_image/category/{category}"] = per_image
        return summary
