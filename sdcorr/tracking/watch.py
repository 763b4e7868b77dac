"""Which optimizations of an evaluation are watched: those on its first few source images."""

from __future__ import annotations

from contextlib import suppress

from lightning import Callback
from lightning.pytorch.loggers import WandbLogger
from omegaconf import DictConfig
from PIL import Image

from sdcorr.callbacks import AttentionMapLogger
from sdcorr.datasets import Benchmark
from sdcorr.datasets.base import unit_name
from sdcorr.errors import UserError


class Watch:
    """Gives the callbacks of a source image: a logger of attention maps for the first few that are optimized."""

    def __init__(self, benchmark: Benchmark, settings: DictConfig, logger: WandbLogger) -> None:
        """
        Args:
            benchmark: where the target of a source image is found.
            settings: `cfg.logger`: how many source images are watched, and how often they are drawn.
            logger: of the run.
        """
        self._benchmark, self._logger = benchmark, logger
        self._most, self._every = settings.watch, settings.every
        self._watched: dict[str, AttentionMapLogger] = {}  # by source; the last one had perhaps nothing to watch

    def __call__(self, source: str) -> list[Callback]:
        """The callbacks of the optimization on a source image, by its key; none if enough others were watched."""
        self._watched = {key: callback for key, callback in self._watched.items() if callback.done}
        if len(self._watched) >= self._most or source in self._watched:
            return []
        # W&B takes what follows a dot for a part of a value.
        prefix = f"attention/{unit_name(source).replace('.', '_')}"
        target = self._target(source)
        self._watched[source] = AttentionMapLogger(target, self._every, prefix=prefix, logger=self._logger)
        return [self._watched[source]]

    def _target(self, source: str) -> Image.Image | None:
        """The first of its targets that can be read."""
        for pair in self._benchmark.pairs:
            if pair.source == source:
                with suppress(UserError):
                    return self._benchmark.image(pair.target)
        return None
