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
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException, InstantiationException, MissingConfigException
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from sdcorr.cli import overrides as overrides_of
from sdcorr.cli.checks import check
from sdcorr.cli.configs import CONFIGS, choices
from sdcorr.cli.model_settings import implied_by_path  # its module registers what configs/model refers to
from sdcorr.cli.paths import expand, spelled
from sdcorr.configuration import plain
from sdcorr.digests import value_digest
from sdcorr.errors import UserError

MISTAKES = (UserError, HydraException, OmegaConfBaseException)
PHOTOGRAPHS_NEED = "sd14"  # the model that a data set of photographs brings with it
WITH_THE_DEFAULT_MODEL = ("toybox", "folder")  # data sets that bring no model: drawings, and nobody knows what
ENTRY_KEYS = ("method", "name", "model")  # of an entry of `methods`, beside settings
LEGAL_NAME = re.compile(r"\w[\w.+-]*")  # of a method in a run, where it is a folder
LONGEST_NAME = 200  # characters


@dataclass(frozen=True)
class MethodEntry:
    """One of `methods` of an evaluation, spelled out."""

    name: str  # unique, and a legal file name
    method: str  # a name in configs/method
    settings: Mapping[str, Any]  # all of them, with `_target_`
    model: Mapping[str, Any]  # what it changes of `cfg.model`


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
        The configuration. In `methods`, every entry is spelled out, as `method_entries` reads it.

    Raises:
        UserError: if an override does not fit.
    """
    try:
        return _composed(config_name, spelled(overrides))
    except MISTAKES as error:
        raise UserError(explain(error)) from None


def compose_dataset(name: str, *overrides: str) -> DictConfig:
    """The configuration of a data set alone, for commands that need neither a model nor a method, nor torch.

    Args:
        name: a file in configs/dataset.
        overrides: of it, such as `dataset.root=FOLDER`.

    Raises:
        UserError: if there is no such data set, or an override does not fit.
    """
    if name not in choices("dataset"):
        raise UserError(f"There is no data set {name!r}: choose one of {', '.join(choices('dataset'))}.")
    try:
        with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
            cfg = hydra.compose(f"dataset/{name}", spelled(overrides))
        expand(cfg)
        check(cfg)
    except MISTAKES as error:
        raise UserError(explain(error)) from None
    return cfg


def _composed(config_name: str, overrides: Sequence[str]) -> DictConfig:
    said = overrides_of.read(overrides)
    added = overrides_of.additions(said)
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        chosen = [override for override in said if _is_choice(override)]
        first = hydra.compose(config_name, [str(each.input_line) for each in chosen], return_hydra_config=True)
        overrides_of.check_sections(said, first)
        place = {str(each.key_or_group): each.value() for each in said if str(each.key_or_group).startswith("model.")}
        implied = list(_implied(first, {str(each.key_or_group) for each in chosen}, place))
        if added:
            kept = [str(each.input_line) for each in said if each not in added]
            overrides_of.check_additions(added, hydra.compose(config_name, [*kept, *implied]))
        cfg = hydra.compose(config_name, [*overrides, *implied], return_hydra_config=True)
    groups = dict(cfg.hydra.runtime.choices)
    with open_dict(cfg):
        del cfg["hydra"]
        _apply_model(cfg, groups["method"], _said_of_the_method(said, groups))
        if "methods" in cfg:
            cfg.methods = _entries(cfg, groups["method"])
    expand(cfg)
    check(cfg)
    return cfg


def method_entries(cfg: DictConfig) -> list[MethodEntry]:
    """The methods of an evaluation that was composed, the subject first."""
    return [MethodEntry(**plain(entry)) for entry in cfg.methods]


def explain(error: Exception) -> str:
    """One sentence for an exception of ours, of Hydra or of OmegaConf."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, choice = str(error.missing_cfg_file).partition("/")
        known = ", ".join(sorted(error.options or ())) or "nothing"
        place = ", or give a folder, a file or a hub id as model.path" if group == "model" else ""
        return f"There is no {group} '{choice}': choose {group}= one of {known}{place}."
    if isinstance(error, InstantiationException) and isinstance(error.__cause__, UserError):
        return explain(error.__cause__)
    if isinstance(error, ConfigCompositionException) and isinstance(error.__cause__, Exception):
        return explain(error.__cause__)
    key = getattr(error, "full_key", None)
    if type(error).__name__ in ("ConfigAttributeError", "ConfigKeyError") and key:
        parent = getattr(error, "parent_node", None)
        names = (
            [str(name) for name in parent if name not in ("_target_", "hydra")]
            if isinstance(parent, DictConfig)
            else []
        )
        known = f": there is {', '.join(names)}" if names else ""
        return f"There is no setting '{key}'{known}."
    if type(error).__name__ == "MissingMandatoryValue" and key:
        return f"Say {key}=...: it has no default."
    return " ".join(str(error).split())


def jobs(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of each run of a sweep (`a=1,2`), as Hydra's basic sweeper orders them."""
    words = spelled(overrides, sweeps=True)
    (batch,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(words), None)
    return [list(job) for job in batch]


def _is_choice(override: Override) -> bool:
    """Whether it chooses a file of a group, or the methods: what decides what else is composed."""
    key = overrides_of.name(override)
    return key == "methods" or overrides_of.is_group(key)


def _implied(cfg: DictConfig, named: set[str], place: Mapping[str, Any]) -> Iterator[str]:
    """The choices that others bring with them.

    Args:
        cfg: composed of the choices alone.
        named: groups that the user has chosen from.
        place: `model.path` and what else the user says of the model: what lies there says which family it is of, and
            for which size of image, which lengths in pixels follow.
    """
    chosen = cfg.hydra.runtime.choices
    if "methods" in cfg and "method" not in named and (first := _method_of(cfg.methods, "")) not in ("", chosen.method):
        yield f"method={first}"
    dataset = chosen.get("dataset")
    if place.get("model.path") not in (None, "toybox"):
        yield from implied_by_path(place, chosen.model if "model" in named else None)
    elif "model" not in named and dataset and dataset not in WITH_THE_DEFAULT_MODEL:
        yield f"model={PHOTOGRAPHS_NEED}"


def _method_of(methods: Any, default: str) -> str:
    """The name in configs/method of the first of `methods`; `default` where it names none."""
    first = methods[0] if isinstance(methods, ListConfig) and len(methods) else default
    if isinstance(first, DictConfig):
        return str(first.get("method", default))
    return first if isinstance(first, str) else default  # which is complained of later


def _lineage(method: str) -> list[str]:
    """A method of configs/method, after those whose settings it starts from: `read_once` -> prompt, read_once.

    Raises:
        UserError: if there is no such method.
    """
    known = choices("method")
    if method not in known:
        raise UserError(f"There is no method '{method}': choose methods from {', '.join(known)}.")
    parents = [each for each in _read("method", method).get("defaults", ()) if each != "_self_"]
    return [*(name for parent in parents for name in _lineage(parent)), method]


def _read(group: str, name: str) -> DictConfig:
    read = OmegaConf.load(CONFIGS / group / f"{name}.yaml")
    assert isinstance(read, DictConfig)  # Hydra has composed of it
    return read


def _own(method: str) -> DictConfig:
    """What the method's file says itself."""
    read = _read("method", method)
    return OmegaConf.masked_copy(read, [str(key) for key in read if key != "defaults"])


def _said_of_the_method(said: Sequence[Override], chosen: Mapping[str, str | None]) -> set[str]:
    """The subject's settings that an experiment or the command line gives."""
    keys = {str(each.key_or_group).removeprefix("method.") for each in said if str(each.key_or_group)[:7] == "method."}
    if experiment := chosen.get("experiment"):
        keys |= set(_read("experiment", experiment).get("method", ()))
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
    settings = plain(cfg.method) if method == subject else _settings(cfg.model, method)
    changes = {key: value for key, value in entry.items() if key not in ENTRY_KEYS}
    if unknown := next((key for key in changes if key not in settings), None):
        known = ", ".join(key for key in settings if key != "_target_")
        raise UserError(f"There is no setting '{unknown}' of {method}: there is {known or 'none'}.")
    model = entry.get("model") or {}
    if not isinstance(model, dict):
        raise UserError(f"A method changes its model by key, as in {{..., model: {{layers: [...]}}}}, not {model!r}.")
    if unknown := next((key for key in model if key not in cfg.model or key in ("name", "path", "methods")), None):
        raise UserError(f"A method cannot change model.{unknown}: it can change layers, transfer_layers and precision.")
    settings |= changes
    if "parts" in settings:  # of a method that is made of others
        if not isinstance(settings["parts"], list):
            raise UserError(
                f"parts={settings['parts']} of {method} is no list of methods: give [prompt,unet_features]."
            )
        settings["parts"] = [_entry(cfg, part, subject).settings for part in settings["parts"]]
    name = str(entry.get("name") or _name(method, changes | model))
    if not LEGAL_NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise UserError(
            f"A method cannot be called {name!r}: give it a name of letters, digits, dots, _, + and -, at most "
            f"{LONGEST_NAME}, as {{..., name: NAME}}."
        )
    return MethodEntry(name, method, settings, dict(model))


def _settings(model: DictConfig, method: str) -> dict[str, Any]:
    """All settings of a method on a model."""
    root, *presets = _lineage(method)
    merged = OmegaConf.merge(_own(root), _suiting(model, method), *(_own(preset) for preset in presets))
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
