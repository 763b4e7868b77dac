"""Weights & Biases through Lightning's logger: what an evaluation and a training leave there.

A Trainer here works in its own process only, whatever started the others: LightningEnvironment keeps it from taking
the variables of torchrun or SLURM for its own, with their number of processes and their signals.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.plugins.environments import LightningEnvironment
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from torch import Tensor
from wandb.errors import Error as WandbError

from sdcorr import visualize
from sdcorr.callbacks import AttentionMapLogger
from sdcorr.datasets import Benchmark
from sdcorr.errors import UserError
from sdcorr.prompt.module import PromptOptimization, RandomCrops, fit, run

MODES = ("auto", "online", "offline")


def make_logger(cfg: DictConfig, folder: Path, group: str) -> WandbLogger | None:
    """The logger that `cfg.logger` asks for, writing below `folder`; None for `logger=none`.

    Never asks for an account: `mode: auto` is online only after `wandb login` (or with WANDB_API_KEY), else offline;
    the environment's WANDB_MODE wins.

    Raises:
        UserError: if the mode is unknown, or online was asked for and W&B cannot be reached.
    """
    if not cfg.logger.name:
        return None
    if cfg.logger.mode not in MODES:
        raise UserError(f"There is no logger.mode={cfg.logger.mode}: choose one of {', '.join(MODES)}.")
    mode = os.environ.get("WANDB_MODE") or cfg.logger.mode
    if mode == "auto":
        mode = "online" if wandb.login(prompt=False, verify=False) else "offline"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        logger = WandbLogger(
            project=cfg.logger.project,
            name=folder.name,
            group=cfg.logger.group or group,
            save_dir=str(folder),
            offline=mode == "offline",
            config=OmegaConf.to_container(cfg, resolve=True),
            settings=wandb.Settings(mode=mode, console="off", x_disable_stats=True),
        )
        logger.experiment  # noqa: B018  (starts the run: better to fail before the work than after it)
    except WandbError as error:
        raise UserError(f"W&B cannot be used ({error}): give logger.mode=offline or logger=none.") from None
    return logger


class Fit:
    """Solves under a Trainer with a progress bar; logs the attention maps of the first point if there is a logger.

    Args:
        target: the picture on which the maps are drawn as well.
        logger: what `cfg.logger` says: how often they are drawn.
    """

    def __init__(self, target: Image.Image, logger: DictConfig):
        self.callbacks = [AttentionMapLogger(target, logger.every)] if logger.name else []
        self.logger: WandbLogger | None = None  # set before the work starts

    def __call__(self, module: PromptOptimization, crops: RandomCrops) -> Tensor:
        options = {"callbacks": self.callbacks, "plugins": [LightningEnvironment()]}
        return fit(module, crops, logger=self.logger or False, enable_progress_bar=True, **options)


class Watch:
    """Solves as `run` does, but under a Trainer that logs attention maps for the first few source images.

    Args:
        benchmark: where the target of a source image is found.
        logger: what `cfg.logger` says: how many source images are watched, and how often they are drawn; None to watch
            none.
    """

    def __init__(self, benchmark: Benchmark, logger: DictConfig | None):
        self.benchmark = benchmark
        self.left, self.every = (logger.watch, logger.every) if logger and logger.name else (0, 0)
        self.logger: WandbLogger | None = None  # set before the work starts

    def __call__(self, module: PromptOptimization, crops: RandomCrops) -> Tensor:
        if self.left == 0:
            return run(module, crops)
        self.left -= 1
        source = crops.queries[0].image
        target = next(pair.target for pair in self.benchmark.pairs if pair.source == source)
        watcher = AttentionMapLogger(self.benchmark.image(target), self.every, prefix=f"attention/{source}")
        return fit(module, crops, logger=self.logger, callbacks=[watcher], plugins=[LightningEnvironment()])


def log_evaluation(logger: WandbLogger | None, summary: Mapping[str, Any], figures: Mapping[str, Figure]) -> None:
    """Scores as the run's summary, figures as pictures, and the end of the run."""
    if logger is None:
        return
    experiment = logger.experiment
    experiment.log({f"figures/{name}": wandb.Image(visualize.to_array(figure)) for name, figure in figures.items()})
    experiment.summary.update(dict(summary))
    experiment.finish()
