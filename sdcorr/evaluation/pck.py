"""PCK, the percentage of correct key-points: those within `alpha` times a length that suits the object.

    PCK(alpha) = mean over points of [ |prediction - truth| <= alpha * L ]

Papers average in two ways that give different numbers, so both are always reported: `per_point` pools all
points of all pairs, `per_image` is the mean over pairs of each pair's own fraction. Which frame the distance
is measured in and what L is are a protocol's choice (`sdcorr.evaluation.protocols`). The functions take numpy
arrays and torch tensors alike.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torchmetrics import Metric

ALPHAS = (0.05, 0.10, 0.15)


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


class PCK(Metric):
    """PCK per point, per image and per category, kept as sums: exact under any split of the pairs over ranks.

    As input to `update` the metric accepts one pair: `predicted` (N, 2) and `truth` (N, 2), xy in pixels of
    one frame, `normalizer`, the length L of that pair in that frame, and its `category`. A pair without
    points counts for nothing. `compute` returns a flat dict, `pck@0.10/per_point`, `pck@0.10/per_image` and
    with categories also `pck@0.10/per_point/category/<name>`; a category without points is left out.

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
        summary = {}
        for index, alpha in enumerate(self.alphas):
            name = pck_name(alpha)
            summary[f"{name}/per_point"] = self.correct[:, index].sum() / self.points.sum()
            summary[f"{name}/per_image"] = self.image_pck[:, index].sum() / self.images.sum()
            for row, category in enumerate(self.categories):
                if self.points[row]:
                    per_point = self.correct[row, index] / self.points[row]
                    summary[f"{name}/per_point/category/{category}"] = per_point
                    per_image = self.image_pck[row, index] / self.images[row]
                    summary[f"{name}/per_image/category/{category}"] = per_image
        return summary
