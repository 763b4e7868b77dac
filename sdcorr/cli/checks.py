"""Whether the values of a configuration are of the kind that is asked for, told before any work is done.

What only the parts of a run can know (a layer, a data set's splits, the settings of the method) is theirs to check.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sdcorr.errors import UserError

MOST_CELLS = 128  # a side; finer than any map of Stable Diffusion 1.x that is read
Kind = tuple[Callable[[Any], bool], str]  # whether a plain value is legal, and what to give


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_some_text(value: Any) -> bool:
    return _is_text(value) or _is_list_of_text(value)


def _is_threshold(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def _are_thresholds(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_threshold, value))


def _is_cells(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MOST_CELLS


def _whole(least: int) -> Kind:
    return (lambda value: type(value) is int and value >= least), f"a whole number from {least}"


def _or_null(kind: Kind) -> Kind:
    is_legal, what = kind
    return (lambda value: value is None or is_legal(value)), f"{what}, or null"


PATH = _is_text, "a path, with ./ before a name that looks like a number"
TEXT = _is_text, "a word"
LAYERS = _is_list_of_text, "a list of layers, such as [up_blocks.1.attentions.0]"
SWITCH = (lambda value: isinstance(value, bool)), "true or false"
KINDS: dict[str, Kind] = {
    "source": PATH,
    "target": (_is_some_text, f"{PATH[1]}, or a list of them"),
    "run_dir": _or_null(PATH),
    "out": _or_null(PATH),
    "embeddings": _or_null(PATH),
    "data": PATH,
    "start": _or_null(PATH),
    "dataset.root": PATH,
    "dataset.pairs": _or_null(PATH),
    "dataset.download": SWITCH,
    "dataset.split": TEXT,
    "dataset.size": TEXT,
    "dataset.kind": TEXT,
    "dataset.categories": _or_null((_is_some_text, "a category, or a list of them such as [cat,dog]")),
    "dataset.points": _whole(1),
    "dataset.per_category": _or_null(_whole(1)),
    "dataset.seed": _whole(0),
    "model.path": PATH,
    "model.revision": _or_null(TEXT),
    "model.variant": _or_null(TEXT),
    "model.unet": _or_null(PATH),
    "calibration": _or_null(PATH),
    "model.layers": LAYERS,
    "model.transfer_layers": _or_null(LAYERS),
    "model.image_size": _or_null(_whole(1)),
    "model.tokens": _or_null(_whole(1)),
    "model.channels_last": SWITCH,
    "model.compile": SWITCH,
    "alphas": (_are_thresholds, "a list of numbers above 0, such as [0.05, 0.1]"),
    "bootstrap": _whole(0),
    "limit": _whole(0),
    "maps": (_is_cells, f"the cells a side of the maps to keep, 0 to {MOST_CELLS}"),
    "pictures": _whole(0),
    "sources": _whole(0),
    "targets": _whole(0),
    "export": (_is_words, "a list of words, such as [coco]"),
    "survey": SWITCH,
    "counterparts": SWITCH,
    "report.pairs": _whole(0),
    "logger.project": _or_null(TEXT),
    "logger.group": _or_null(TEXT),
    "logger.watch": _whole(0),
    "logger.every": _whole(1),
    "logger.pairs": _whole(0),
    "logger.tags": _or_null((_is_list_of_text, "a list of words, such as [mine]")),
}


def check(cfg: DictConfig) -> None:
    """Looks at every setting of KINDS that the configuration has a value for.

    Raises:
        UserError: naming the first that is not legal, and what to give.
    """
    for key, (is_legal, what) in KINDS.items():
        group, _, name = key.rpartition(".")
        node = OmegaConf.select(cfg, group) if group else cfg
        if group in cfg and not isinstance(node, DictConfig):
            raise UserError(f"{group}={node} is not legal: it is a section, give {key}=VALUE.")
        if not isinstance(node, DictConfig) or name not in node or OmegaConf.is_missing(node, name):
            continue
        value = node[name]
        plain = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        if not is_legal(plain):
            raise UserError(f"{key}={'null' if plain is None else plain} is not legal: give {what}.")
