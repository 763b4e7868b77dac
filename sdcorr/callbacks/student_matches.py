"""Watch a student learn: what it finds of a few held labels, beside where the labels say, logged to W&B."""

from __future__ import annotations

from typing import cast

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from PIL import Image
from torch import Tensor

from sdcorr import visualize
from sdcorr.student.clusters import Clusters, LabelData
from sdcorr.student.losses import at_points, grid_centers
from sdcorr.student.module import StudentTraining

POINTS = 8  # that are drawn of a pair, at most


class StudentMatchLogger(Callback):
    """Logs, every few epochs, the matches of some held sources with one target each: `matches/0` and so on.

    Green lines end within a tenth of the side of the label, which is a cross; no truth is known.

    Args:
        pairs: how many are drawn.
        every: epochs between two drawings.
    """

    def __init__(self, pairs: int = 4, every: int = 5) -> None:
        self.pairs, self.every = pairs, every

    @torch.no_grad()
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws with the averaged weights, if it is the epoch's turn."""
        if not isinstance(trainer.logger, WandbLogger) or trainer.current_epoch % self.every:
            return
        import wandb

        module = cast(StudentTraining, pl_module)
        held = cast(Clusters, cast(LabelData, trainer.datamodule).val_dataloader().dataset)  # type: ignore[attr-defined]
        drawn = {}
        for number in range(min(self.pairs, len(held))):
            batch = held[number]
            pictures = batch["pictures"][:2].to(module.device)  # the source and its first target
            asked = batch["asked"][1][batch["weights"][1] > 0]  # what is looked for in the target
            tracks = (asked[asked < len(batch["points"])])[:POINTS]  # of the source, which is view 0
            points = batch["points"][tracks, :2]  # (P, 2, 2)
            features = module.student(pictures).float()  # (2, C, h, w)
            found, confidence = _find(features, points[:, 0].to(features))
            images = [_as_image(each) for each in pictures]
            side = images[0].width
            near = (found - points[:, 1]).norm(dim=-1) <= 0.1
            figure = visualize.matches(
                images[0],
                images[1],
                (points[:, 0] * side).numpy(),
                (found * side).numpy(),
                truth=(points[:, 1] * side).numpy(),
                correct=near.numpy(),
                confidence=confidence.numpy(),
                title=f"held labels, epoch {trainer.current_epoch + 1}",
                crosses="pseudo-label",
            )
            drawn[f"matches/{number}"] = wandb.Image(visualize.to_array(figure))
        trainer.logger.experiment.log(drawn | {"trainer/global_step": trainer.global_step})  # beside the curves


def _find(features: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Where points (P, 2) of the first of two feature maps (2, C, h, w) are in the second, and with which cosine."""
    height, width = features.shape[-2:]
    queries = at_points(features[None, :1], points[None, :, None])[0, 0]  # (P, C)
    cosines, best = (queries @ features[1].flatten(1)).max(1)
    return grid_centers(height, width)[best.cpu()], cosines.clamp(0, 1).cpu()


def _as_image(pixels: Tensor) -> Image.Image:
    return Image.fromarray((pixels.clamp(0, 1) * 255).byte().permute(1, 2, 0).cpu().numpy())
