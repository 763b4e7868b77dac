"""Optimising the prompt embeddings of one source image, all points and restarts in one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.prompt.crops import LatentCache, crop_side, points_in_crops, start_bounds
from sdcorr.prompt.draws import Draws, Query
from sdcorr.prompt.objective import map_loss
from sdcorr.prompt.settings import PromptSettings


class CropBatch(TypedDict, total=False):
    """What one optimisation step sees: a crop for each query."""

    latents: Tensor  # (Q, C, h, w)
    noise: Tensor  # (Q, C, h, w)
    centres: Tensor  # (Q, 2) the query points in pixels of their S x S crops
    boxes: Tensor  # (Q, 4) int64, as in `crop_images`
    pixels: Tensor  # (Q, 3, S, S) the crops, only under a Trainer: for pictures


class RandomCrops(Dataset[CropBatch]):
    """The steps of an optimisation: item i holds a random crop and fresh noise for every query.

    Draws do not depend on what was drawn before, so all boxes are known at once, and each distinct one is encoded
    once for all points, restarts and steps. For a DataLoader: `batch_size=None`, no workers.
    """

    def __init__(
        self, cache: LatentCache, points: Tensor, queries: Sequence[Query], settings: PromptSettings, draws: Draws
    ):
        """
        Args:
            cache: latents of the source image's crops, shared by everything that is optimised on that image.
            points: (Q, 2) query points (x, y) in pixels of the S x S source image.
            queries: the Q queries, to whom the random draws belong.
            settings: of the method.
            draws: random numbers.
        """
        low, high = start_bounds(points, cache.size, cache.side, settings.crop_margin)
        steps = range(settings.steps)
        starts = torch.stack([draws.crop_starts(queries, step, low, high) for step in steps])  # (steps, Q, 2)
        flips = torch.stack([draws.flips(queries, step, settings.flip) for step in steps])  # (steps, Q)
        self.queries = queries
        self._boxes = torch.cat((torch.zeros_like(starts[..., :1]), starts, flips[..., None].long()), -1)
        self._rows = cache.rows(self._boxes)  # (steps, Q)
        centres = points_in_crops(points, starts, cache.side, cache.size, flips)  # (steps, Q, 2)
        self._centres = centres.float().to(cache.latents.device)
        self._cache, self._draws = cache, draws

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, step: int) -> CropBatch:
        latents = self._cache.latents[self._rows[step]]
        noise = self._draws.noise(self.queries, step, latents.shape[1:])
        if latents.is_cuda:
            noise = noise.pin_memory()  # so that drawing goes on while the GPU works
        return CropBatch(
            latents=latents,
            noise=noise.to(latents.device, non_blocking=True),
            centres=self._centres[step],
            boxes=self._boxes[step],
        )

    def with_pixels(self, batch: CropBatch) -> CropBatch:
        """A batch and the crops themselves."""
        return batch | CropBatch(pixels=self._cache.crops(batch["boxes"]))


def optimization_side(settings: PromptSettings, size: int) -> int:
    """Side in pixels of the crops that the embeddings are optimised on."""
    return crop_side(size, settings.crop) if settings.optimize_crops else size


class PromptOptimization(LightningModule):
    """The embeddings of one source image's queries, and the loss that shapes them.

    The queries share nothing but the forward pass: the loss is a sum of each query's own mean, and Adam works element
    by element, so optimising many together is the same computation as optimising each alone.
    """

    def __init__(self, backbone: FrozenDiffusion, start: Tensor, settings: PromptSettings):
        """
        Args:
            backbone: the frozen model; it is not part of this module's state, whose checkpoints hold embeddings only.
            start: (Q, T, D) embeddings to start from.
            settings: of the method.
        """
        super().__init__()
        self._backbone = (backbone,)  # in a tuple, so that it is not registered
        self.settings = settings
        self.embeddings = nn.Parameter(start.detach().clone().float())  # (Q, T, D), float32 at any model precision

    @property
    def backbone(self) -> FrozenDiffusion:
        """The frozen model."""
        return self._backbone[0]

    def maps(self, batch: CropBatch) -> list[Tensor]:
        """The maps that enter the loss, for each layer (Q, heads, h_l, w_l)."""
        settings = self.settings
        noisy = self.backbone.add_noise(batch["latents"], batch["noise"], settings.timestep)
        return self.backbone.attention_maps(
            noisy, settings.timestep, self.embeddings, token=settings.token, heads=settings.heads
        )

    def training_step(self, batch: CropBatch, batch_idx: int) -> Tensor:
        """Sum over the queries of each query's own loss, at the backbone's precision whatever the Trainer's."""
        with torch.autocast(self.embeddings.device.type, enabled=False):
            maps = self.maps(batch)
            return map_loss(maps, batch["centres"], self.backbone.image_size, self.settings.sigma).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam at a constant rate."""
        return torch.optim.Adam([self.embeddings], lr=self.settings.learning_rate, eps=self.settings.adam_eps)

    def on_train_batch_end(self, outputs: dict[str, Tensor], batch: CropBatch, batch_idx: int) -> None:
        """Log the mean loss of a query (under a Trainer only)."""
        self.log("loss", outputs["loss"] / len(self.embeddings), prog_bar=True)


def run(module: PromptOptimization, crops: RandomCrops, on_step: Callable[[int, Tensor], None] | None = None) -> Tensor:
    """Optimise with the module's own step and optimiser, as a Trainer would, without its overhead.

    Args:
        module: holds the embeddings, which are changed in place.
        crops: the steps.
        on_step: called after each step with its number and its loss (summed over queries, on the device).

    Returns:
        The embeddings, (Q, T, D).
    """
    optimizer = module.configure_optimizers()
    for step in range(len(crops)):
        optimizer.zero_grad()
        loss = module.training_step(crops[step], step)
        loss.backward()
        optimizer.step()
        if on_step:
            on_step(step, loss.detach())
    return module.embeddings.detach()


def fit(module: PromptOptimization, crops: RandomCrops, **trainer: Any) -> Tensor:
    """Optimise under a Lightning Trainer, for its loggers and callbacks; the embeddings are those of `run`.

    Args:
        module: holds the embeddings, which are changed in place.
        crops: the steps; the batches that callbacks get hold the crops' pixels too.
        trainer: options of `lightning.Trainer`, e.g. `logger` and `callbacks`.

    Returns:
        The embeddings, (Q, T, D).
    """
    device = module.backbone.device
    on_gpu = device.type == "cuda"
    options = {
        "accelerator": "gpu" if on_gpu else device.type,
        "devices": [device.index or 0] if on_gpu else 1,
        "max_epochs": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    Trainer(**options | trainer).fit(module, DataLoader(crops, batch_size=None, collate_fn=crops.with_pixels))
    return module.embeddings.detach().to(device)
