"""Charts of scores: curves, bars with intervals, reliability. Values are drawn as they are given, so give percent.

Colors are Okabe and Ito's, safe for color-blind readers; the lines of a chart differ in their dashes too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import AutoLocator

LINE_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # on white and on black
DASHES = ("-", "--", "-.", ":")
LONGEST = 36  # characters of a name in a chart
Estimate = tuple[float, float | None, float | None]  # a value and the ends of its interval; None: it has none


def curve(x: Sequence[float], series: Mapping[str, Sequence[Estimate]], x_label: str, y_label: str) -> Figure:
    """Lines with bands: each series gives (value, low, high) at every `x`."""
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.subplots()
    marker = "o" if len(x) < 10 else None
    for i, (name, points) in enumerate(series.items()):
        value, low, high = np.array(points, dtype=float).T  # NaN, where there is no end, draws nothing
        color, dashes = LINE_COLORS[i % len(LINE_COLORS)], DASHES[i % len(DASHES)]
        axes.plot(x, value, marker=marker, color=color, linestyle=dashes, label=_plain(name))
        axes.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)
    if all(float(each).is_integer() for each in x):  # no half restarts
        whole = AutoLocator()
        whole.set_params(integer=True)
        axes.xaxis.set_major_locator(whole)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return figure


def bars(rows: Mapping[str, Estimate], x_label: str, *, title: str = "") -> Figure:
    """Horizontal bars with intervals, the first on top; a line marks 0 where values are on both sides of it."""
    figure = Figure(figsize=(5.6, 0.9 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rows))
    value, low, high = np.array(list(rows.values()), dtype=float).reshape(-1, 3).T
    axes.barh(places, value, height=0.62, color=LINE_COLORS[0], alpha=0.75)
    axes.errorbar(value, places, xerr=_arms(value, low, high), fmt="none", ecolor=LINE_COLORS[1], capsize=3)
    axes.set_yticks(places, [_plain(name) for name in rows])
    axes.invert_yaxis()
    axes.set_xlabel(x_label)
    axes.grid(axis="x", alpha=0.25)
    if (np.fmin(value, low) < 0).any():
        axes.axvline(0, color=LINE_COLORS[1], linewidth=1)
    axes.set_title(title, fontsize=10)
    return figure


def reliability(
    confidence: Sequence[float], right: Sequence[Estimate], counts: Sequence[int], *, title: str = ""
) -> Figure:
    """Does the confidence know? How many of the points of like confidence are correct.

    Args:
        confidence: mean confidence of each bin.
        right: how many of its points are correct, in percent, with an interval.
        counts: its points, written beside it.
        title: above the chart.
    """
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.subplots()
    value, low, high = np.array(right, dtype=float).reshape(-1, 3).T
    axes.errorbar(confidence, value, yerr=_arms(value, low, high), marker="o", color=LINE_COLORS[0], capsize=3)
    for x, y, count in zip(confidence, value, counts, strict=True):
        axes.annotate(str(count), (x, y), (4, 6), textcoords="offset points", fontsize=7)
    axes.set_xlabel("confidence")
    axes.set_ylabel("points right, %")
    axes.set_ylim(0, 105)
    axes.grid(alpha=0.25)
    axes.set_title(title, fontsize=10)
    return figure


def _arms(value: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Lengths of error bars (2, n); the ends of an interval may be past its value, if only by rounding."""
    return np.maximum((value - low, high - value), 0)


def _plain(name: str) -> str:
    """A name from the data as it is: no mathematics between its dollars, and short enough to leave room for a chart."""
    return (name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…").replace("$", r"\$")
