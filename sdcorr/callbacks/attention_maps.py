"""Watch a prompt embedding learn: its attention maps, on the crop it sees and on a target, logged to W&B."""

from __future__ import annotations

from typing import Any, cast

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from sdcorr import visualize
from sdcorr.images import image_to_tensor
from sdcorr.prompt.module import CropBatch, PromptOptimization, RandomCrops


class AttentionMapLogger(Callback):
    """Logs, every few steps, the maps of one query: per layer and averaged, over the step's crop and over a target.

    Keys are `<prefix>/crop` and `<prefix>/target`, beside the mean loss of a query, `<prefix>/loss`; their x axis is
    the step of the optimization, `<prefix>/step`. Of points that are optimized in several batches, the first batch is
    watched.

    Attributes:
        done: whether an optimization was watched to its end.
    """

    def __init__(
        self,
        target: Image.Image | None,
        every: int = 10,
        query: int = 0,
        prefix: str = "attention",
        logger: WandbLogger | None = None,
    ) -> None:
        """
        Args:
            target: a picture in which the same part is to be found; None if there is none. It is not drawn where the
                UNet is not run at every step.
            every: steps between two pictures; the last step is always drawn.
            query: which of the module's queries is watched.
            prefix: of the keys.
            logger: where all of it goes; by default the Trainer's own logger, if that is W&B's.
        """
        self.target, self.every, self.query, self.prefix = target, every, query, prefix
        self.done = False
        self._logger = logger

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tells W&B the x axis."""
        if logger := self._logger_of(trainer):
            run = logger.experiment
            run.define_metric(f"{self.prefix}/step", hidden=True)
            for name in ("loss", "crop", "target"):
                run.define_metric(f"{self.prefix}/{name}", step_metric=f"{self.prefix}/step")

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Logs the loss, and the pictures if it is their turn."""
        if not (logger := self._logger_of(trainer)):
            return
        module, loader = cast(PromptOptimization, pl_module), cast(DataLoader[CropBatch], trainer.train_dataloader)
        values: dict[str, object] = {f"{self.prefix}/loss": float(outputs["loss"]) / module.learning}
        if batch_idx % self.every == 0 or batch_idx + 1 == trainer.num_training_batches:
            values |= self._pictures(module, cast(RandomCrops, loader.dataset), batch, batch_idx)
        logger.experiment.log(values | {f"{self.prefix}/step": batch_idx})

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Watches nothing more."""
        self.done = True

    def _logger_of(self, trainer: Trainer) -> WandbLogger | None:
        logger = self._logger or trainer.logger
        return logger if isinstance(logger, WandbLogger) and not self.done else None

    def _pictures(
        self, module: PromptOptimization, crops: RandomCrops, batch: dict[str, Tensor], step: int
    ) -> dict[str, object]:
        import wandb

        size = module.backbone.image_size
        watched = {name: value[self.query : self.query + 1] for name, value in batch.items()}
        views: dict[str, tuple[Image.Image, dict[str, Tensor], Tensor | None]] = {
            "crop": (_as_image(crops.pixels(watched["boxes"])[0]), watched, batch["centers"][self.query])
        }
        if self.target is not None and "latents" in batch:  # or its attention queries would have to be read
            pixels = image_to_tensor(self.target, size)[None].to(module.device)  # (1, 3, S, S)
            views["target"] = (self.target, watched | {"latents": module.backbone.encode(pixels)}, None)
        pictures: dict[str, object] = {}
        for name, (image, view, point) in views.items():
            maps = module.maps(cast(CropBatch, view), module.embeddings[self.query : self.query + 1])
            figure = visualize.layers(
                image,
                {
                    layer: layer_maps[0].mean(0).cpu().numpy()
                    for layer, layer_maps in zip(module.backbone.layers, maps, strict=True)
                },
                None if point is None else point.cpu().numpy(),
                f"{name}, step {step}",
            )
            pictures[f"{self.prefix}/{name}"] = wandb.Image(visualize.to_array(figure))
        return pictures


def _as_image(pixels: Tensor) -> Image.Image:
    return Image.fromarray((pixels.clamp(0, 1) * 255).byte().permute(1, 2, 0).cpu().numpy())
