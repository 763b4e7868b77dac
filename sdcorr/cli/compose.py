"""From the words of a command line to a configuration: Hydra's groups and overrides, and what a choice brings along.

What a choice brings, weakest first:

    configs/method/<name>.yaml                 the method's own defaults
    configs/model/<name>.yaml, under methods   settings that suit the model
    a preset                                   a yaml in configs/method with `defaults: [<method>, _self_]`
    configs/experiment/<name>.yaml
    the command line

A data set of photographs brings `model=sd14` with it, and `model.path` the family of the model that lies there, unless
a model is named. `methods` lists what an evaluation runs:
names of configs/method, or a method with other settings, `{method: prompt, restarts: 1, model: {layers: [...]}}`;
without `method` these are changes of the first, the subject. `method.NAME=VALUE` sets the subject's settings.

A method that was published with a model says so in its yaml, `model: sd21`. As the subject it brings that model, unless
one is named; as another of `methods` it keeps to it, unless its entry says `model: NAME` or `model: {name: NAME, ...}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException, InstantiationException, MissingConfigException
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from sdcorr.cli.checks import check
from sdcorr.cli.configs import CONFIGS, choices
from sdcorr.cli.model_settings import implied_by_path  # its module registers what configs/model refers to
from sdcorr.cli.paths import expand, spelled
from sdcorr.errors import UserError

MISTAKES = (UserError, HydraException, OmegaConfBaseException)
PHOTOGRAPHS_NEED = "sd14"  # the model that a data set of photographs brings with it
WITH_THE_DEFAULT_MODEL = ("toybox", "folder")  # data sets that bring no model: drawings, and nobody knows what
ENTRY_KEYS = ("method", "name", "model")  # of an entry of `methods`, beside settings
LONGEST_NAME = 60


def _one_each(name: str, values: Sequence[Any] | None) -> ListConfig:
    """The subject, and it with one of the values each; `${one_each:model.layers,${model.layers}}` in an experiment."""
    group, _, key = name.rpartition(".")
    changes = [{key: [value]} for value in values or ()]
    return OmegaConf.create(["prompt", *({group: each} if group else each for each in changes)])


OmegaConf.register_new_resolver("one_each", _one_each, replace=True)


def compose(config_name: str, *overrides: str) -> DictConfig:
    """The configuration that a command gets.

    Args:
        config_name: `eval` or `train`, a file in configs/.
        overrides: as on the command line, without sweeps.

    Returns:
        The configuration. In `methods`, every entry is a mapping of `name` (unique, a legal file name), `method` (a
        name in configs/method), `settings` (all of them, with `_target_`) and `model` (what it changes of `model`).

    Raises:
        UserError: if an override does not fit.
    """
    try:
        return _composed(config_name, spelled(overrides))
    except MISTAKES as error:
        raise UserError(explain(error)) from None


def _composed(config_name: str, overrides: Sequence[str]) -> DictConfig:
    said = OverridesParser.create().parse_overrides(list(overrides))
    _check_one_subject(said)
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        chosen = [override for override in said if _is_choice(override)]
        plain = hydra.compose(config_name, [str(each.input_line) for each in chosen], return_hydra_config=True)
        place = {str(each.key_or_group): each.value() for each in said if str(each.key_or_group).startswith("model.")}
        implied = list(_implied(plain, {str(each.key_or_group) for each in chosen}, place))
        cfg = hydra.compose(config_name, [*overrides, *implied], return_hydra_config=True)
        groups = dict(cfg.hydra.runtime.choices)
        with open_dict(cfg):
            del cfg["hydra"]
            cfg.method.pop("model", None)  # that it was published with; `_implied` has brought it
            _apply_model(cfg, groups["method"], _said_of_the_method(said, groups))
            if "methods" in cfg:
                cfg.methods = _entries(cfg, groups["method"])
    expand(cfg)
    check(cfg)
    return cfg


def explain(error: Exception) -> str:
    """One sentence for an exception of ours, of Hydra or of OmegaConf."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        known = ", ".join(sorted(error.options or ())) or "nothing"
        return f"There is no {group} '{choice}': choose {group}= one of {known}."
    if isinstance(error, InstantiationException) and isinstance(error.__cause__, UserError):
        return explain(error.__cause__)
    if isinstance(error, ConfigCompositionException) and isinstance(error.__cause__, Exception):
        return explain(error.__cause__)
    key = getattr(error, "full_key", None)
    if type(error).__name__ == "ConfigAttributeError" and key:
        parent = getattr(error, "parent_node", None)
        names = [str(name) for name in parent if name != "_target_"] if isinstance(parent, DictConfig) else []
        known = f": there is {', '.join(names)}" if names else ""
        return f"There is no setting '{key}'{known}."
    if type(error).__name__ == "MissingMandatoryValue" and key:
        return f"Say {key}=...: it has no default."
    return " ".join(str(error).split())


def _check_one_subject(said: Sequence[Override]) -> None:
    """Raises UserError if `method=` and `methods=` of one command line name different subjects."""
    named = {str(each.key_or_group): each.value() for each in said if str(each.key_or_group) in ("method", "methods")}
    first = (named.get("methods") or [None])[0] if isinstance(named.get("methods"), list) else None
    if "method" in named and isinstance(first, str) and first != named["method"]:
        raise UserError(
            f"method={named['method']} and methods=[{first},...] name different subjects: give one of them."
        )


def jobs(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of each run of a sweep (`a=1,2`), as Hydra's basic sweeper orders them."""
    words = spelled(overrides, sweeps=True)
    (batch,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(words), None)
    return [list(job) for job in batch]


def _is_choice(override: Override) -> bool:
    """Whether it chooses a file of a group, or the methods: what decides what else is composed."""
    key = str(override.key_or_group)
    return key == "methods" or (CONFIGS / key).is_dir()


def _implied(cfg: DictConfig, named: set[str], place: Mapping[str, Any]) -> Iterator[str]:
    """The choices that others bring with them.

    Args:
        cfg: composed of the choices alone.
        named: groups that the user has chosen from.
        place: `model.path` and what else the user says of the model: what lies there says which family it is of, and
            for which size of image, which lengths in pixels follow.
    """
    chosen = cfg.hydra.runtime.choices
    subject = chosen.method
    if "methods" in cfg and "method" not in named and (first := _method_of(cfg.methods, "")) not in ("", subject):
        yield f"method={first}"
        subject = first
    dataset, published = chosen.get("dataset"), _published_with(subject)
    of_its_own = {f"model.{key}": value for key, value in published.items() if key != "name"}
    if place.get("model.path") not in (None, "toybox"):
        yield from implied_by_path(place, chosen.model if "model" in named else None)
    elif "model" not in named and published:
        yield f"model={published['name']}"
    elif "model" not in named and dataset and dataset not in WITH_THE_DEFAULT_MODEL:
        yield f"model={PHOTOGRAPHS_NEED}"
    if place.get("model.path") != "toybox" and ("model" not in named or chosen.model == published.get("name")):
        yield from (f"{key}={value}" for key, value in of_its_own.items() if key not in place)


def _method_of(methods: Any, default: str) -> str:
    """The name in configs/method of the first of `methods`; `default` where it names none."""
    first = methods[0] if isinstance(methods, ListConfig) and len(methods) else default
    return str(first.get("method", default)) if isinstance(first, DictConfig) else str(first)


def _lineage(method: str) -> list[str]:
    """A method of configs/method, after those whose settings it starts from: `read_once` -> prompt, read_once.

    Raises:
        UserError: if there is no such method.
    """
    known = choices("method")
    if method not in known:
        raise UserError(f"There is no method '{method}': choose methods from {', '.join(known)}.")
    parents = [each for each in _file(method).get("defaults", ()) if each != "_self_"]
    return [*(name for parent in parents for name in _lineage(parent)), method]


def _file(method: str) -> DictConfig:
    return OmegaConf.load(CONFIGS / "method" / f"{method}.yaml")  # type: ignore[return-value]


def _own(method: str) -> DictConfig:
    """What the method's file says itself."""
    return OmegaConf.masked_copy(_file(method), [key for key in _file(method) if key not in ("defaults", "model")])


def _published_with(method: str) -> dict[str, Any]:
    """The model that a method was published with, its name and what is changed of it; empty if none is said.

    Its yaml says it, or that of a method which it starts from: `model: sd21` or `model: {name: sd15, image_size: 960}`.
    """
    said = next((found for name in reversed(_lineage(method)) if (found := _file(name).get("model"))), None)
    return _model_changes(OmegaConf.to_container(said) if isinstance(said, DictConfig) else said)


def _model_changes(said: Any) -> dict[str, Any]:
    """`model` of an entry: a name, or a mapping."""
    return {"name": said} if isinstance(said, str) else dict(said or {})


def _said_of_the_method(said: Sequence[Override], chosen: Mapping[str, str | None]) -> set[str]:
    """The subject's settings that an experiment or the command line gives."""
    keys = {str(each.key_or_group).removeprefix("method.") for each in said if str(each.key_or_group)[:7] == "method."}
    if experiment := chosen.get("experiment"):
        keys |= set(OmegaConf.load(CONFIGS / "experiment" / f"{experiment}.yaml").get("method", ()))
    return keys


def _apply_model(cfg: DictConfig, method: str, said: set[str]) -> None:
    """Put the settings that suit the model into `cfg.method`, where nothing with a better right has said another."""
    for key, value in _suiting(cfg.model, method).items():
        if key not in said:
            cfg.method[key] = value


def _suiting(model: DictConfig, method: str) -> dict[str, Any]:
    """The settings that suit a model, without those that a preset has its own opinion about."""
    root, *presets = _lineage(method)
    own = {key for preset in presets for key in _own(preset)}
    found: dict[str, Any] = {}
    for name in (root, *presets):
        found |= {key: value for key, value in (model.get("methods") or {}).get(name, {}).items() if key not in own}
    return found


def _entries(cfg: DictConfig, subject: str) -> ListConfig:
    """The methods of an evaluation, spelled out; see `compose`.

    Raises:
        UserError: if an entry is not legal or names an unknown method or setting, or two have one name.
    """
    if not isinstance(cfg.methods, ListConfig) or not cfg.methods:
        raise UserError(f"methods={cfg.methods} is not a list of methods: give for example [prompt,same_pixel].")
    listed: list[Any] = OmegaConf.to_container(cfg.methods, resolve=True)  # type: ignore[assignment]
    first = listed[0]
    if isinstance(first, dict):
        first = first | {"method": subject}
    rest = [each for each in listed[1:] if each != subject]  # `method=` may have moved one of the others to the front
    entries = [_entry(cfg, each, subject) for each in (subject if isinstance(first, str) else first, *rest)]
    names = [entry["name"] for entry in entries]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"Two of the methods are called {twice}: give one another name, as {{..., name: NAME}}.")
    return OmegaConf.create(entries)


def _entry(cfg: DictConfig, entry: Any, subject: str) -> dict[str, Any]:
    if not isinstance(entry, str | dict) or not entry:
        raise UserError(
            f"methods has the entry {entry!r}, which is not a method: give one of {', '.join(choices('method'))}, "
            "or settings that differ from the first method's, such as {restarts: 1}."
        )
    entry = {"method": entry} if isinstance(entry, str) else entry
    method = str(entry.get("method", subject))
    _lineage(method)  # complains of a name that does not exist
    model = _model_changes(entry.get("model")) or ({} if method == subject else _published_with(method))
    own = _own_model(cfg, model, method)
    plain: Any = OmegaConf.to_container(cfg.method, resolve=True) if method == subject else None
    settings: dict[str, Any] = plain if plain is not None else _settings(cfg.model, method)
    if own:  # what was as it suits the evaluation's model is as it suits this one
        usual, suiting = _settings(cfg.model, method), _settings(own, method)
        settings = {key: suiting[key] if value == usual[key] else value for key, value in settings.items()}
    changes = {key: value for key, value in entry.items() if key not in ENTRY_KEYS}
    if unknown := next((key for key in changes if key not in settings), None):
        known = ", ".join(key for key in settings if key != "_target_")
        raise UserError(f"There is no setting '{unknown}' of {method}: there is {known or 'none'}.")
    if unknown := next((key for key in model if key not in (own or cfg.model) or key == "methods"), None):
        raise UserError(
            f"There is no setting '{unknown}' of a model: there is {', '.join(map(str, own or cfg.model))}."
        )
    if "path" in model and not own:
        raise UserError("A method cannot change model.path alone: give model: {name: NAME, path: FOLDER}.")
    settings |= changes
    if "parts" in settings:  # of a method that is made of others
        parts = [_entry(cfg, part, subject) for part in settings["parts"]]
        settings["parts"] = [each["settings"] | ({"model": each["model"]} if each["model"] else {}) for each in parts]
    whole: Any = OmegaConf.to_container(own, resolve=True) if own else {}
    return {
        "name": str(entry.get("name") or _name(method, changes | _model_changes(entry.get("model")))),
        "method": method,
        "settings": settings,
        "model": whole | {key: value for key, value in model.items() if own or key != "name"},
    }


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
    return hydra.compose("eval", [f"model={name}"]).model


def _settings(model: DictConfig, method: str) -> dict[str, Any]:
    """All settings of a method on a model."""
    root, *presets = _lineage(method)
    merged = OmegaConf.merge(_own(root), _suiting(model, method), *(_own(preset) for preset in presets))
    return OmegaConf.to_container(merged, resolve=True)  # type: ignore[return-value]


def _name(method: str, changes: Mapping[str, Any]) -> str:
    """What an entry is called if it does not say: by its method and what it changes. Nobody reads it back.

    >>> _name("prompt", {"restarts": 1})
    'prompt_restarts_1'
    """
    words = [method]
    for key, value in changes.items():
        words += [key, "+".join(map(str, value)) if isinstance(value, list) else str(value)]
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", "_".join(words))
