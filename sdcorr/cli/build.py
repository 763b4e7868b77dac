"""From a composed configuration to the parts of a run. The only place that knows both the configs and the classes."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_class
from lightning import Callback
from omegaconf import DictConfig, OmegaConf

from sdcorr.cli.compose import compose
from sdcorr.datasets import Benchmark, group_by_source
from sdcorr.datasets.opening import open_benchmark
from sdcorr.datasets.subset import Part
from sdcorr.errors import UserError
from sdcorr.methods.base import Claim, Method
from sdcorr.methods.prompt import read_settings
from sdcorr.methods.resources import Models, Resources, nobody_watches
from sdcorr.prompt import PromptMatcher, PromptSettings


@dataclass(frozen=True, eq=False)
class Entry:
    """One of the methods of an evaluation, ready to be made."""

    name: str  # unique in the run: of its records, and in tables
    kind: type[Method]
    settings: Mapping[str, Any]
    resources: Resources

    @cached_property
    def method(self) -> Method:
        """The method itself; its settings are checked, its model is not loaded yet.

        Raises:
            UserError: if a setting is not legal.
        """
        return self.kind(self.resources, **self.settings)

    def claim(self) -> Claim:
        """All that decides what it predicts.

        Raises:
            UserError: if its model cannot be had.
        """
        return Claim(
            kind=f"{self.kind.__module__}.{self.kind.__qualname__}",
            version=self.kind.version,
            settings=decisive(self.settings, self.kind),
            model=self.method.model_identity(),
        )


def decisive(settings: Mapping[str, Any], kind: type[Method]) -> dict[str, Any]:
    """The settings that decide what a method predicts; where the models of its parts lie does not."""
    told = {name: value for name, value in settings.items() if name not in kind.without_effect}
    if "parts" in told:
        told["parts"] = [{name: value for name, value in part.items() if name != "model"} for part in told["parts"]]
    return told


def benchmark(cfg: DictConfig) -> Benchmark:
    """The data set split that `cfg.dataset` names, or the part of it that `cfg.limit` asks for.

    Raises:
        UserError: if it is not there, or is not what it should be.
    """
    whole = open_benchmark(cfg.dataset)
    return Part(whole, cfg.limit) if cfg.limit else whole


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


def resources(
    cfg: DictConfig,
    dataset: str,
    changes: Mapping[str, Any] | None = None,
    *,
    callbacks: Callable[[str], Sequence[Callback]] = nobody_watches,
    map_cells: int = 0,
    models: Models | None = None,
) -> Resources:
    """What a method may draw on.

    Args:
        cfg: of an evaluation, or of a transfer of points.
        dataset: with the images' keys, names the random draws.
        changes: of `cfg.model`, for this method alone.
        callbacks: takes the key of a source image and gives what watches its optimization.
        map_cells: cells a side of the attention maps to keep.
        models: those that are loaded already.
    """
    model = OmegaConf.to_container(cfg.model, resolve=True)
    assert isinstance(model, dict)
    made = Resources(
        model,
        dataset=dataset,
        device=device(cfg),
        embeddings=Path(cfg.embeddings) if cfg.embeddings else None,
        map_cells=map_cells,
        callbacks=callbacks,
        models=models,
    )
    return made.on(changes) if changes else made


def methods(
    cfg: DictConfig, of: Benchmark, callbacks: Callable[[str], Sequence[Callback]] = nobody_watches
) -> list[Entry]:
    """The methods of an evaluation, the subject first; those that these pairs do not suit are left out with a warning.

    Args:
        cfg: of an evaluation.
        of: what is evaluated on.
        callbacks: takes the key of a source image and gives what watches its optimization, of the subject alone.

    Raises:
        UserError: if a setting is not legal, or the subject cannot be used on these pairs.
    """
    models, entries = Models(), []
    for number, entry in enumerate(OmegaConf.to_container(cfg.methods, resolve=True)):
        settings = dict(entry["settings"])
        kind = get_class(settings.pop("_target_"))
        subject = number == 0
        if reason := kind.unsuited(of.pairs):
            if subject:
                raise UserError(f"{entry['name']} cannot be used on {of.name}, for {reason}: choose another method.")
            warnings.warn(f"{entry['name']} is left out, for {reason} in {of.name}.", stacklevel=1)
            continue
        watched = {"callbacks": callbacks, "map_cells": cfg.maps} if subject else {}
        made = Entry(entry["name"], kind, settings, resources(cfg, of.name, entry["model"], models=models, **watched))
        _ = made.method  # its settings are checked
        entries.append(made)
    return entries


def at_hand(entries: Sequence[Entry]) -> list[Entry]:
    """The methods whose networks can be had here; of each other, a warning says why it is left out.

    Raises:
        UserError: if none can be run.
    """
    found = []
    for entry in entries:
        try:
            entry.claim()
        except UserError as error:
            warnings.warn(f"{entry.name} is left out. {error}", stacklevel=1)
        else:
            found.append(entry)
    if not found:
        raise UserError("None of the methods can be run here: the warnings above say what each lacks.")
    return found


def prompt_settings(cfg: DictConfig) -> PromptSettings:
    """The settings of the prompt method that a configuration gives; its subject must be that.

    Raises:
        UserError: if there is no such setting, or its value is not legal.
    """
    given: dict[str, Any] = OmegaConf.to_container(cfg.method, resolve=True)  # type: ignore[assignment]
    return read_settings(PromptSettings, {name: value for name, value in given.items() if name != "_target_"})


def matcher(cfg: DictConfig, dataset: str = "pictures") -> PromptMatcher:
    """The paper's method on a user's own pictures.

    Args:
        cfg: of a transfer of points, or of an evaluation.
        dataset: with the images' keys, names the random draws.

    Raises:
        UserError: if the method is another than prompt embeddings, or its settings or the weights do not fit.
    """
    settings: dict[str, Any] = dict(OmegaConf.to_container(cfg.method, resolve=True))  # type: ignore[arg-type]
    kind = get_class(settings.pop("_target_"))
    method = kind(resources(cfg, dataset), **settings)
    if not hasattr(method, "matcher"):
        raise UserError("Only prompt embeddings can be matched here: give method=prompt or method=read_once.")
    return method.matcher


def load(*overrides: str) -> PromptMatcher:
    """The method as the commands would set it up, for notebooks and scripts.

    >>> matcher = load("model=toybox", "method.restarts=2")
    >>> matcher.settings.restarts
    2

    Raises:
        UserError: if an override does not fit, or the weights cannot be had.
    """
    return matcher(compose("eval", "embeddings=null", *overrides))


def run_identity(cfg: DictConfig, of: Benchmark) -> dict[str, Any]:
    """What a run is: its data set, wherever that lies. What its methods are is claimed by each."""
    plain: dict[str, Any] = OmegaConf.to_container(cfg.dataset, resolve=True)  # type: ignore[assignment]
    told = {name: value for name, value in plain.items() if name not in ("_target_", "root", "download")}
    limit = {"limit": cfg.limit} if cfg.limit else {}
    return {"dataset": {"name": of.name} | told | limit | dict(of.identity)}


def run_folder(cfg: DictConfig, of: Benchmark, subject: Entry) -> Path:
    """`cfg.run_dir`, or a stable folder named by data set, model and the subject's settings."""
    if cfg.run_dir:
        return Path(cfg.run_dir).expanduser()
    identity = run_identity(cfg, of)
    claim: dict[str, Any] = {"kind": subject.kind.__qualname__, "settings": decisive(subject.settings, subject.kind)}
    if subject.kind.reads_model:
        claim["model"] = subject.resources.model_settings()
    digest = hashlib.sha256(json.dumps(identity | claim, sort_keys=True).encode()).hexdigest()[:8]
    split = str(identity["dataset"].get("split", "all"))
    made_with = cfg.model.name if subject.kind.reads_model else subject.name
    return Path("outputs") / "-".join([of.name, split, made_with, digest])


def ahead(cfg: DictConfig, of: Benchmark, entries: Sequence[Entry]) -> str | None:
    """What to know before hours of work begin, as a sentence or two; None if there is nothing to say.

    Args:
        cfg: of the evaluation.
        of: what is evaluated on.
        entries: its methods.
    """
    if not any(entry.kind.reads_model for entry in entries):
        return None
    if cfg.model.path == "toybox":
        drawings = of.name == "toybox"
        return None if drawings else "The toybox's model knows only drawings: photographs need model=sd14."
    if device(cfg).type != "cpu":
        return None
    points = sum(len(unit.points) for unit in group_by_source(of.pairs))
    return (
        f"{cfg.model.name} runs on a CPU here, where the paper's settings take about an hour for one query point, and "
        f"{points:,} are ahead. Quicker: a GPU, method=read_once, fewer method.steps and method.restarts, or limit=10."
    )


def logged(cfg: DictConfig, of: Benchmark, entries: Sequence[Entry], processes: int) -> dict[str, Any]:
    """What W&B is told of an evaluation: the arguments of `sdcorr.tracking.make_logger`.

    Args:
        cfg: of the evaluation.
        of: what is evaluated on.
        entries: its methods.
        processes: how many work on it.
    """
    facts = {
        "pairs": len(of.pairs),
        "points": sum(int(pair.visible.sum()) for pair in of.pairs),
        "source_images": len({pair.source for pair in of.pairs}),
        "methods": {entry.name: asdict(entry.claim()) for entry in entries},
        "device": str(device(cfg)),
        "processes": processes,
    }
    several = len({entry.kind for entry in entries}) < len(entries)
    tags = [of.name, of.split, cfg.model.name, entries[0].name, "ablation" if several else ""]
    return {"group": f"{of.name}-{of.split}", "job_type": "evaluation", "tags": tags, "facts": facts}
