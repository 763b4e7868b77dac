"""Charts of scores: curves, bars with intervals, reliability. Values are drawn as given, so give percent.

Colors are those of Okabe and Ito, safe for color-blind readers; the lines of a chart also differ in their dashes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sdcorr.visualize.words import label, plain

LINE_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # readable on white and on black
DASHES = ("-", "--", "-.", ":")
Estimate = tuple[float, float | None, float | None]  # a value and the ends of its interval; None: it has none


def curve(x: Sequence[float], series: Mapping[str, Sequence[Estimate]], x_label: str, y_label: str) -> Figure:
    """Draw lines with bands.

    Args:
        x: N places.
        series: name -> N times (value, low, high).
        x_label: below the chart.
        y_label: beside it.
    """
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.subplots()
    marker = "o" if len(x) < 10 else None
    for i, (name, points) in enumerate(series.items()):
        value, low, high = np.array(points, dtype=float).T  # NaN, where there is no end, draws nothing
        color, dashes = LINE_COLORS[i % len(LINE_COLORS)], DASHES[i % len(DASHES)]
        axes.plot(x, value, marker=marker, color=color, linestyle=dashes, label=label(name))
        axes.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)
    if all(float(each).is_integer() for each in x):  # no half restarts
        axes.xaxis.set_major_locator(MaxNLocator("auto", steps=(1, 2, 2.5, 5, 10), integer=True))
    axes.set_xlabel(plain(x_label))
    axes.set_ylabel(plain(y_label))
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return figure


def bars(rows: Mapping[str, Estimate], x_label: str, *, title: str = "") -> Figure:
    """Draw horizontal bars with intervals, the first on top.

    Args:
        rows: name -> (value, low, high).
        x_label: below the chart; a line marks 0 if any interval reaches below it.
        title: above the chart.
    """
    figure = Figure(figsize=(5.6, 0.9 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rows))
    value, low, high = np.array(list(rows.values()), dtype=float).reshape(-1, 3).T
    axes.barh(places, value, height=0.62, color=LINE_COLORS[0], alpha=0.75)
    axes.errorbar(value, places, xerr=_arms(value, low, high), fmt="none", ecolor=LINE_COLORS[1], capsize=3)
    axes.set_yticks(places, [label(name) for name in rows])
    axes.invert_yaxis()
    axes.set_xlabel(plain(x_label))
    axes.grid(axis="x", alpha=0.25)
    if (np.fmin(value, low) < 0).any():
        axes.axvline(0, color=LINE_COLORS[1], linewidth=1)
    axes.set_title(plain(title), fontsize=10)
    return figure


def reliability(
    confidence: Sequence[float],
    right: Sequence[Estimate],
    counts: Sequence[int],
    *,
    title: str = "",
    x_label: str = "confidence",
    y_label: str = "points correct, %",
    diagonal: bool = False,
) -> Figure:
    """Draw the fraction of correct points against their confidence.

    Args:
        confidence: mean confidence of each bin.
        right: percent of its points that are correct, with an interval.
        counts: number of its points, written beside it.
        title: above the chart.
        x_label: below it.
        y_label: beside it.
        diagonal: whether the confidence is a probability, so that it should be the share of correct points.
    """
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.subplots()
    if diagonal:
        axes.plot([0, 1], [0, 100], color="gray", linestyle="--", linewidth=1)
    value, low, high = np.array(right, dtype=float).reshape(-1, 3).T
    axes.errorbar(confidence, value, yerr=_arms(value, low, high), marker="o", color=LINE_COLORS[0], capsize=3)
    for x, y, count in zip(confidence, value, counts, strict=True):
        axes.annotate(str(count), (x, y), (4, 6), textcoords="offset points", fontsize=7)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_ylim(0, 105)
    axes.grid(alpha=0.25)
    axes.set_title(plain(title), fontsize=10)
    return figure


def _arms(value: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Compute the lengths of error bars, (2, n), at least 0: rounding may put the end of an interval past its value."""
    return np.maximum((value - low, high - value), 0)
