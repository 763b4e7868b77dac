"""From a composed configuration to the parts of a run. The only place that knows both the configs and the classes."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import asdict, fields
from functools import cache, partial
from pathlib import Path
from typing import Any

import hydra
import torch
from omegaconf import DictConfig, ListConfig, OmegaConf

from sdcorr.cli.command import compose
from sdcorr.cli.runs import METHOD
from sdcorr.datasets import Benchmark
from sdcorr.diffusion import FrozenDiffusion
from sdcorr.diffusion.attention import resolve_layers
from sdcorr.diffusion.precision import weights_dtype
from sdcorr.errors import UserError
from sdcorr.methods.image_patches import ImagePatches
from sdcorr.methods.position import SameBoxPosition, SamePixel
from sdcorr.methods.unet_features import UNetFeatures
from sdcorr.prompt.matcher import PromptMatcher
from sdcorr.prompt.module import PromptOptimization, RandomCrops, run
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.speed.embedding_store import EmbeddingStore
from sdcorr.run.predict import Method
from sdcorr.toybox.anatomy import MODEL_FOLDER

Solve = Callable[[PromptOptimization, RandomCrops], torch.Tensor]
WITHOUT_EFFECT = ("queries_per_batch", "channels_last", "compile", "root")  # change speed, memory or places, no result
MODEL_CHANGES = ("layers", "transfer_layers", "precision")  # what a variant may change of the model
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


def backbone(cfg: DictConfig, **changes: Any) -> FrozenDiffusion:
    """The frozen model of `cfg.model`, with some of MODEL_CHANGES, cut after the last layer that is read."""
    return _load(_model(cfg, **changes), device(cfg), truncate=True)


def whole_backbone(cfg: DictConfig) -> FrozenDiffusion:
    """The frozen model of `cfg.model`, uncut, for features beyond the last map."""
    return _load(_model(cfg), device(cfg), truncate=False)


def embedding_store(cfg: DictConfig, of: FrozenDiffusion, how: PromptSettings, dataset: str) -> EmbeddingStore | None:
    """Where embeddings are kept that were optimized with this model and these settings; None for `embeddings=null`."""
    if not cfg.embeddings or how.probe:  # a probe's embeddings take less time to make than to read
        return None
    model = {"weights": of.fingerprint(), "layers": list(of.layers), "image_size": of.image_size, "tokens": of.tokens}
    return EmbeddingStore(Path(cfg.embeddings), {"dataset": dataset, "model": model, "method": how.of_optimization()})


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


def matcher(
    cfg: DictConfig, dataset: str, changes: DictConfig | None = None, solve: Solve = run, map_cells: int = 0
) -> PromptMatcher:
    """The method, or a variant of it.

    Args:
        cfg: of an evaluation, or of a transfer of points.
        dataset: with the images' keys, names the random draws.
        changes: of a variant: settings, and those of MODEL_CHANGES.
        solve: how the embeddings are optimized.
        map_cells: cells a side of the maps that are kept with each match; 0 for none.
    """
    different = dict(OmegaConf.to_container(changes, resolve=True)) if changes else {}
    model = {name: different.pop(name) for name in MODEL_CHANGES if name in different}
    reads = model.pop("transfer_layers", None) or cfg.model.transfer_layers
    of, how = backbone(cfg, **model), settings(cfg, **different)
    reader = backbone(cfg, **(model | {"layers": list(reads)})) if reads else None
    store = embedding_store(cfg, of, how, dataset)
    return PromptMatcher(of, how, dataset, solve=solve, store=store, reader=reader, map_cells=map_cells)


def load(*overrides: str) -> PromptMatcher:
    """The method as the commands would set it up, for notebooks and scripts.

    >>> matcher = load("model=toybox", "method.restarts=2")
    >>> matcher.settings.restarts
    2

    Raises:
        UserError: if an override does not fit, or the weights cannot be had.
    """
    return matcher(compose("eval", "embeddings=null", *overrides), dataset="pictures")


def methods(cfg: DictConfig, of: Benchmark, solve: Solve = run) -> dict[str, Callable[[], Method]]:
    """Everything that an evaluation runs, by name: the method, its variants, the baselines.

    What can be wrong with the method, and with names and settings, is found here; the others' weights are loaded when
    their turn comes.

    Args:
        cfg: the configuration of an evaluation.
        of: what is evaluated on.
        solve: how the method's embeddings are optimized.

    Raises:
        UserError: if a name, a layer or a setting is not known or not legal, or the weights cannot be had.
    """
    method = matcher(cfg, of.name, solve=solve, map_cells=cfg.maps)
    made: dict[str, Callable[[], Method]] = {METHOD: lambda: method}
    for changes in cfg.variants:
        _check_variant(cfg, changes, method.backbone)
        made[variant_name(changes)] = partial(matcher, cfg, of.name, changes)
    for name in cfg.baselines.names:
        if name not in BASELINES:
            raise UserError(f"There is no baseline '{name}': choose baselines.names from {', '.join(BASELINES)}.")
        if name == SameBoxPosition.name and not SameBoxPosition.suits(of.pairs):
            warnings.warn(f"The baseline {name} is left out, for not every pair of {of.name} has boxes.", stacklevel=1)
            continue
        made[name] = partial(BASELINES[name], cfg)
    return made


def _check_variant(cfg: DictConfig, changes: DictConfig, of: FrozenDiffusion) -> None:
    """Raises UserError if a variant changes what there is not; its turn may come after a day of work."""
    settings(cfg, **{name: value for name, value in changes.items() if name not in MODEL_CHANGES})
    for name in ("layers", "transfer_layers"):
        if name in changes:
            if not isinstance(changes[name], ListConfig):
                raise UserError(f"{name} of a variant is no list of layers: give {{{name}: [{changes[name]}]}}.")
            resolve_layers(changes[name], of.all_layers)
    if "precision" in changes:
        weights_dtype(changes.precision)


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
    plain = OmegaConf.to_container(cfg, resolve=True)
    groups = {
        "dataset": {"name": of.name}
        | {k: v for k, v in plain["dataset"].items() if k != "_target_"}
        | dict(getattr(of, "identity", {})),
        "model": plain["model"],
        "method": asdict(settings(cfg)),
        "baselines": {name: value for name, value in plain["baselines"].items() if name != "names"},
    }
    return {
        group: {name: value for name, value in values.items() if name not in WITHOUT_EFFECT}
        for group, values in groups.items()
    }


def run_folder(cfg: DictConfig, config: dict[str, Any]) -> Path:
    """`cfg.run_dir`, or a stable folder named by data set, model and configuration."""
    if cfg.run_dir:
        return Path(cfg.run_dir)
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]
    return Path("outputs") / "-".join(
        [config["dataset"]["name"], str(config["dataset"].get("split", "all")), cfg.model.name, digest]
    )


def _model(cfg: DictConfig, **changes: Any) -> tuple[tuple[str, Any], ...]:
    """What `FrozenDiffusion.load` is told, as something that can be compared."""
    told = OmegaConf.to_container(cfg.model, resolve=True) | changes
    told = {name: value for name, value in told.items() if name not in ("name", "methods", "transfer_layers")}
    path = str(MODEL_FOLDER) if told["path"] == "toybox" else told["path"]
    return tuple(sorted((told | {"path": path, "layers": tuple(told["layers"])}).items()))


@cache
def _load(model: tuple[tuple[str, Any], ...], where: torch.device, truncate: bool) -> FrozenDiffusion:
    told = dict(model)
    return FrozenDiffusion.load(told.pop("path"), device=where, truncate=truncate, **told)
