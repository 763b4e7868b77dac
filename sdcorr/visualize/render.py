"""Figures to what others can show: arrays for W&B, SVG for a page."""

from __future__ import annotations

import io
import re

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sdcorr.visualize.charts import LINE_COLORS

_INK = "#010203"  # what matplotlib is told to write with; a page puts its own color of text in this one's place


def to_array(figure: Figure, dpi: int = 110) -> np.ndarray:
    """A figure as `(H, W, 3)` uint8."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def to_svg(figure: Figure) -> str:
    """A chart as an `<svg>` element for a page: no ground, text in the page's font and color, light or dark.

    A page may give the lines colors of its own, `--line-0` to `--line-5` in the place of LINE_COLORS.
    """
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "sdcorr"}):
        for axes in figure.axes:
            _in_ink(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups()
    head = f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" xmlns:xlink="http://www.w3.org/1999/xlink">'
    for needless in (r"<(metadata|style)\b.*?</\1>", r' id="[\w.]+_\d+"', r" font-family: [^;\"]+;"):
        svg = re.sub(needless, "", svg, flags=re.DOTALL)
    for number, color in enumerate(LINE_COLORS):
        svg = svg.replace(f": {color.lower()}", f": var(--line-{number}, {color.lower()})")
    return head + svg[svg.index(">") + 1 :].strip()


def _in_ink(axes: matplotlib.axes.Axes) -> None:
    """Text, ticks, frame and grid in the color that the page replaces."""
    axes.tick_params(colors=_INK)
    for part in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts):
        part.set_color(_INK)
    for spine in axes.spines.values():
        spine.set_color(_INK)
        spine.set_alpha(0.5)
    if legend := axes.get_legend():
        for text in legend.get_texts():
            text.set_color(_INK)
