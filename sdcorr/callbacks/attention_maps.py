"""Watch a prompt embedding learn: its attention maps, on the crop it sees and on a target, logged to W&B."""

from __future__ import annotations

import torch
from lightning import Callback, Trainer
from lightning.pytorch.loggers import WandbLogger
from PIL import Image
from torch import Tensor

from sdcorr import visualize
from sdcorr.images import image_to_tensor
from sdcorr.prompt.module import CropBatch, PromptOptimization


class AttentionMapLogger(Callback):
    """Logs, every few steps, the maps of one query: per layer and averaged, over the step's crop and over a target.

    Keys are `<prefix>/crop` and `<prefix>/target`, beside the mean loss of a query, `<prefix>/loss`.

    Args:
        target: a picture in which the same part is to be found; None if there is none.
        every: steps between two pictures; the last step is always drawn.
        query: which of the module's queries is watched.
        prefix: of the keys.
    """

    def __init__(self, target: Image.Image | None, every: int = 10, query: int = 0, prefix: str = "attention"):
        self.target, self.every, self.query, self.prefix = target, every, query, prefix

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, module: PromptOptimization, outputs: dict[str, Tensor], batch: CropBatch, batch_idx: int
    ) -> None:
        if not isinstance(trainer.logger, WandbLogger):
            return
        values = {f"{self.prefix}/loss": float(outputs["loss"]) / len(module.embeddings)}
        if batch_idx % self.every == 0 or batch_idx + 1 == trainer.num_training_batches:
            values |= self._pictures(module, batch, batch_idx)
        trainer.logger.experiment.log(values | {f"{self.prefix}/step": batch_idx})

    def _pictures(self, module: PromptOptimization, batch: CropBatch, step: int) -> dict[str, object]:
        import wandb

        watched = slice(self.query, self.query + 1)
        size = module.backbone.image_size
        views = {
            "crop": (_as_image(batch["pixels"][self.query]), batch["latents"][watched], batch["centres"][self.query])
        }
        if self.target is not None:
            pixels = image_to_tensor(self.target, size)[None].to(module.device)  # (1, 3, S, S)
            views["target"] = (self.target, module.backbone.encode(pixels), None)
        pictures = {}
        for name, (image, latents, point) in views.items():
            maps = _maps(module, latents, batch["noise"][watched], watched)
            figure = visualize.layers(
                image, maps, None if point is None else point.cpu().numpy(), f"{name}, step {step}"
            )
            pictures[f"{self.prefix}/{name}"] = wandb.Image(visualize.to_array(figure))
        return pictures


def _maps(module: PromptOptimization, latents: Tensor, noise: Tensor, watched: slice) -> dict[str, object]:
    """Layer -> `(h, w)` map of the watched query, mean over heads."""
    settings, backbone = module.settings, module.backbone
    noisy = backbone.add_noise(latents, noise, settings.timestep)
    maps = backbone.attention_maps(
        noisy, settings.timestep, module.embeddings[watched], token=settings.token, heads=settings.heads
    )
    return {name: m[0].mean(0).cpu().numpy() for name, m in zip(backbone.layers, maps, strict=True)}


def _as_image(pixels: Tensor) -> Image.Image:
    return Image.fromarray((pixels.clamp(0, 1) * 255).byte().permute(1, 2, 0).cpu().numpy())
