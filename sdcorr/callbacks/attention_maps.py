"""Watch a prompt embedding learn: its attention maps, on the crop it sees and on a target, logged to W&B."""

from __future__ import annotations

import torch
from lightning import Callback, Trainer
from lightning.pytorch.loggers import WandbLogger
from PIL import Image
from torch import Tensor

from sdcorr import visualize
from sdcorr.images import image_to_tensor
from sdcorr.prompt.module import CropBatch, PromptOptimization, RandomCrops


class AttentionMapLogger(Callback):
    """Logs, every few steps, the maps of one query: per layer and averaged, over the step's crop and over a target.

    Keys are `<prefix>/crop` and `<prefix>/target`, beside the mean loss of a query, `<prefix>/loss`; their x axis is
    the step of the optimization, `<prefix>/step`.

    Args:
        target: a picture in which the same part is to be found; None if there is none. Not drawn under a probe.
        every: steps between two pictures; the last step is always drawn.
        query: which of the module's queries is watched.
        prefix: of the keys.
    """

    def __init__(self, target: Image.Image | None, every: int = 10, query: int = 0, prefix: str = "attention"):
        self.target, self.every, self.query, self.prefix = target, every, query, prefix

    def on_fit_start(self, trainer: Trainer, module: PromptOptimization) -> None:
        """Tell W&B the x axis."""
        if isinstance(trainer.logger, WandbLogger):
            run = trainer.logger.experiment
            run.define_metric(f"{self.prefix}/step", hidden=True)
            for name in ("loss", "crop", "target"):
                run.define_metric(f"{self.prefix}/{name}", step_metric=f"{self.prefix}/step")

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, module: PromptOptimization, outputs: dict[str, Tensor], batch: CropBatch, batch_idx: int
    ) -> None:
        if not isinstance(trainer.logger, WandbLogger):
            return
        values = {f"{self.prefix}/loss": float(outputs["loss"]) / module.learning}
        if batch_idx % self.every == 0 or batch_idx + 1 == trainer.num_training_batches:
            values |= self._pictures(module, trainer.train_dataloader.dataset, batch, batch_idx)
        trainer.logger.experiment.log(values | {f"{self.prefix}/step": batch_idx})

    def _pictures(
        self, module: PromptOptimization, crops: RandomCrops, batch: CropBatch, step: int
    ) -> dict[str, object]:
        import wandb

        size = module.backbone.image_size
        watched = {name: value[self.query : self.query + 1] for name, value in batch.items()}
        views = {"crop": (_as_image(crops.pixels(watched["boxes"])[0]), watched, batch["centers"][self.query])}
        if self.target is not None and "latents" in batch:  # a probe's maps are of pictures that were read before
            pixels = image_to_tensor(self.target, size)[None].to(module.device)  # (1, 3, S, S)
            views["target"] = (self.target, watched | {"latents": module.backbone.encode(pixels)}, None)
        pictures = {}
        for name, (image, view, point) in views.items():
            maps = module.maps(view, module.embeddings[self.query : self.query + 1])
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
