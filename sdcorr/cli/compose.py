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

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException, InstantiationException, MissingConfigException
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from sdcorr.cli import overrides as overrides_of
from sdcorr.cli.checks import check
from sdcorr.cli.composition import by_hydra
from sdcorr.cli.configs import choices, groups
from sdcorr.cli.entries import published_with, read_config, spelled_out, suiting
from sdcorr.cli.model_settings import called, implied_by_path  # its module registers what configs/model refers to
from sdcorr.cli.paths import expand, spelled
from sdcorr.errors import UserError

MISTAKES = (UserError, HydraException, OmegaConfBaseException)
PHOTOGRAPHS_NEED = "sd14"  # the model that a data set of photographs brings with it
WITH_THE_DEFAULT_MODEL = ("toybox", "folder")  # data sets that bring no model: drawings, and nobody knows what


def _one_each(name: str, values: Sequence[Any] | None) -> ListConfig:
    """The subject, and it with one of the values each; `${one_each:model.layers,${model.layers}}` in an experiment."""
    group, _, key = name.rpartition(".")
    changes = [{key: [value]} for value in values or ()]
    return OmegaConf.create(["prompt", *({group: each} if group else each for each in changes)])


OmegaConf.register_new_resolver("one_each", _one_each, replace=True)


def compose(config_name: str, *overrides: str) -> DictConfig:
    """The configuration that a command gets.

    Args:
        config_name: `eval`, `train` or `student`, a file in configs/.
        overrides: as on the command line, without sweeps.

    Returns:
        The configuration. In `methods`, every entry is spelled out, as `method_entries` reads it.

    Raises:
        UserError: if an override does not fit.
    """
    try:
        _check_experiment(config_name, overrides)
        if "method" not in groups(config_name):
            return _alone(config_name, overrides)
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
        return _alone(f"dataset/{name}", overrides)
    except MISTAKES as error:
        raise UserError(explain(error)) from None


def _check_experiment(config_name: str, words: Sequence[str]) -> None:
    """Raises UserError if an experiment of another command is chosen."""
    known = choices("experiment", config_name)
    for name in (word.removeprefix("experiment=") for word in words if word.startswith("experiment=")):
        if name in choices("experiment") and name not in known:
            raise UserError(f"experiment={name} is another command's: choose one of {', '.join(known)}.")


def _alone(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """A configuration in which no choice brings another with it."""
    cfg = by_hydra(config_name, spelled(overrides))
    with open_dict(cfg):
        del cfg["hydra"]
    expand(cfg)
    check(cfg)
    return cfg


def _composed(config_name: str, overrides: Sequence[str]) -> DictConfig:
    said = overrides_of.read(overrides)
    added = overrides_of.additions(said)
    chosen = [override for override in said if _is_choice(override)]
    first = by_hydra(config_name, [str(each.input_line) for each in chosen])
    overrides_of.check_sections(said, first)
    place = {str(each.key_or_group): each.value() for each in said if str(each.key_or_group).startswith("model.")}
    implied = list(_implied(first, {str(each.key_or_group) for each in chosen}, place))
    if added:
        kept = [str(each.input_line) for each in said if each not in added]
        overrides_of.check_additions(added, by_hydra(config_name, [*kept, *implied]))
    cfg = first
    if implied or len(chosen) < len(said):
        cfg = by_hydra(config_name, [*overrides, *implied])
    groups = dict(cfg.hydra.runtime.choices)
    with open_dict(cfg):
        del cfg["hydra"]
        cfg.method.pop("model", None)  # that it was published with; `_implied` has brought it
        _apply_model(cfg, groups["method"], _said_of_the_method(said, groups))
        if "methods" in cfg:
            cfg.methods = spelled_out(cfg, groups["method"])
        if "model.name" not in place:  # after the methods, whose entries name models as configs/model does
            cfg.model.name = called(cfg.model.name, place)
    expand(cfg)
    check(cfg)
    return cfg


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
    subject = chosen.method
    if "methods" in cfg and "method" not in named and (first := _method_of(cfg.methods, "")) not in ("", subject):
        yield f"method={first}"
        subject = first
    dataset, published = chosen.get("dataset"), published_with(subject)
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
    if isinstance(first, DictConfig):
        return str(first.get("method", default))
    return first if isinstance(first, str) else default  # which is complained of later


def _said_of_the_method(said: Sequence[Override], chosen: Mapping[str, str | None]) -> set[str]:
    """The subject's settings that an experiment or the command line gives."""
    keys = {str(each.key_or_group).removeprefix("method.") for each in said if str(each.key_or_group)[:7] == "method."}
    if experiment := chosen.get("experiment"):
        keys |= set(read_config("experiment", experiment).get("method", ()))
    return keys


def _apply_model(cfg: DictConfig, method: str, said: set[str]) -> None:
    """Put the settings that suit the model into `cfg.method`, where nothing with a better right has said another."""
    for key, value in suiting(cfg.model, method).items():
        if key not in said:
            cfg.method[key] = value
