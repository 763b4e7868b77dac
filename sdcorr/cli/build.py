"""From a composed configuration to the parts of a run. The only place that knows both the configs and the classes."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import hydra
import torch
from lightning import Callback
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
from sdcorr.methods.prompt import Prompt, read_settings
from sdcorr.methods.read_once import ReadOnce
from sdcorr.methods.unet_features import UNetFeatures
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.speed import FastMatcher, ReadOnceSettings
from sdcorr.prompt.speed.embedding_store import EmbeddingStore
from sdcorr.run.predict import Method
from sdcorr.toybox.anatomy import MODEL_FOLDER

KINDS: dict[str, tuple[type[Prompt], type[PromptSettings]]] = {
    "prompt": (Prompt, PromptSettings),
    "read_once": (ReadOnce, ReadOnceSettings),
}
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


def embedding_store(
    cfg: DictConfig, of: FrozenDiffusion, how: Mapping[str, Any], dataset: str
) -> EmbeddingStore | None:
    """Where embeddings are kept that were optimized with this model and these settings; None for `embeddings=null`."""
    if not cfg.embeddings:
        return None
    model = {"weights": of.fingerprint(), "layers": list(of.layers), "image_size": of.image_size, "tokens": of.tokens}
    return EmbeddingStore(Path(cfg.embeddings), {"dataset": dataset, "model": model, "method": dict(how)})


def settings(cfg: DictConfig, **changes: Any) -> PromptSettings:
    """`cfg.method`, with some settings changed.

    Raises:
        UserError: if there is no such setting or its value is not legal.
    """
    kind, values = _kind(cfg, changes)
    return read_settings(KINDS[kind][1], values)


def _kind(cfg: DictConfig, changes: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """One of KINDS and its settings; `changes` may name another one as `method`."""
    values: dict[str, Any] = OmegaConf.to_container(cfg.method, resolve=True) | changes
    target = values.pop("_target_").rpartition(".")[2]
    kind = values.pop("method", None) or next(name for name, (made, _) in KINDS.items() if made.__name__ == target)
    if kind not in KINDS:
        raise UserError(f"There is no method '{kind}': choose {' or '.join(KINDS)}.")
    return kind, values


def _nobody(source: str) -> list[Callback]:
    return []


@dataclass(frozen=True)
class _Resources:
    """What a method works with."""

    cfg: DictConfig
    dataset: str
    model: Mapping[str, Any] = field(default_factory=dict)  # some of MODEL_CHANGES
    callbacks: Callable[[str], list[Callback]] = _nobody
    map_cells: int = 0

    def backbone(self) -> FrozenDiffusion:
        return backbone(self.cfg, **{name: value for name, value in self.model.items() if name != "transfer_layers"})

    def reader(self) -> FrozenDiffusion | None:
        reads = self.model.get("transfer_layers") or self.cfg.model.transfer_layers
        others = {name: value for name, value in self.model.items() if name != "transfer_layers"}
        return backbone(self.cfg, **(others | {"layers": list(reads)})) if reads else None

    def embedding_store(self, determinants: Mapping[str, Any]) -> EmbeddingStore | None:
        return embedding_store(self.cfg, self.backbone(), determinants, self.dataset)


def prompt(
    cfg: DictConfig,
    dataset: str,
    changes: DictConfig | None = None,
    callbacks: Callable[[str], list[Callback]] = _nobody,
    map_cells: int = 0,
) -> Prompt:
    """The method, or a variant of it.

    Args:
        cfg: of an evaluation, or of a transfer of points.
        dataset: with the images' keys, names the random draws.
        changes: of a variant: settings, and those of MODEL_CHANGES.
        callbacks: who looks on at the optimization on a source image, by its key.
        map_cells: cells a side of the maps that are kept with each match; 0 for none.
    """
    different = dict(OmegaConf.to_container(changes, resolve=True)) if changes else {}
    model = {name: different.pop(name) for name in MODEL_CHANGES if name in different}
    kind, values = _kind(cfg, different)
    return KINDS[kind][0](_Resources(cfg, dataset, model, callbacks, map_cells), **values)


def matcher(cfg: DictConfig, dataset: str) -> FastMatcher:
    """The method's three verbs on its model; the arguments are those of `prompt`."""
    return prompt(cfg, dataset).matcher


def load(*overrides: str) -> FastMatcher:
    """The method as the commands would set it up, for notebooks and scripts.

    >>> matcher = load("model=toybox", "method.restarts=2")
    >>> matcher.settings.restarts
    2

    Raises:
        UserError: if an override does not fit, or the weights cannot be had.
    """
    return matcher(compose("eval", "embeddings=null", *overrides), dataset="pictures")


def methods(
    cfg: DictConfig, of: Benchmark, callbacks: Callable[[str], list[Callback]] = _nobody
) -> dict[str, Callable[[], Method]]:
    """Everything that an evaluation runs, by name: the method, its variants, the baselines.

    What can be wrong with the method, and with names and settings, is found here; the others' weights are loaded when
    their turn comes.

    Args:
        cfg: the configuration of an evaluation.
        of: what is evaluated on.
        callbacks: who looks on at the method's optimization on a source image, by its key.

    Raises:
        UserError: if a name, a layer or a setting is not known or not legal, or the weights cannot be had.
    """
    method = prompt(cfg, of.name, callbacks=callbacks, map_cells=cfg.maps)
    method.prepare()
    made: dict[str, Callable[[], Method]] = {METHOD: lambda: method}
    for changes in cfg.variants:
        _check_variant(cfg, changes, method.matcher.backbone)
        made[variant_name(changes)] = partial(prompt, cfg, of.name, changes)
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
        "method": {"kind": plain["method"]["_target_"]} | asdict(settings(cfg)),
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
    told = {name: value for name, value in told.items() if name not in ("name", "transfer_layers")}
    path = str(MODEL_FOLDER) if told["path"] == "toybox" else told["path"]
    return tuple(sorted((told | {"path": path, "layers": tuple(told["layers"])}).items()))


@cache
def _load(model: tuple[tuple[str, Any], ...], where: torch.device, truncate: bool) -> FrozenDiffusion:
    told = dict(model)
    return FrozenDiffusion.load(told.pop("path"), device=where, truncate=truncate, **told)
