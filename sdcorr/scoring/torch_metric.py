"""PCK as a torchmetrics metric, for Lightning loops and for what is seen while an evaluation works."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torchmetrics import Metric

from sdcorr.scoring.averages import AVERAGES, USUAL, averages
from sdcorr.scoring.pck import ALPHAS, pck_name, point_distances, within


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

        In a module of your own, tested on any number of processes: the sums of all of them are added before `compute`.

        >>> import lightning
        >>> class Matcher(lightning.LightningModule):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.pck = PCK(alphas=[0.05, 0.1], categories=["cat", "bus"])
        ...     def test_step(self, pair, index):
        ...         source, truth, length, category = pair
        ...         self.pck.update(source + 4, truth, length, category)  # a poor method: a bit to the right and below
        ...     def on_test_epoch_end(self):
        ...         self.log_dict(self.pck.compute())
        >>> corner = torch.zeros(1, 2)
        >>> pairs = [(corner, corner, 100.0, "cat"), (corner, corner + 40, 100.0, "bus")]
        >>> quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        >>> trainer = lightning.Trainer(accelerator="cpu", **quiet)
        >>> (found,) = trainer.test(Matcher(), torch.utils.data.DataLoader(pairs, batch_size=None), verbose=False)
        >>> found["pck@0.10/per_point"], found["pck@0.05/per_point"], found["pck@0.10/per_image/category/cat"]
        (0.5, 0.0, 1.0)
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
        for name, shape in {"correct": (rows, len(self.alphas)), "points": (rows,), "images": (rows,)}.items():
            self.add_state(name, default=torch.zeros(shape, dtype=torch.long), dist_reduce_fx="sum")
        image_pck = torch.zeros((rows, len(self.alphas)), dtype=torch.float64)
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
        row = self.categories.index(category) if self.categories and category is not None else 0
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
        names = AVERAGES if self.categories else USUAL
        summary = {}
        for index, alpha in enumerate(map(pck_name, self.alphas)):
            summary |= {f"{alpha}/{name}": value[index] for name, value in zip(names, values, strict=False)}
            for row, category in enumerate(self.categories):
                if self.points[row]:
                    per_point = self.correct[row, index].double() / self.points[row]
                    per_image = self.image_pck[row, index] / self.images[row]
                    summary[f"{alpha}/per_point/category/{category}"] = per_point
                    summary[f"{alpha}/per_image/category/{category}"] = per_image
        return summary
