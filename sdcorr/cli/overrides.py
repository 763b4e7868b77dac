"""What a command line says, `key=value`, before anything is composed of it."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from sdcorr.cli.configs import CONFIGS, choices
from sdcorr.errors import UserError

MAY_BE_NULL = ("experiment",)  # groups of which nothing need be chosen
OPEN = ("method.", "model.methods.", "hydra.")  # sections that may get keys of their own, which others check


def read(words: Sequence[str]) -> list[Override]:
    """The overrides of a command line.

    Raises:
        UserError: if one is no `key=value`, takes a setting away, or chooses nothing.
    """
    said = [_read(word) for word in words]
    for each in said:
        key = name(each)
        if each.is_delete():
            raise UserError(f"{each.input_line} takes away what every command needs: give {key}=VALUE.")
        if each.is_sweep_override():
            raise UserError(f"{each.input_line} stands for several runs: add --multirun, or quotes round the value.")
        if is_group(key) and not isinstance(each.value(), str | None if key in MAY_BE_NULL else str):
            raise UserError(f"{each.input_line} is not one of {', '.join(choices(key))}: choose {key}= one of these.")
    _check_one_subject(said)
    return said


def name(override: Override) -> str:
    """The key of a setting, or the group that is chosen from."""
    return str(override.key_or_group)


def is_group(key: str) -> bool:
    """Whether a key is a folder of files to choose from."""
    return bool(key) and (CONFIGS / key).is_dir()


def check_sections(said: Sequence[Override], plain: DictConfig) -> None:
    """Raises UserError if a setting is looked for inside a plain value or a list."""
    for each in said:
        section = name(each).rpartition(".")[0]
        there = OmegaConf.select(plain, section) if section else None
        if there is not None and not isinstance(there, DictConfig):
            raise UserError(f"{each.input_line} looks for a setting inside {section}, which is a value: give it whole.")


def additions(said: Sequence[Override]) -> list[Override]:
    """Those that add a key with `+` or `++`, in a section of which all keys are known."""
    return [each for each in said if (each.is_add() or each.is_force_add()) and not name(each).startswith(OPEN)]


def check_additions(added: Sequence[Override], known: DictConfig) -> None:
    """Raises UserError if a key that is added is not in a configuration that was composed without it."""
    for each in added:
        section, _, key = name(each).rpartition(".")
        there = OmegaConf.select(known, section) if section else known
        if not isinstance(there, DictConfig) or key not in there:
            names = (
                ", ".join(str(each) for each in there if each != "_target_") if isinstance(there, DictConfig) else ""
            )
            raise UserError(f"There is no setting '{name(each)}': there is {names or 'none'}.")


def _read(word: str) -> Override:
    try:
        return OverridesParser.create().parse_overrides([word])[0]
    except OverrideParseException:
        key, _, value = word.partition("=")
        if not value:
            raise UserError(f"{word} is not key=value, such as method.steps=30: `--help` lists settings.") from None
        raise UserError(
            f"{word} has characters that mean something else here: put the value in both kinds of quotes, as in "
            f"{key}='\"VALUE\"'."
        ) from None


def _check_one_subject(said: Sequence[Override]) -> None:
    """Raises UserError if `method=` and `methods=` of one command line name different subjects."""
    named = {name(each): each.value() for each in said if name(each) in ("method", "methods")}
    methods = named.get("methods")
    first = methods[0] if isinstance(methods, list) and methods else None
    if "method" in named and isinstance(first, str) and first != named["method"]:
        raise UserError(
            f"method={named['method']} and methods=[{first},...] name different subjects: give one of them."
        )
