"""Commands: compose the configuration, run, and answer a user's mistake with one sentence and exit code 2."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, InstantiationException, MissingConfigException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sdcorr.cli.checks import check
from sdcorr.cli.configs import CONFIGS
from sdcorr.cli.paths import expand, spelled
from sdcorr.errors import UserError

MISTAKES = (UserError, HydraException, OmegaConfBaseException)
os.environ.setdefault("WANDB_SILENT", "true")  # wandb reads it when it is imported, which is later
Function = Callable[[DictConfig, Sequence[str]], int | None]


def _each(name: str, values: Sequence[Any]) -> ListConfig:
    """Variants that have one of the values each; `${each:layers,${model.layers}}` suits whatever model is chosen."""
    return OmegaConf.create([{name: [value]} for value in values or ()])


OmegaConf.register_new_resolver("each", _each, replace=True)


def command(config_name: str, function: Function, argv: Sequence[str] | None = None) -> int:
    """Compose `configs/<config_name>.yaml` with the command line's overrides and call `function` with it.

    With `--multirun`, once for each combination of `a=1,2`; with `--cfg job`, prints the configuration instead.

    Args:
        config_name: `eval` or `train`.
        function: takes the configuration and its overrides, and returns an exit code (None: 0).
        argv: the command line; by default that of this process.

    Returns:
        The exit code: the greatest of the function's; 2 after `error: <one sentence>` on stderr if something is wrong
        with what the user asked for (`SDCORR_TRACEBACK=1` shows the traceback as well); 130 if it was interrupted.
    """
    for library in ("lightning.pytorch", "lightning.fabric", "diffusers", "transformers"):
        logging.getLogger(library).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.formatwarning = lambda message, *where: f"warning: {message}\n"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let Hydra's exceptions reach us instead of being printed with advice
    codes: list[int] = []  # more than one in a sweep
    mistakes: list[Exception] = []

    def job(cfg: DictConfig) -> None:
        try:
            expand(cfg)
            check(cfg)
            codes.append(function(cfg, list(HydraConfig.get().overrides.task)) or 0)
        except MISTAKES as error:  # caught in here, since Hydra prints a line of its own about what leaves the job
            mistakes.append(error)

    def task() -> int:
        words = list(sys.argv[1:] if argv is None else argv)
        sys.argv[1:] = spelled(words, sweeps=bool({"-m", "--multirun"} & set(words)))  # where Hydra reads them
        hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=config_name)(job)()
        if mistakes:
            raise mistakes[0]
        return max(codes, default=0)

    return guarded(task)


class Arguments(argparse.ArgumentParser):
    """A parser whose complaints are a UserError, for commands without a configuration."""

    def error(self, message: str) -> NoReturn:
        """Raises the complaint as one sentence."""
        raise UserError(f"{message[:1].upper()}{message[1:]}: `{self.prog} --help` says what there is.")


def answer(task: Callable[[], int | None]) -> None:
    """Do a task without a configuration and end the process; a mistake of the user ends as it does in `command`."""
    warnings.formatwarning = lambda message, *where: f"warning: {message}\n"
    sys.exit(guarded(lambda: task() or 0))


def guarded(task: Callable[[], int]) -> int:
    """The exit code of a task; 2 after one sentence for a user's mistake, 130 if it was interrupted."""
    try:
        return task()
    except MISTAKES as error:
        if os.environ.get("SDCORR_TRACEBACK"):
            traceback.print_exception(error)
        print(f"error: {explain(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it was", file=sys.stderr)
        return 130


def compose(config_name: str, *overrides: str) -> DictConfig:
    """The configuration that a command would get, for notebooks and tests.

    Raises:
        UserError: if an override does not fit.
    """
    try:
        with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
            cfg = hydra.compose(config_name, spelled(overrides))
        expand(cfg)
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
