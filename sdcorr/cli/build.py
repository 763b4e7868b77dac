"""From a composed configuration to the parts of a run. The only place that knows both the configs and the classes."""

from __future__ import annotations

import hashlib
import inspect
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning import Callback
from omegaconf import DictConfig

from sdcorr.cli.compose import compose
from sdcorr.cli.entries import method_entries
from sdcorr.cli.origin import run_identity
from sdcorr.configuration import class_named, plain, settings_of
from sdcorr.datasets import Benchmark
from sdcorr.diffusion.files import look_at
from sdcorr.errors import UserError
from sdcorr.methods.base import Claim, Method
from sdcorr.methods.prompt import Prompt
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
            UserError: if there is no such setting, or its value is not legal.
        """
        asked = inspect.signature(self.kind).parameters
        takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in asked.values())  # and checks it itself
        if unknown := next((name for name in self.settings if not takes_any and name not in asked), None):
            known = ", ".join(name for name in asked if name != "resources")
            raise UserError(f"There is no setting '{unknown}' of {self.name}: there is {known or 'none'}.")
        return self.kind(self.resources, **self.settings)

    def claim(self) -> Claim:
        """All that decides what it predicts.

        Raises:
            UserError: if its model cannot be had.
        """
        return self._claim

    @cached_property
    def _claim(self) -> Claim:  # once, for weights and configurations are hashed
        return Claim(
            kind=f"{self.kind.__module__}.{self.kind.__qualname__}",
            version=self.kind.version,
            settings=self.kind.claimed(self.settings),
            model=self.method.model_identity(),
        )


def device(cfg: DictConfig) -> torch.device:
    """What `trainer.accelerator` means on this machine.

    Raises:
        UserError: if it is not there.
    """
    accelerator: str = cfg.trainer.accelerator
    wanted = "cuda" if accelerator == "gpu" else accelerator
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError):
        raise UserError(
            f"This machine has no '{accelerator}' that torch can use: give trainer.accelerator=auto or cpu."
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
    made = Resources(
        plain(cfg.model),
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
    for number, entry in enumerate(method_entries(cfg)):
        settings = dict(entry.settings)
        kind: type[Method] = class_named(settings.pop("_target_"), Method, entry.name)
        subject = number == 0
        if reason := kind.unsuited(of.pairs):
            if subject:
                raise UserError(f"{entry.name} cannot be used on {of.name}, for {reason}: choose another method.")
            warnings.warn(f"{entry.name} is left out, for {reason} in {of.name}.", stacklevel=1)
            continue
        watched: dict[str, Any] = {"callbacks": callbacks, "map_cells": cfg.maps} if subject else {}
        made = Entry(entry.name, kind, settings, resources(cfg, of.name, entry.model, models=models, **watched))
        _ = made.method  # its settings are checked
        entries.append(made)
    return entries


def only_method(cfg: DictConfig, dataset: str) -> Entry:
    """The one method of a configuration that has one.

    Args:
        cfg: with `methods`.
        dataset: name of the data set, for random draws.

    Raises:
        UserError: if there are several.
    """
    entry, *others = method_entries(cfg)
    if others:
        raise UserError(f"One method is asked for, and methods names {1 + len(others)}: give one of them.")
    settings = dict(entry.settings)
    kind: type[Method] = class_named(settings.pop("_target_"), Method, entry.name)
    return Entry(entry.name, kind, settings, resources(cfg, dataset, entry.model))


def model_lacking(cfg: DictConfig) -> str | None:
    """Why the model cannot be had, told from its small files alone; None if it can, or no method reads it."""
    kinds = [class_named(entry.settings["_target_"], Method, entry.name) for entry in method_entries(cfg)]
    if cfg.model.path == "toybox" or "family" not in cfg.model or not any(kind.reads_model for kind in kinds):
        return None
    try:
        look_at(cfg.model.path, revision=cfg.model.revision, unet=cfg.model.unet, family=cfg.model.family)
    except UserError as error:
        return str(error)
    return None


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
    apart = ("_target_", *Prompt.beside_paper)
    given = {name: value for name, value in plain(cfg.method).items() if name not in apart}
    return settings_of(PromptSettings, given, "method setting")


def matcher(cfg: DictConfig, dataset: str = "pictures") -> PromptMatcher:
    """The steps of the paper's method, its model loaded; what can be wrong is as in `prompt_entry`.

    Raises:
        UserError: also if more than the paper's steps is asked for.
    """
    method = prompt_entry(cfg, dataset)[1]
    for name, value in (("consensus", method.consensus), ("refine", method.refine)):
        if value != "none":
            raise UserError(
                f"method.{name} is no step of a matcher: leave it away, or call sdcorr.match, which heeds it."
            )
    return method.matcher


def prompt_entry(cfg: DictConfig, dataset: str = "pictures", models: Models | None = None) -> tuple[Entry, Prompt]:
    """What makes the paper's method on a user's own pictures, and the method.

    Args:
        cfg: of a transfer of points, or of an evaluation.
        dataset: with the images' keys, names the random draws.
        models: those that are loaded already.

    Raises:
        UserError: if the method is another than prompt embeddings, or its settings or the weights do not fit.
    """
    settings = plain(cfg.method)
    kind: type[Method] = class_named(settings.pop("_target_"), Method, "method")
    entry = Entry(kind.__name__, kind, settings, resources(cfg, dataset, models=models))
    method = entry.method
    if not isinstance(method, Prompt):
        raise UserError("Only prompt embeddings can be matched here: give method=prompt or method=read_once.")
    return entry, method


def load(*overrides: str) -> PromptMatcher:
    """The method as the commands would set it up, for notebooks and scripts.

    >>> matcher = load("model=toybox", "method.restarts=2")
    >>> matcher.settings.restarts
    2

    Raises:
        UserError: if an override does not fit, or the weights cannot be had.
    """
    return matcher(compose("eval", "embeddings=null", *overrides))


def run_folder(cfg: DictConfig, of: Benchmark, subject: Entry) -> Path:
    """`cfg.run_dir`, or a stable folder named by data set, model and the subject's settings."""
    if cfg.run_dir:
        return Path(cfg.run_dir).expanduser()
    identity = run_identity(cfg, of)
    claim: dict[str, Any] = {"kind": subject.kind.__qualname__, "settings": subject.kind.claimed(subject.settings)}
    if subject.kind.reads_model:
        claim["model"] = subject.resources.model_settings()
    digest = hashlib.sha256(json.dumps(identity | claim, sort_keys=True).encode()).hexdigest()[:8]
    made_with = cfg.model.name if subject.kind.reads_model else subject.name
    return Path("outputs") / "-".join([of.called, made_with, digest])


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
        "points": sum(int(pair.asked.sum()) for pair in of.pairs),
        "source_images": len({pair.source for pair in of.pairs}),
        "methods": {entry.name: asdict(entry.claim()) for entry in entries},
        "device": str(device(cfg)),
        "processes": processes,
    }
    several = len({entry.kind for entry in entries}) < len(entries)
    tags = [of.name, of.split, cfg.model.name, entries[0].name, "ablation" if several else ""]
    return {"group": of.called, "job_type": "evaluation", "tags": tags, "facts": facts}
