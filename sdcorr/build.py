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
from sdcorr.prompt.module import PromptOptimization, RandomCrops, run
from sdcorr.prompt.settings import PromptSettings
from sdcorr.toybox.anatomy import MODEL_FOLDER

Solve = Callable[[PromptOptimization, RandomCrops], torch.Tensor]
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


def matcher(cfg: DictConfig, dataset: str, changes: DictConfig | None = None, solve: Solve = run) -> PromptMatcher:
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


def methods(cfg: DictConfig, of: Benchmark, solve: Solve = run) -> dict[str, Callable[[], Method]]:
    """Everything that an evaluation runs, by name: the method, its variants, the baselines.

    What can be wrong with the method, and with names and settings, is found here; the others' weights are loaded when
    their turn comes.

    Args:
        cfg: the configuration of an evaluation.
        of: what is evaluated on.
        solve: how the method's embeddings are optimised.

    Raises:
        UserError: if a name, a layer or a setting is not known or not legal, or the weights cannot be had.
    """
    method = matcher(cfg, of.name, solve=solve)
    made: dict[str, Callable[[], Method]] = {METHOD: lambda: method}
    for changes in cfg.variants:
        settings(cfg, **{name: value for name, value in changes.items() if name != "layers"})
        made[variant_name(changes)] = partial(matcher, cfg, of.name, changes)
    for name in cfg.baselines.names:
        if name not in BASELINES:
            raise UserError(f"There is no baseline '{name}': choose baselines.names from {', '.join(BASELINES)}.")
        made[name] = partial(BASELINES[name], cfg)
    return made


def variant_name(changes: DictConfig) -> str:
    """A variant is called by what it changes, so that its records can lie beside the method's and never be mistaken.

    >>> variant_name({"restarts": 1, "layers": ["up_blocks.1.attentions.0", "up_blocks.2.attentions.0"]})
    'restarts=1,layers=up_blocks.1.attentions.0+up_blocks.2.attentions.0'
    """
    plain = OmegaConf.to_container(changes) if isinstance(changes, DictConfig) else changes
    return ",".join(
        f"{name}={'+'.join(map(str, value)) if isinstance(value, list) else value}" for name, value in plain.items()
    )


def decisive(cfg: DictConfig, of: Benchmark) -> dict[str, Any]:
    """Everything that predictions depend on, as plain values, and nothing else."""
    method = {name: value for name, value in asdict(settings(cfg)).items() if name not in WITHOUT_EFFECT}
    plain = OmegaConf.to_container(cfg, resolve=True)
    return {
        "dataset": {"name": of.name} | {k: v for k, v in plain["dataset"].items() if k != "_target_"},
        "model": plain["model"],
        "method": method,
        "baselines": {name: value for name, value in plain["baselines"].items() if name != "names"},
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
