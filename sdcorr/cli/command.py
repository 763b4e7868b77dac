"""Commands: compose the configuration, run, and answer a user's mistake with one sentence and exit code 2."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import NoReturn

from omegaconf import DictConfig, OmegaConf

from sdcorr.cli.compose import MISTAKES, compose, explain, jobs
from sdcorr.cli.output import lasting
from sdcorr.errors import UserError

MULTIRUN = ("-m", "--multirun")  # flags as Hydra has them
CONFIG = ("--cfg", "-c")
os.environ.setdefault("WANDB_SILENT", "true")  # wandb reads it when it is imported, which is later

Function = Callable[[DictConfig, Sequence[str]], int | None]


def command(config_name: str, function: Function, argv: Sequence[str] | None = None) -> int:
    """Compose `configs/<config_name>.yaml` with the command line's overrides and call `function` with it.

    With `--multirun`, once for each combination of `a=1,2`; with `--cfg`, prints the configuration instead.

    Args:
        config_name: `eval` or `train`.
        function: takes the configuration and its overrides, and returns an exit code (None: 0).
        argv: the command line; by default that of this process.

    Returns:
        The exit code: the greatest of the function's; 2 after `error: <one sentence>` on stderr if something is wrong
        with what the user asked for (`SDCORR_TRACEBACK=1` shows the traceback as well); 130 if it was interrupted.
    """
    quiet_libraries()
    words = list(sys.argv[1:] if argv is None else argv)
    flags = [word for word in words if word.startswith("-")]
    overrides = [word for word in words if not word.startswith("-") and word != "job"]
    return guarded(lambda: _command(config_name, function, flags, overrides))


def _command(config_name: str, function: Function, flags: Sequence[str], overrides: Sequence[str]) -> int:
    if unknown := next((flag for flag in flags if flag not in (*MULTIRUN, *CONFIG)), None):
        raise UserError(f"There is no option {unknown}: settings are given as key=value, and --multirun tries several.")
    codes = []
    for job in jobs(overrides) if set(flags) & set(MULTIRUN) else [overrides]:
        cfg = compose(config_name, *job)
        if set(flags) & set(CONFIG):
            print(OmegaConf.to_yaml(cfg))
        else:
            codes.append(function(cfg, job) or 0)
    return max(codes, default=0)


class Arguments(argparse.ArgumentParser):
    """A parser whose complaints are a UserError, for commands without a configuration."""

    def error(self, message: str) -> NoReturn:
        """Raises the complaint as one sentence."""
        raise UserError(f"{message[:1].upper()}{message[1:]}: `{self.prog} --help` says what there is.")


def answer(task: Callable[[], int | None]) -> None:
    """Do a task without a configuration and end the process; a mistake of the user ends as it does in `command`."""
    warnings.formatwarning = lambda message, *where: f"warning: {message}\n"
    sys.exit(lasting(lambda: guarded(lambda: task() or 0)))


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


def quiet_libraries() -> None:
    """Keep libraries from introducing themselves, and print warnings as one line each."""
    for library in ("lightning.pytorch", "lightning.fabric", "diffusers", "transformers"):
        logging.getLogger(library).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a figure has a box for it, the report not
    warnings.formatwarning = lambda message, *where: f"warning: {message}\n"
