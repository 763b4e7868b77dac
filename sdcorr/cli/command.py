"""Commands: compose the configuration, run, and answer a user's mistake with one sentence and exit code 2."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import ConfigCompositionException, HydraException, InstantiationException, MissingConfigException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sdcorr.cli import model_settings  # noqa: F401  registers what configs/model needs
from sdcorr.cli.checks import check
from sdcorr.errors import UserError

MISTAKES = (UserError, HydraException, OmegaConfBaseException)
os.environ.setdefault("WANDB_SILENT", "true")  # wandb reads it when it is imported, which is later
CONFIGS = Path(__file__).parents[2] / "configs"


def _each(name: str, values: Sequence[Any]) -> ListConfig:
    """Variants that have one of the values each; `${each:layers,${model.layers}}` suits whatever model is chosen."""
    return OmegaConf.create([{name: [value]} for value in values or ()])


OmegaConf.register_new_resolver("each", _each, replace=True)


def command(config_name: str, function: Callable[[DictConfig], None]) -> None:
    """Compose `configs/<config_name>.yaml` with the command line's overrides and call `function` with it.

    Prints `error: <one sentence>` to stderr and exits with 2 if something is wrong with what the user asked for.
    `SDCORR_TRACEBACK=1` shows the traceback as well.
    """
    for library in ("lightning.pytorch", "lightning.fabric", "diffusers", "transformers"):
        logging.getLogger(library).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.formatwarning = lambda message, *where: f"warning: {message}\n"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let Hydra's exceptions reach us instead of being printed with advice
    mistakes: list[Exception] = []

    def task(cfg: DictConfig) -> None:
        try:
            check(cfg)
            function(cfg)
        except MISTAKES as error:  # caught in here, since Hydra prints a line of its own about what leaves the task
            mistakes.append(error)

    try:
        hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=config_name)(task)()
    except MISTAKES as error:
        mistakes.append(error)
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it was", file=sys.stderr)
        sys.exit(130)
    if mistakes:
        _complain(mistakes[0])


class Arguments(argparse.ArgumentParser):
    """A parser whose complaints are a UserError, for commands without a configuration."""

    def error(self, message: str) -> None:
        """Raises the complaint as one sentence."""
        raise UserError(f"{message[:1].upper()}{message[1:]}: `{self.prog} --help` says what there is.")


def answer(task: Callable[[], None]) -> None:
    """Do a task without a configuration; a mistake of the user ends as it does in `command`."""
    warnings.formatwarning = lambda message, *where: f"warning: {message}\n"
    try:
        task()
    except UserError as error:
        _complain(error)
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it was", file=sys.stderr)
        sys.exit(130)


def compose(config_name: str, *overrides: str) -> DictConfig:
    """The configuration that a command would get, for notebooks and tests.

    Raises:
        UserError: if an override does not fit.
    """
    try:
        with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
            cfg = hydra.compose(config_name, list(overrides))
        check(cfg)
        return cfg
    except MISTAKES as error:
        raise UserError(explain(error)) from None


def explain(error: Exception) -> str:
    """One sentence for an exception of ours, of Hydra or of OmegaConf."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        known = ", ".join(sorted(error.options or ())) or "nothing"
        return f"There is no {group} '{choice}': choose {group}= one of {known}."
    if isinstance(error, InstantiationException) and isinstance(error.__cause__, UserError):
        return explain(error.__cause__)
    if isinstance(error, ConfigCompositionException) and error.__cause__ is not None:
        return explain(error.__cause__)
    key = getattr(error, "full_key", None)
    if type(error).__name__ == "ConfigAttributeError" and key:
        parent = getattr(error, "parent_node", None)
        known = f": there is {', '.join(map(str, parent))}" if isinstance(parent, DictConfig) else ""
        return f"There is no setting '{key}'{known}."
    if type(error).__name__ == "MissingMandatoryValue" and key:
        return f"Say {key}=...: it has no default."
    return " ".join(str(error).split())


def _complain(error: Exception) -> None:
    if os.environ.get("SDCORR_TRACEBACK"):
        traceback.print_exception(error)
    print(f"error: {explain(error)}", file=sys.stderr)
    sys.exit(2)
