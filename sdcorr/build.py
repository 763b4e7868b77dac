"""From a composed configuration to the parts of a run. The only place that knows both the configs and the classes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, fields
from functools import cache, partial
from pathlib import Path
from typing import Any

import hydra
import torch
from lightning.pytorch.loggers import WandbLogger
from omegaconf import DictConfig, OmegaConf

from sdcorr.baselines.features import UNetFeatures
from sdcorr.baselines.patches import ImagePatches
from sdcorr.baselines.position import SameBoxPosition, SamePixel
from sdcorr.cli import compose
from sdcorr.datasets import Benchmark
from sdcorr.diffusion import FrozenDiffusion
from sdcorr.errors import UserError
from sdcorr.evaluation.predict import Method
from sdcorr.prompt.matcher import PromptMatcher
from sdcorr.prompt.module import run
from sdcorr.prompt.settings import PromptSettings
from sdcorr.toybox.anatomy import MODEL_FOLDER
from sdcorr.tracking import Watch

METHOD = "prompt"  # what the method is called in a run's records
WITHOUT_EFFECT = ("queries_per_batch",)  # settings that change speed and memory but no result
BASELINES: dict[str, Callable[[DictConfig], Method]] = {
    "same_pixel": lambda cfg: SamePixel(),
    "same_box_position": lambda cfg: SameBoxPosition(),
    "image_patches": lambda cfg: ImagePatches(),
    "unet_features": lambda cfg: UNetFeatures(whole_backbone(cfg), **cfg.baselines.unet_features),
}


def benchmark(cfg: DictConfig) -> Benchmark:
    """The data set split that `cfg.dataset` names."""
    return hydra.utils.instantiate(cfg.dataset)


def device(cfg: DictConfig) -> torch.device:
    """What `trainer.accelerator` means on this machine.

    Raises:
        UserError: if it is not there.
    """
    wanted = {"gpu": "cuda"}.get(cfg.trainer.accelerator, cfg.trainer.accelerator)
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError):
        raise UserError(
            f"This machine has no '{cfg.trainer.accelerator}' that torch can use: give trainer.accelerator=auto or cpu."
        ) from None
    return torch.device(wanted)


def backbone(cfg: DictConfig, layers: tuple[str, ...] | None = None) -> FrozenDiffusion:
    """The frozen model of `cfg.model`, cut after the last of `layers` (default: `cfg.model.layers`)."""
    return _load(_model(cfg), layers or tuple(cfg.model.layers), device(cfg), truncate=True)


def whole_backbone(cfg: DictConfig) -> FrozenDiffusion:
    """The frozen model of `cfg.model`, uncut, for features beyond the last map."""
    return _load(_model(cfg), tuple(cfg.model.layers), device(cfg), truncate=False)


def settings(cfg: DictConfig, **changes: Any) -> PromptSettings:
    """`cfg.method`, with some settings changed.

    Raises:
        UserError: if there is no such setting or its value is not legal.
    """
    values = OmegaConf.to_container(cfg.method, resolve=True) | changes
    known = [field.name for field in fields(PromptSettings)]
    if unknown := [name for name in values if name not in known]:
        raise UserError(f"There is no method setting '{unknown[0]}': there is {', '.join(known)}.")
    return PromptSettings(**values)


def matcher(cfg: DictConfig, dataset: str, changes: DictConfig | None = None, solve=run) -> PromptMatcher:
    """The method, or a variant of it: `changes` are settings, and `layers`."""
    different = dict(OmegaConf.to_container(changes, resolve=True)) if changes else {}
    layers = different.pop("layers", None)
    return PromptMatcher(backbone(cfg, layers and tuple(layers)), settings(cfg, **different), dataset, solve=solve)


def load(*overrides: str) -> PromptMatcher:
    """The method as the commands would set it up, for notebooks and scripts.

    >>> matcher = load("model=toybox", "method.restarts=2")
    >>> matcher.settings.restarts
    2

    Raises:
        UserError: if an override does not fit, or the weights cannot be had.
    """
    return matcher(compose("eval", *overrides), dataset="pictures")


def methods(cfg: DictConfig, of: Benchmark, logger: WandbLogger | None) -> dict[str, Callable[[], Method]]:
    """Everything that an evaluation runs, by name and not yet loaded: the method, its variants, the baselines.

    Raises:
        UserError: if a name is not known, or is taken.
    """
    solve = Watch(of, logger, cfg.logger.watch, cfg.logger.every) if logger and cfg.logger.watch else run
    made: dict[str, Callable[[], Method]] = {METHOD: lambda: matcher(cfg, of.name, solve=solve)}
    for name, changes in cfg.variants.items():
        if name == METHOD or name in BASELINES:
            raise UserError(f"A variant cannot be called '{name}': that is a method's own name.")
        made[name] = partial(matcher, cfg, of.name, changes)
    for name in cfg.baselines.names:
        if name not in BASELINES:
            raise UserError(f"There is no baseline '{name}': choose baselines.names from {', '.join(BASELINES)}.")
        made[name] = partial(BASELINES[name], cfg)
    return made


def decisive(cfg: DictConfig, of: Benchmark) -> dict[str, Any]:
    """Everything that predictions depend on, as plain values, and nothing else."""
    method = {name: value for name, value in asdict(settings(cfg)).items() if name not in WITHOUT_EFFECT}
    plain = OmegaConf.to_container(cfg, resolve=True)
    return {
        "dataset": {"name": of.name} | {k: v for k, v in plain["dataset"].items() if k != "_target_"},
        "model": plain["model"],
        "method": method,
        "baselines": {name: value for name, value in plain["baselines"].items() if name != "names"},
        "variants": plain["variants"],
    }


def run_folder(cfg: DictConfig, config: dict[str, Any]) -> Path:
    """`cfg.run_dir`, or a stable folder named by data set, model and configuration."""
    if cfg.run_dir:
        return Path(cfg.run_dir)
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]
    return Path("outputs") / "-".join(
        [config["dataset"]["name"], str(config["dataset"].get("split", "all")), cfg.model.name, digest]
    )


def _model(cfg: DictConfig) -> tuple:
    path = str(MODEL_FOLDER) if cfg.model.path == "toybox" else cfg.model.path
    return path, cfg.model.revision, cfg.model.precision, cfg.model.tokens, cfg.model.image_size


@cache
def _load(model: tuple, layers: tuple[str, ...], where: torch.device, truncate: bool) -> FrozenDiffusion:
    path, revision, precision, tokens, image_size = model
    return FrozenDiffusion.load(
        path,
        layers=layers,
        device=where,
        precision=precision,
        revision=revision,
        tokens=tokens,
        image_size=image_size,
        truncate=truncate,
    )
