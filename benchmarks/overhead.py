"""What an optimization step costs besides the network: the method's arithmetic, bookkeeping, a Lightning Trainer."""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
import wandb
from flops import H200_FLOPS, SHARE, PartFlops
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from measure import seconds_of
from problem import DATASET, SOURCE, make_unit, picture
from standin import StandIn
from torch import Tensor

from sdcorr.prompt.module import PromptOptimization, RandomCrops
from sdcorr.prompt.objective import map_loss
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.speed import FastMatcher

LOGGERS = ("csv", "wandb")


class LossLogger(Callback):
    """Logs the loss of every step, which makes a GPU finish it."""

    def __init__(self, logger: Logger) -> None:
        self.logger = logger

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor], batch: object, batch_idx: int
    ) -> None:
        """Log the loss."""
        self.logger.log_metrics({"loss": float(outputs["loss"])}, trainer.global_step)


@contextmanager
def watchers(logger: str) -> Iterator[dict[str, list[Callback]]]:
    """Yield the callbacks of the two ways to optimize: none for eval's loop; a logger's, and so a Trainer."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    with tempfile.TemporaryDirectory() as folder:
        yield {"run": [], "fit": [LossLogger(_make_logger(logger, folder))]}
        if logger == "wandb":
            wandb.finish()


def _make_logger(logger: str, folder: str) -> Logger:
    if logger == "csv":
        return CSVLogger(folder)
    quiet = wandb.Settings(mode="offline", console="off", x_disable_stats=True)
    return WandbLogger(project="benchmark", save_dir=folder, offline=True, settings=quiet)


def network_seconds(module: PromptOptimization, crops: RandomCrops, repeats: int) -> float:
    """Time the part of a step that cannot be avoided: forward, loss, backward and Adam on a batch that is ready."""
    batch = crops[0]
    optimizer = module.configure_optimizers()

    def step() -> None:
        optimizer.zero_grad()
        maps = module.maps(batch, module.embeddings)
        map_loss(maps, batch["centers"], module.backbone.image_size, module.settings.sigma).sum().backward()
        optimizer.step()

    step()
    return seconds_of(step, module.backbone.device, repeats)


def standin_seconds(settings: PromptSettings, points: int, device: torch.device, logger: str) -> dict[str, float]:
    """Time one step of `run` and of `fit` with a network that takes no time and latents that are cached.

    Work done once for all steps is included. `arithmetic` is the part that is no overhead: loss, gradient and Adam.
    """
    unit = make_unit(points, 1)
    settings = replace(settings, queries_per_batch=points * settings.restarts)
    module, crops = FastMatcher(StandIn(device), settings, DATASET).problem(picture(SOURCE), unit.points, unit.source)
    seconds = {"arithmetic": network_seconds(module, crops, repeats=settings.steps)}
    with watchers(logger) as ways:
        for name, callbacks in ways.items():
            matcher = FastMatcher(StandIn(device), settings, DATASET)
            optimize = partial(matcher.optimize, picture(SOURCE), unit.points, unit.source, callbacks)
            optimize()  # cuts and "encodes" the crops, which is the VAE's account
            seconds[name] = seconds_of(optimize, device) / settings.steps
    return seconds


def bound_seconds(parts: PartFlops, queries: int) -> float:
    """Estimate the network's seconds for a step of some queries, on an H200 at SHARE of its matrix rate."""
    return queries * parts.total(1, 0, 0) / (H200_FLOPS * SHARE)
