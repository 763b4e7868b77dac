"""The methods that an evaluation lists: each entry of `methods` as all of its settings.

A method's settings are what its yaml in configs/method says, after those that it starts from (`defaults`) and those of
configs/model that suit the model. An entry is a name of configs/method, or a mapping with what it changes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from sdcorr.cli import configs
from sdcorr.cli.composition import by_hydra
from sdcorr.cli.configs import choices
from sdcorr.configuration import plain
from sdcorr.digests import value_digest
from sdcorr.errors import UserError

ENTRY_KEYS = ("method", "name", "model")  # of an entry of `methods`, beside settings
LEGAL_NAME = re.compile(r"\w[\w.+-]*")  # of a method in a run, where it is a folder
LONGEST_NAME = 200  # characters
JOINT = "joint"  # the consensus for which a point's match depends on what else is asked for


@dataclass(frozen=True)
class MethodEntry:
    """One of `methods` of an evaluation, spelled out."""

    name: str  # unique, and a legal file name
    method: str  # a name in configs/method
    settings: Mapping[str, Any]  # all of them, with `_target_`
    model: Mapping[str, Any]  # what it changes of `cfg.model`


def method_entries(cfg: DictConfig) -> list[MethodEntry]:
    """The methods of an evaluation that was composed, the subject first."""
    return [MethodEntry(**plain(entry)) for entry in cfg.methods]


def spelled_out(cfg: DictConfig, subject: str) -> ListConfig:
    """The methods of an evaluation, spelled out.

    Raises:
        UserError: if an entry is not legal or names an unknown method or setting, or two have one name.
    """
    if not isinstance(cfg.methods, ListConfig) or not cfg.methods:
        raise UserError(f"methods={cfg.methods} is not a list of methods: give for example [prompt,same_pixel].")
    first, *others = (plain(each) if isinstance(each, DictConfig) else each for each in cfg.methods)
    if isinstance(first, dict):
        first = first | {"method": subject}
    rest = [each for each in others if each != subject]  # `method=` may have moved one of the others to the front
    entries = [_entry(cfg, each, subject) for each in (subject if isinstance(first, str) else first, *rest)]
    names = [entry.name for entry in entries]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"Two of the methods are called {twice}: give one another name, as {{..., name: NAME}}.")
    return OmegaConf.create([asdict(entry) for entry in entries])


def _entry(cfg: DictConfig, entry: Any, subject: str) -> MethodEntry:
    if not isinstance(entry, str | dict) or not entry:
        raise UserError(
            f"methods has the entry {entry!r}, which is not a method: give one of {', '.join(choices('method'))}, "
            "or settings that differ from the first method's, such as {restarts: 1}."
        )
    entry = {"method": entry} if isinstance(entry, str) else entry
    method = str(entry.get("method", subject))
    _lineage(method)  # complains of a name that does not exist
    model = _model_changes(entry.get("model"), method) or ({} if method == subject else published_with(method))
    own = _own_model(cfg, model, method)
    settings = plain(cfg.method) if method == subject else _settings(cfg.model, method)
    if own is not None:  # what was as it suits the evaluation's model is as it suits this one
        usual, here = _settings(cfg.model, method), _settings(own, method)
        settings = {key: here[key] if value == usual[key] else value for key, value in settings.items()}
    changes = {key: value for key, value in entry.items() if key not in ENTRY_KEYS}
    if unknown := next((key for key in changes if key not in settings), None):
        known = ", ".join(key for key in settings if key != "_target_")
        raise UserError(f"There is no setting '{unknown}' of {method}: there is {known or 'none'}.")
    of = cfg.model if own is None else own
    if unknown := next((key for key in model if key not in of or key == "methods"), None):
        known = ", ".join(str(key) for key in of if key != "methods")
        raise UserError(f"There is no setting '{unknown}' of a model: there is {known}.")
    if "path" in model and own is None:
        raise UserError("A method cannot change model.path alone: give model: {name: NAME, path: FOLDER}.")
    settings |= changes
    if "parts" in settings:  # of a method that is made of others
        settings["parts"] = [_part(cfg, each, subject) for each in _list_of_parts(settings["parts"], method)]
    name = str(entry.get("name") or _name(method, changes | _model_changes(entry.get("model"), method)))
    if settings.get("consensus") == JOINT and JOINT not in name:
        name += f"_{JOINT}"  # another task: the word stands wherever the method's numbers do
    if not LEGAL_NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise UserError(
            f"A method cannot be called {name!r}: give it a name of letters, digits, dots, _, + and -, at most "
            f"{LONGEST_NAME}, as {{..., name: NAME}}."
        )
    whole = {} if own is None else plain(own)
    return MethodEntry(name, method, settings, whole | {k: v for k, v in model.items() if whole or k != "name"})


def _list_of_parts(parts: Any, method: str) -> list[Any]:
    if not isinstance(parts, list):
        raise UserError(f"parts={parts} of {method} is no list of methods: give [prompt,unet_features].")
    return parts


def _part(cfg: DictConfig, entry: Any, subject: str) -> dict[str, Any]:
    """The settings of a part of another method, with `model` where that is another."""
    part = _entry(cfg, entry, subject)
    return {**part.settings, **({"model": part.model} if part.model else {})}


def published_with(method: str) -> dict[str, Any]:
    """The model that a method was published with, its name and what is changed of it; empty if none is said.

    Its yaml says it, or that of a method which it starts from: `model: sd21` or `model: {name: sd15, image_size: 960}`.
    """
    files = (read_config("method", name) for name in reversed(_lineage(method)))
    said = next((found for each in files if (found := each.get("model"))), None)
    return _model_changes(plain(said) if isinstance(said, DictConfig) else said, method)


def _model_changes(said: Any, method: str) -> dict[str, Any]:
    """`model` of an entry: a name, or a mapping."""
    if said and not isinstance(said, str | dict):
        raise UserError(f"The model of {method} is a name or changes by key, as {{layers: [...]}}, not {said!r}.")
    return {"name": said} if isinstance(said, str) else dict(said or {})


def _own_model(cfg: DictConfig, changes: Mapping[str, Any], method: str) -> DictConfig | None:
    """The model that an entry names, if it is not the evaluation's as that is.

    Raises:
        UserError: if there is no such model.
    """
    name = changes.get("name")
    if name is None or (name == cfg.model.name and "path" not in changes):
        return None
    if name not in choices("model"):
        raise UserError(f"There is no model '{name}' for {method}: choose one of {', '.join(choices('model'))}.")
    return by_hydra("eval", [f"model={name}"]).model


def _settings(model: DictConfig, method: str) -> dict[str, Any]:
    """All settings of a method on a model."""
    root, *presets = _lineage(method)
    merged = OmegaConf.merge(_own(root), suiting(model, method), *(_own(preset) for preset in presets))
    assert isinstance(merged, DictConfig)  # of mappings alone
    return plain(merged)


def _name(method: str, changes: Mapping[str, Any]) -> str:
    """What an entry is called if it does not say: by its method and what it changes. Nobody reads it back.

    >>> _name("prompt", {"restarts": 1})
    'prompt_restarts_1'
    """
    words = [method]
    for key, value in changes.items():
        words += [key, "+".join(map(str, value)) if isinstance(value, list) else str(value)]
    name = re.sub(r"[^A-Za-z0-9.+-]+", "_", "_".join(words))
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 9]}_{value_digest(name)[:8]}"


def suiting(model: DictConfig, method: str) -> dict[str, Any]:
    """The settings that suit a model, without those that a preset has its own opinion about."""
    root, *presets = _lineage(method)
    own = {key for preset in presets for key in _own(preset)}
    found: dict[str, Any] = {}
    for name in (root, *presets):
        found |= {key: value for key, value in (model.get("methods") or {}).get(name, {}).items() if key not in own}
    return found


def _lineage(method: str) -> list[str]:
    """A method of configs/method, after those whose settings it starts from: `read_once` -> prompt, read_once.

    Raises:
        UserError: if there is no such method.
    """
    known = choices("method")
    if method not in known:
        raise UserError(f"There is no method '{method}': choose methods from {', '.join(known)}.")
    parents = [each for each in read_config("method", method).get("defaults", ()) if each != "_self_"]
    return [*(name for parent in parents for name in _lineage(parent)), method]


def _own(method: str) -> DictConfig:
    """What the method's file says itself."""
    read = read_config("method", method)
    return OmegaConf.masked_copy(read, [str(key) for key in read if key not in ("defaults", "model")])


def read_config(group: str, name: str) -> DictConfig:
    """What a file of configs/ says; not to be changed, for it is read once."""
    return _read(configs.CONFIGS / group / f"{name}.yaml")


@cache
def _read(path: Path) -> DictConfig:
    read = OmegaConf.load(path)
    assert isinstance(read, DictConfig)  # Hydra has composed of it
    return read
