"""The metrics: one file each, named like its key, with a `METRIC`; and a line here, or in `sdcorr.scoring.ranks`."""

from __future__ import annotations

from importlib import import_module

from sdcorr.scoring.metrics.base import PERCENT, PIXELS, Measure, Metric, RankMetric, Unit, Written

NAMES = (  # in the order in which they are shown; the first is what one number of a run is about
    "pck",
    "error_px",
    "pck_dagger",
    "mirror",
)
METRICS: tuple[Metric, ...] = tuple(import_module(f"{__name__}.{name}").METRIC for name in NAMES)

__all__ = [
    "METRICS",
    "NAMES",
    "PERCENT",
    "PIXELS",
    "Measure",
    "Metric",
    "RankMetric",
    "Unit",
    "Written",
]
