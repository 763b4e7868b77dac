"""Parts of a composed configuration as plain values, whose types say what they are."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from sdcorr.errors import UserError

Kind = TypeVar("Kind")


def plain(part: DictConfig) -> dict[str, Any]:
    """A group of a configuration, such as `cfg.model`, as plain values by name; what it refers to is filled in."""
    values = OmegaConf.to_container(part, resolve=True)
    assert isinstance(values, dict)  # a list is only made of a ListConfig
    return {str(name): value for name, value in values.items()}


def class_named(target: object, kind: type[Kind], whose: str) -> type[Kind]:
    """The class that a `_target_` names.

    Args:
        target: its import path.
        kind: what it must be a class of.
        whose: `_target_` it is, for messages.

    Raises:
        UserError: if there is no such class, or it is none of that kind, or lacks a method of it.
    """
    ask = f"give the import path of a class of {kind.__module__}.{kind.__qualname__}"
    try:
        found: Any = get_class(str(target))
    except (ImportError, ValueError) as error:
        reason = str(error.__cause__ or error).splitlines()[0].rstrip(".:")
        raise UserError(f"{whose}._target_={target} names no class ({reason}): {ask}.") from None
    if kind not in found.__mro__ or inspect.isabstract(found):
        raise UserError(f"{whose}._target_={target} names a class of another kind: {ask}.")
    return found


def settings_of(kind: type[Kind], values: Mapping[str, Any], called: str, under: str = "") -> Kind:
    """A dataclass of settings from values by name, as a configuration holds them.

    Args:
        kind: the dataclass, which checks the values.
        values: of its fields, or of some of them.
        called: what one of them is, for messages: "filter".
        under: what stands before its name there: "student.warps.".

    Raises:
        UserError: if there is no such setting, or its value is not legal.
    """
    known = inspect.signature(kind).parameters
    if unknown := [name for name in values if name not in known]:
        raise UserError(f"There is no {called} '{under}{unknown[0]}': there is {', '.join(known)}.")
    return kind(**values)
