"""Ways to optimize embeddings under a Trainer, which has loggers and callbacks.

A Trainer here works in its own process only, whatever started the others: LightningEnvironment keeps it from taking
the variables of torchrun or SLURM for its own, with their number of processes and their signals.
"""

from __future__ import annotations

from typing import Any

from lightning import Callback
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.plugins.environments import LightningEnvironment
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor

from sdcorr.callbacks import AttentionMapLogger
from sdcorr.datasets import Benchmark
from sdcorr.datasets.base import unit_name
from sdcorr.prompt.module import PromptOptimization, RandomCrops, fit, run


class Fit:
    """Solves under a Trainer with a progress bar; logs the attention maps of the first point if there is a logger.

    Args:
        target: the picture on which the maps are drawn as well.
        logger: what `cfg.logger` says: how often they are drawn.
    """

    def __init__(self, target: Image.Image, logger: DictConfig):
        self.callbacks: list[Callback] = [AttentionMapLogger(target, logger.every)] if logger.name else []
        self.logger: WandbLogger | None = None  # set before the work starts

    def __call__(self, module: PromptOptimization, crops: RandomCrops) -> Tensor:
        watchers, self.callbacks = self.callbacks, []  # of many points the first batch is watched
        return _fit(module, crops, logger=self.logger or False, callbacks=watchers, enable_progress_bar=True)


class Watch:
    """Solves as `run` does, but under a Trainer that logs attention maps for the first few source images.

    Args:
        benchmark: where the target of a source image is found.
        logger: what `cfg.logger` says: how many source images are watched, and how often they are drawn; None to watch
            none.
    """

    def __init__(self, benchmark: Benchmark, logger: DictConfig | None):
        self.benchmark = benchmark
        self.most, self.every = (logger.watch, logger.every) if logger and logger.name else (0, 0)
        self.watched: set[str] = set()  # source images; one that is solved in several batches is watched in the first
        self.logger: WandbLogger | None = None  # set before the work starts

    def __call__(self, module: PromptOptimization, crops: RandomCrops) -> Tensor:
        source = crops.queries[0].image
        if source in self.watched or len(self.watched) >= self.most:
            return run(module, crops)
        self.watched.add(source)
        target = next(pair.target for pair in self.benchmark.pairs if pair.source == source)
        prefix = (
            f"attention/{unit_name(source).replace('.', '_')}"  # W&B takes what follows a dot for a part of a value
        )
        watcher = AttentionMapLogger(self.benchmark.image(target), self.every, prefix=prefix)
        return _fit(module, crops, logger=self.logger or False, callbacks=[watcher])


def _fit(module: PromptOptimization, crops: RandomCrops, **trainer: Any) -> Tensor:
    # The callbacks log; the Trainer itself does not, for its steps start anew with every source image.
    return fit(module, crops, plugins=[LightningEnvironment()], log_every_n_steps=0, **trainer)
