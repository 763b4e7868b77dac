"""The data set of a configuration, and what it makes a run to be. No torch is needed for either."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from sdcorr.configuration import plain
from sdcorr.datasets import Benchmark
from sdcorr.datasets.asking import VISIBLE
from sdcorr.datasets.opening import open_benchmark
from sdcorr.datasets.subset import Part


def benchmark(cfg: DictConfig) -> Benchmark:
    """The data set split that `cfg.dataset` names, or the part of it that `cfg.limit` asks for, if there is one.

    Raises:
        UserError: if it is not there, or is not what it should be.
    """
    whole = open_benchmark(cfg.dataset)
    return Part(whole, cfg.limit) if cfg.get("limit") else whole


def run_identity(cfg: DictConfig, of: Benchmark) -> dict[str, Any]:
    """What a run is: its data set, wherever that lies. What its methods are is claimed by each."""
    told = {name: value for name, value in plain(cfg.dataset).items() if name not in ("_target_", "root", "download")}
    if told.get("ask") == VISIBLE:  # a run of before there was a choice is such a run
        del told["ask"]
    limit = {"limit": cfg.limit} if cfg.get("limit") else {}
    return {"dataset": {"name": of.name} | told | limit | dict(of.identity)}
