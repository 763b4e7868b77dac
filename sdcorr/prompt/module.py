"""Optimizing the prompt embeddings of one source image, all points and restarts in one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.prompt.crops import Crops, crop_positions, crop_side, points_in_crops, position_bounds, start_bounds
from sdcorr.prompt.objective import map_loss
from sdcorr.prompt.randomness import Draws, Query
from sdcorr.prompt.settings import PromptSettings

_WINDOW = 10  # steps over which a query's loss is averaged, to tell whether it still falls


class CropBatch(TypedDict, total=False):
    """What one optimization step sees: a crop for each query."""

    latents: Tensor  # (Q, C, h, w)
    noise: Tensor  # (Q, C, h, w)
    numbers: Tensor  # (Q,) int64, under a probe in place of the two above: which of the pool's crops
    centers: Tensor  # (Q, 2) the query points in pixels of their S x S crops
    boxes: Tensor  # (Q, 4) int64, as in `crop_images`


class RandomCrops(Dataset[CropBatch]):
    """The steps of an optimization: item i holds a random crop and fresh noise for every query.

    Draws do not depend on what was drawn before, so all boxes are known at once, and each distinct one is encoded
    once for all points, restarts and steps. For a DataLoader: `batch_size=None`, no workers.
    """

    def __init__(self, crops: Crops, points: Tensor, queries: Sequence[Query], settings: PromptSettings, draws: Draws):
        """
        Args:
            crops: of the source image.
            points: (Q, 2) query points (x, y) in pixels of the S x S source image.
            queries: the Q queries, to whom the random draws belong.
            settings: of the method.
            draws: random numbers.
        """
        low, high = start_bounds(points, crops.size, crops.side, settings.crop_margin)
        positions = crop_positions(crops.size, crops.side, settings.crop_pool)
        least, greatest = position_bounds(positions, low, high)
        steps = range(settings.steps)
        places = [draws.crop_starts(queries, step, least, greatest, len(positions)) for step in steps]
        starts = positions[torch.stack(places)]  # (steps, Q, 2)
        flips = torch.stack([draws.flips(queries, step, settings.flip) for step in steps])  # (steps, Q)
        self.queries = queries
        self._boxes = torch.cat((torch.zeros_like(starts[..., :1]), starts, flips[..., None].long()), -1)
        centers = points_in_crops(points, starts, crops.side, crops.size, flips)  # (steps, Q, 2)
        self._centers = centers.float().to(crops.device)
        self._crops, self._draws = crops, draws

    def __len__(self) -> int:
        return len(self._boxes)

    def __getitem__(self, step: int) -> CropBatch:
        if step == 0:
            self._crops.prepare(self._boxes)
        noise = self._draws.noise(self.queries, step, self._crops.latent_shape)
        if self._crops.device.type == "cuda":
            noise = noise.pin_memory()  # so that drawing goes on while the GPU works
        return CropBatch(
            latents=self._crops.latents(self._boxes[step]),
            noise=noise.to(self._crops.device, non_blocking=True),
            centers=self._centers[step],
            boxes=self._boxes[step],
        )

    def pixels(self, boxes: Tensor) -> Tensor:
        """The crops themselves, (B, 3, S, S), of some of a batch's (B, 4) boxes: for pictures."""
        return self._crops.pixels(boxes)


def optimization_side(settings: PromptSettings, size: int) -> int:
    """Side in pixels of the crops that the embeddings are optimized on."""
    return crop_side(size, settings.crop) if settings.optimize_crops else size


class PromptOptimization(LightningModule):
    """The embeddings of one source image's queries, and the loss that shapes them.

    The queries share nothing but the forward pass: the loss is a sum of each query's own mean, and Adam works element
    by element, so optimizing many together is the same computation as optimizing each alone.
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
        self._active: Tensor | None = None  # indices of the queries that still learn; None: all do
        self._losses: list[Tensor] = []  # of each step (Q,), kept only if queries may stop
        self._stopped = {}  # query -> its embedding (T, D) when it stopped

    @property
    def backbone(self) -> FrozenDiffusion:
        """The frozen model."""
        return self._backbone[0]

    @property
    def learning(self) -> int:
        """How many queries have not stopped: those whose losses the step's loss is the sum of."""
        return len(self.embeddings) - len(self._stopped)

    def maps(self, batch: CropBatch, embeddings: Tensor) -> list[Tensor]:
        """The maps that enter the loss, for each layer (Q, heads, h_l, w_l), of (Q, T, D) embeddings."""
        settings = self.settings
        noisy = self.backbone.add_noise(batch["latents"], batch["noise"], settings.timestep)
        return self.backbone.attention_maps(
            noisy, settings.timestep, embeddings, token=settings.token, heads=settings.heads
        )

    def on_train_batch_start(self, batch: CropBatch, batch_idx: int) -> int | None:
        """Let queries stop whose loss no longer falls; -1, which ends the optimization, when none is left."""
        if not self.settings.plateau or batch_idx < 2 * _WINDOW:
            return None
        losses = torch.stack(self._losses[-2 * _WINDOW :])  # (2 windows, Q)
        before, now = losses.unflatten(0, (2, _WINDOW)).mean(1)
        falling = now < (1 - self.settings.plateau) * before
        active = torch.arange(len(falling), device=falling.device) if self._active is None else self._active
        for query in active[~falling[active]].tolist():
            self._stopped[query] = self.embeddings[query].detach().clone()  # Adam's momentum would carry it on
        self._active = active[falling[active]]
        return None if len(self._active) else -1

    def training_step(self, batch: CropBatch, batch_idx: int) -> Tensor:
        """Sum over the queries of each query's own loss, at the backbone's precision whatever the Trainer's."""
        embeddings = self.embeddings
        if self._stopped:
            rows = self._active
            embeddings = embeddings[rows]
            batch = CropBatch(**{name: value[rows.to(value.device)] for name, value in batch.items()})
        with torch.autocast(embeddings.device.type, enabled=False):
            maps = self.maps(batch, embeddings)
            losses = map_loss(maps, batch["centers"], self.backbone.image_size, self.settings.sigma)  # (Q,)
        if self.settings.plateau:
            everyone = losses.new_zeros(len(self.embeddings))
            everyone[slice(None) if self._active is None else self._active] = losses.detach()
            self._losses.append(everyone)
        return losses.sum()

    def result(self) -> Tensor:
        """The embeddings, (Q, T, D): the last iterates, or those at which queries stopped."""
        result = self.embeddings.detach().clone()
        for query, embedding in self._stopped.items():
            result[query] = embedding
        return result

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam at a constant rate."""
        return torch.optim.Adam([self.embeddings], lr=self.settings.learning_rate, eps=self.settings.adam_eps)

    def on_train_batch_end(self, outputs: dict[str, Tensor], batch: CropBatch, batch_idx: int) -> None:
        """Log the mean loss of a query (under a Trainer only)."""
        self.log("loss", outputs["loss"] / self.learning, prog_bar=True)


def run(module: PromptOptimization, crops: RandomCrops, on_step: Callable[[int, Tensor], None] | None = None) -> Tensor:
    """Optimize with the module's own step and optimizer, as a Trainer would, without its overhead.

    Args:
        module: holds the embeddings, which are changed in place.
        crops: the steps.
        on_step: called after each step with its number and its loss (summed over queries, on the device).

    Returns:
        The embeddings, (Q, T, D).
    """
    optimizer = module.configure_optimizers()
    for step in range(len(crops)):
        batch = crops[step]
        if module.on_train_batch_start(batch, step) == -1:
            break
        optimizer.zero_grad()
        loss = module.training_step(batch, step)
        loss.backward()
        optimizer.step()
        if on_step:
            on_step(step, loss.detach())
    return module.result()


def fit(module: PromptOptimization, crops: RandomCrops, **trainer: Any) -> Tensor:
    """Optimize under a Lightning Trainer, for its loggers and callbacks; the embeddings are those of `run`.

    Args:
        module: holds the embeddings, which are changed in place.
        crops: the steps; callbacks find them as `trainer.train_dataloader.dataset`.
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
    Trainer(**options | trainer).fit(module, DataLoader(crops, batch_size=None))
    return module.result().to(device)
