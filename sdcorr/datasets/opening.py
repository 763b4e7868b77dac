"""A data set from its settings: `configs/dataset/<name>.yaml` and what the command line changes."""

from __future__ import annotations

import inspect
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sdcorr.configuration import class_named
from sdcorr.datasets.asking import VISIBLE, check_ask
from sdcorr.datasets.base import Benchmark
from sdcorr.datasets.fetch.ensure import ensure
from sdcorr.errors import UserError


def open_benchmark(settings: DictConfig) -> Benchmark:
    """The data set that `cfg.dataset` describes, fetched if it is not there and may be.

    Args:
        settings: `_target_`, the class; `download`, whether it may be fetched; and the arguments of the class.

    Raises:
        UserError: if the class has no such argument, or the data cannot be had or read.
    """
    plain: Any = OmegaConf.to_container(settings, resolve=True, throw_on_missing=True)
    told: dict[str, Any] = dict(plain)
    download = told.pop("download", False)
    made: Any = class_named(told.pop("_target_"), Benchmark, "dataset")
    known = list(inspect.signature(made).parameters)
    if "ask" not in known:
        check_ask(ask := told.pop("ask", VISIBLE))
        if ask != VISIBLE:
            raise UserError(
                f"{made.title} does not say which points its targets hide, so there is no dataset.ask={ask}: "
                "leave it away."
            )
    for name in told:
        if name not in known:
            raise UserError(f"There is no setting 'dataset.{name}' of {made.name}: there is {', '.join(known)}.")
    ensure(made.name, told.get("root", ""), download)
    return made(**told)
