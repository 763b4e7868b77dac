"""What a metric is: a number for every point whose mean is a score, or a ranking of all; and how it is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from sdcorr.scoring.arrays import Arrays
from sdcorr.scoring.pck import alpha_text
from sdcorr.scoring.protocols import Protocol


@dataclass(frozen=True)
class Unit:
    """How a number is written: `factor` times it, with so many digits after the point.

    With `significant` they are the most, and a number has as many as it takes to show so many that count.
    """

    symbol: str
    factor: float = 1.0
    digits: int = 1
    significant: int | None = None

    def digits_of(self, value: float) -> int:
        """How many digits that number, in this unit, has after the point.

        >>> [Unit("s", digits=3, significant=3).digits_of(value) for value in (0.0, 0.04, 4.83, 124.4)]
        [3, 3, 2, 0]
        """
        if self.significant is None or not value:
            return self.digits
        return min(self.digits, max(0, self.significant - 1 - math.floor(math.log10(abs(value)))))


PERCENT = Unit("%", 100.0)
PIXELS = Unit("px")


@dataclass(frozen=True)
class Written:
    """How a metric is called and written."""

    name: str  # in keys; that of its file in this folder
    label: str  # in tables and charts
    unit: Unit
    at_thresholds: bool = field(default=False, kw_only=True)
    in_full: bool = field(default=True, kw_only=True)
    """Whether tables show it beside PCK, at every threshold; else apart, at the one spoken of."""

    def measures(self, alphas: Sequence[float]) -> tuple[Measure, ...]:
        """What is measured: this, at each threshold if it has some."""
        return tuple(Measure(self, alpha) for alpha in alphas) if self.at_thresholds else (Measure(self),)


@dataclass(frozen=True)
class Metric(Written):
    """A quantity of every point, whose mean is a score.

    Everything else follows from it: means under every average, intervals from the bootstrap over pairs, parts of the
    data, differences between methods, names in summary.json, columns of tables.
    """

    of_points: Callable[[Arrays, Protocol, Sequence[float]], np.ndarray]
    """The quantity of each of m points, (m, A) at A thresholds, or (m, 1) if the metric has none."""
    """NaN for all where the data set cannot tell: then there is no score."""


@dataclass(frozen=True)
class RankMetric(Written):
    """How well a method's confidence ranks all points that were asked for, those that the target hides among them.

    It is no mean over points, so it has one average, over all of them, and no parts; it has intervals and differences.
    Without hidden points (`dataset.ask=all`) there is none.
    """

    of_ranks: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    """Of confidence (m,), right (m,), hidden (m,) and weights (S, m) of the points: (S,), NaN where there is none."""


@dataclass(frozen=True)
class Measure:
    """A metric, at a threshold if it has one."""

    metric: Written
    alpha: float | None = None

    @property
    def key(self) -> str:
        """For example `pck@0.10`."""
        return self.metric.name + self._at

    @property
    def label(self) -> str:
        """For example `PCK@0.10`."""
        return self.metric.label + self._at

    @property
    def _at(self) -> str:
        return "" if self.alpha is None else f"@{alpha_text(self.alpha)}"
