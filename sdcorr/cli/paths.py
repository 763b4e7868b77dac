"""Settings that are paths: `~` is one's home folder in each of them, and a name of any spelling can be given.

Hydra's grammar has its own use for many characters that names of files have. `sdcorr match` takes pictures outside that
grammar; elsewhere a path that Hydra would misread is answered with the spelling that works.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sdcorr.errors import UserError

PATHS = (
    "source",
    "target",
    "run_dir",
    "out",
    "embeddings",
    "dataset.root",
    "dataset.pairs",
    "model.path",
    "model.unet",
    "method.student",
    "method.network",
    "calibration",
    "data",
    "start",
)
PICTURES = ("source", "target")
_IN_QUOTES = re.compile(r"""^(["'])(.*)\1$""")


def spelled(words: Sequence[str], sweeps: bool = False) -> list[str]:
    """The words of a command line as Hydra is to read them: paths that begin with `~` are quoted.

    Args:
        words: flags and overrides, `key=value`.
        sweeps: whether `a=1,2` stands for two runs.

    Raises:
        UserError: if Hydra would not read a path as what it is; it says how to write it.
    """
    return [_spelled(word, sweeps) if word.partition("=")[0] in PATHS else word for word in words]


def expand(cfg: DictConfig) -> None:
    """Put one's home folder in place of `~` in every path of a configuration.

    Raises:
        UserError: if a path refers to a setting that does not exist; it says how to write a name with `${`.
    """
    for key in PATHS:
        try:
            value = OmegaConf.select(cfg, key)
            if isinstance(value, str) and value.startswith("~"):
                OmegaConf.update(cfg, key, _at_home(value))
            elif isinstance(value, ListConfig):
                OmegaConf.update(cfg, key, [_at_home(each) if isinstance(each, str) else each for each in value])
        except OmegaConfBaseException:
            written = _as_written(cfg, key)
            raise UserError(
                f"{key}={written} refers to a setting that does not exist: {_advice(key, written)}"
            ) from None


def override(key: str, path: str) -> str:
    r"""What gives a setting exactly this text, whatever is in it.

    >>> print(override("source", 'a "${b}".png'))
    source="a \"\${b}\".png"
    """
    return f"{key}={_quoted(_literal(path))}"


def override_list(key: str, paths: Sequence[str]) -> str:
    """The same for a setting that is a list of paths."""
    return f"{key}=[{','.join(_quoted(_literal(path)) for path in paths)}]"


def typed(key: str, path: str) -> str:
    """How a setting is typed into a shell, with quotes where they are needed.

    >>> print(typed("dataset.root", "data/SPair-71k"), typed("dataset.root", "my data (1)"))
    dataset.root=data/SPair-71k 'dataset.root="my data (1)"'
    """
    plain = f"{key}={path}"
    try:
        as_it_is = "${" not in path and OverridesParser.create().parse_overrides([plain])[0].value() == path
    except OverrideParseException:
        as_it_is = False
    return shlex.quote(plain if as_it_is else override(key, path))


def folder(text: str) -> Path:
    """A path of a command line, with one's home folder for `~`, which no shell replaces after a `=`."""
    return Path(text).expanduser()


def _spelled(word: str, sweeps: bool) -> str:
    key, _, value = word.partition("=")
    parts = value.split(",") if sweeps else [value]
    word = f"{key}={','.join(_quoted(part) if part.startswith('~') else part for part in parts)}"
    try:
        read = OverridesParser.create().parse_overrides([word])[0]
    except OverrideParseException:
        raise UserError(f"{key}={value} has characters that mean something else here: {_advice(key, value)}") from None
    if read.is_sweep_override() and not sweeps:
        raise UserError(f"{key}={value} stands for several runs, which need --multirun: {_advice(key, value)}")
    return word


def _advice(key: str, value: str) -> str:
    """How to write a path."""
    if key == "target" and value.startswith("[") and value.endswith("]"):
        text = override_list(key, [_IN_QUOTES.sub(r"\2", part) for part in value[1:-1].split(",")])
    else:
        text = override(key, value)
    either = ", or use `sdcorr match`, which takes any name" if key in PICTURES else ""
    return f"give {shlex.quote(text)}, with both kinds of quotes{either}."


def _as_written(cfg: DictConfig, key: str) -> str:
    """The value of a setting before its references are looked up, as on a command line."""
    value: Any = OmegaConf.to_container(cfg, resolve=False)
    for name in key.split("."):
        value = value[name]
    return f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)


def _quoted(text: str) -> str:
    """As a string of Hydra's grammar: a backslash is doubled before a quote and nowhere else."""
    text = re.sub(r'(\\*)"', lambda found: 2 * found[1] + r"\"", text)
    return '"' + re.sub(r"\\+$", lambda found: 2 * found[0], text) + '"'


def _literal(text: str) -> str:
    """As a string in which OmegaConf finds no reference to another setting."""
    return re.sub(r"(\\*)\$\{", lambda found: 2 * found[1] + r"\${", text)


def _at_home(path: str) -> str:
    return _literal(os.path.expanduser(path))
