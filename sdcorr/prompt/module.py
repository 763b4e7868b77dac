"""Optimizing the prompt embeddings of one source image, all points and restarts in one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import ProgressBar
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from sdcorr.diffusion import FrozenModel
from sdcorr.finite import not_finite
from sdcorr.prompt.crops import Crops, points_in_crops
from sdcorr.prompt.objective import map_loss
from sdcorr.prompt.randomness import Draws, Query
from sdcorr.prompt.settings import PromptSettings


class CropBatch(TypedDict):
    """What one optimization step sees: a crop for each query."""

    latents: Tensor  # (Q, C, h, w)
    noise: Tensor  # (Q, C, h, w)
    centers: Tensor  # (Q, 2) the query points in pixels of their S x S crops
    boxes: Tensor  # (Q, 4) int64, as of `crop_images`


class RandomCrops(Dataset[CropBatch]):
    """The steps of an optimization: item i holds a random crop and fresh noise for every query.

    All boxes are known at once, for no draw depends on one before. For a DataLoader: `batch_size=None`, no workers.
    """

    def __init__(
        self, crops: Crops, points: Tensor, queries: Sequence[Query], settings: PromptSettings, draws: Draws
    ) -> None:
        """Of crops of the source image, for Q queries and their (Q, 2) points (x, y) in pixels of its S x S form."""
        least, greatest = crops.bounds(points, settings.crop_margin)
        steps = range(settings.steps)
        places = [draws.crop_starts(queries, step, least, greatest, crops.places) for step in steps]
        starts = crops.corners(torch.stack(places))  # (steps, Q, 2)
        flips = torch.stack([draws.flips(queries, step, settings.flip) for step in steps])  # (steps, Q)
        self.crops, self.queries, self._draws = crops, queries, draws
        self.centers = points_in_crops(points, starts, crops.side, crops.size, flips).float().to(crops.device)
        self.boxes = torch.cat((torch.zeros_like(starts[..., :1]), starts, flips[..., None].long()), -1)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, step: int) -> CropBatch:
        if step == 0:
            self.crops.prepare(self.boxes)
        noise = self._draws.noise(self.queries, step, self.crops.latent_shape)
        if self.crops.device.type == "cuda":
            noise = noise.pin_memory()  # so that drawing goes on while the GPU works
        boxes, centers = self.boxes[step], self.centers[step]
        latents, noise = self.crops.latents(boxes), noise.to(self.crops.device, non_blocking=True)
        return CropBatch(latents=latents, noise=noise, centers=centers, boxes=boxes)

    def pixels(self, boxes: Tensor) -> Tensor:
        """The crops themselves, (B, 3, S, S), of some of a batch's (B, 4) boxes: for pictures."""
        return self.crops.pixels(boxes)


class PromptOptimization(LightningModule):
    """The embeddings of one source image's queries, and the loss that shapes them.

    The queries share nothing but the forward pass: the loss is a sum of each query's own mean, and Adam works element
    by element, so optimizing many together is the same computation as optimizing each alone.

    Attributes:
        backbone: the frozen model; it is not part of this module's state, whose checkpoints hold embeddings only.
        embeddings: (Q, T, D), float32 at any precision of the model.
        losses: of each step so far the queries' own, (Q,).
    """

    backbone: FrozenModel

    def __init__(self, backbone: FrozenModel, start: Tensor, settings: PromptSettings) -> None:
        """Begins with (Q, T, D) embeddings."""
        super().__init__()
        object.__setattr__(self, "backbone", backbone)  # past the registration of submodules
        self.settings = settings
        self.embeddings = nn.Parameter(start.detach().clone().float())
        self.losses: list[Tensor] = []

    @property
    def learning(self) -> int:
        """How many queries' losses a step's loss is the sum of."""
        return len(self.embeddings)

    def maps(self, batch: CropBatch, embeddings: Tensor) -> list[Tensor]:
        """The maps that enter the loss, for each layer (Q, heads, h_l, w_l), of (Q, T, D) embeddings."""
        how = self.settings
        noisy = self.backbone.add_noise(batch["latents"], batch["noise"], how.timestep)
        return self.backbone.attention_maps(noisy, how.timestep, embeddings, token=how.token, heads=how.heads)

    def query_losses(self, batch: CropBatch, embeddings: Tensor) -> Tensor:
        """Each query's own loss, (Q,), at the backbone's precision whatever the Trainer's."""
        with torch.autocast(embeddings.device.type, enabled=False):
            size, sigma = self.backbone.image_size, self.settings.sigma
            return map_loss(self.maps(batch, embeddings), batch["centers"], size, sigma)

    def training_step(self, batch: CropBatch, batch_idx: int) -> Tensor:
        """Sum over the queries of each query's own loss."""
        losses = self.query_losses(batch, self.embeddings)
        self.losses.append(losses.detach())
        return losses.sum()

    def result(self) -> Tensor:
        """The embeddings that were found, (Q, T, D): the last iterates."""
        return self.embeddings.detach().clone()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam at a constant rate."""
        return torch.optim.Adam([self.embeddings], lr=self.settings.learning_rate, eps=self.settings.adam_eps)

    def on_train_batch_end(self, outputs: Any, batch: CropBatch, batch_idx: int) -> None:
        """Log the mean loss of a query (under a Trainer only)."""
        self.log("loss", outputs["loss"] / self.learning, prog_bar=True)


def run(module: PromptOptimization, crops: RandomCrops, on_step: Callable[[int, Tensor], None] | None = None) -> Tensor:
    """Optimize as a Trainer would, by the module's own step and optimizer: the embeddings that are found, (Q, T, D).

    Args:
        module: holds the embeddings, which are changed in place.
        crops: the steps.
        on_step: called after each step with its number and its loss (summed over queries, on the device).

    Raises:
        UserError: if a loss or an embedding is NaN or infinite.
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
    return _finite_result(module, crops.queries)


def fit(module: PromptOptimization, crops: RandomCrops, callbacks: Sequence[Callback] = (), **trainer: Any) -> Tensor:
    """Optimize as `run` does, to the same embeddings, under a Lightning Trainer.

    Args:
        module, crops: as of `run`; callbacks find them as `trainer.train_dataloader.dataset`.
        callbacks: for example `AttentionMapLogger`, or one of Lightning's progress bars.
        trainer: further options of `lightning.Trainer`, e.g. `logger`.
    """
    device = module.backbone.device
    on_gpu = device.type == "cuda"
    options = {
        "accelerator": "gpu" if on_gpu else device.type,
        "devices": [device.index or 0] if on_gpu else 1,
        "plugins": [LightningEnvironment()],  # this process alone, whatever torchrun or SLURM say of others
        "max_epochs": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": any(isinstance(callback, ProgressBar) for callback in callbacks),
        "enable_model_summary": False,
    }
    Trainer(callbacks=list(callbacks), **options | trainer).fit(module, DataLoader(crops, batch_size=None))
    return _finite_result(module, crops.queries).to(device)


def _finite_result(module: PromptOptimization, queries: Sequence[Query]) -> Tensor:
    """The module's result; looked at in the end only, for a GPU that is asked has to finish its work first."""
    result = module.result()  # (Q, T, D); a Trainer may have moved it
    bad_losses = ~torch.stack(module.losses).to(result.device).isfinite()  # (steps, Q)
    bad = (bad_losses.any(0) | ~result.isfinite().all(-1).all(-1)).nonzero()
    if len(bad):
        (image, x, y, restart, _), steps = queries[int(bad[0])], bad_losses[:, int(bad[0])].nonzero()
        what = f"loss at step {int(steps[0])}" if len(steps) else "embedding"
        what = f"The {what} of the query ({x:g}, {y:g}) in {image}, restart {restart}, is"
        raise not_finite(what, module.backbone.precision, image)
    return result
