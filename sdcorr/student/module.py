"""The Lightning experiment: one step on a batch of clusters, and what is looked at to choose by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from sdcorr.student.clusters import Batch
from sdcorr.student.losses import Losses, losses


@dataclass(frozen=True)
class Learning:
    """How the student learns."""

    epochs: int = 60
    patience: int = 15  # epochs without a better agreement, after which it stops
    rate: float = 2e-3  # of AdamW, after the first steps
    first_steps: int = 200  # over which the rate rises
    decay: float = 0.02  # of the weights
    sigma: float = 1.0  # cells: how sharply a label says where
    entropy: float = 1.0  # weight of the cross-entropy
    distance: float = 2.0  # weight of the soft-argmax's distance
    temperature: float = 0.05  # of the softmax, at first; it is learned
    average: float = 0.995  # decay of the running mean of the weights, which is what is kept


class StudentTraining(LightningModule):
    """Trains a student on pseudo-labels.

    Args:
        student: (B, 3, S, S) in [0, 1] -> (B, C, h, w) of unit length.
        learning: how.
    """

    def __init__(self, student: nn.Module, learning: Learning) -> None:
        super().__init__()
        self.student, self.learning = student, learning
        self.log_temperature = nn.Parameter(torch.tensor(math.log(learning.temperature)))

    def _losses(self, batch: Batch, total: Tensor | None = None) -> Losses:
        pictures = batch["pictures"]
        flat = pictures.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        features = self.student(flat).float().unflatten(0, pictures.shape[:2])
        temperature = self.log_temperature.exp().clamp(min=0.01)
        with torch.autocast(pictures.device.type, enabled=False):
            asked = batch["points"], batch["asked"], batch["weights"]
            return losses(features, *asked, temperature, self.learning.sigma, total)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The loss of a batch; of several processes each has its part of the batch, and the loss is that of the whole.

        Gradients are averaged over the processes, so each takes its part of the mean as often as there are processes.
        """
        several = self.trainer.world_size
        weights = batch["weights"].sum()
        total = cast(Tensor, self.trainer.strategy.reduce(weights.clone(), reduce_op="sum")) if several > 1 else weights
        found = self._losses(batch, total)
        entropy, distance, hits = (several * part for part in (found.entropy, found.distance, found.hits))
        loss = self.learning.entropy * entropy + self.learning.distance * distance
        told = {"train/loss": loss, "train/entropy": entropy, "train/agreement": hits}
        self.log_dict(told, batch_size=len(batch["pictures"]), sync_dist=several > 1)
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        """Agreement with the labels of sources that it has not learned from; no keypoint is seen."""
        found = self._losses(batch)
        told = {"val/entropy": found.entropy, "val/distance": found.distance, "val/agreement": found.hits}
        self.log_dict(told, batch_size=int(batch["weights"].sum()), sync_dist=True)  # means over all queries

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW; the rate rises, then falls to nothing along half a cosine."""
        trained = [each for each in self.parameters() if each.requires_grad]
        optimizer = torch.optim.AdamW(trained, self.learning.rate, weight_decay=self.learning.decay)
        total = max(1, int(self.trainer.estimated_stepping_batches))
        first = min(self.learning.first_steps, total // 4)

        def rate(step: int) -> float:
            if step < first:
                return (step + 1) / first
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - first) / max(1, total - first))))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
