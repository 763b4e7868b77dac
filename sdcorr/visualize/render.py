"""Figures in forms that others can show: arrays for W&B, SVG for a page."""

from __future__ import annotations

import io
import re

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sdcorr.visualize.charts import LINE_COLORS

_INK = "#010203"  # the color of all text while matplotlib draws, which is then replaced by the page's own


def to_array(figure: Figure, dpi: int = 110) -> np.ndarray:
    """Draw a figure as `(H, W, 3)` uint8."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def to_svg(figure: Figure) -> str:
    """Draw a chart as an `<svg>` element: transparent, with text in the page's font and color, light or dark.

    A page may define `--line-0` to `--line-5` to replace LINE_COLORS by its own.
    """
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "sdcorr"}):
        for axes in figure.axes:
            _in_ink(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    box = svg.split('viewBox="', 1)[1].split('"', 1)[0]
    head = f'<svg class="chart" viewBox="{box}" role="img" xmlns:xlink="http://www.w3.org/1999/xlink">'
    for needless in (r"<(metadata|style)\b.*?</\1>", r' id="[\w.]+_\d+"', r" font-family: [^;\"]+;"):
        svg = re.sub(needless, "", svg, flags=re.DOTALL)
    for number, color in enumerate(LINE_COLORS):
        svg = svg.replace(f": {color.lower()}", f": var(--line-{number}, {color.lower()})")
    return head + svg[svg.index(">") + 1 :].strip()


def _in_ink(axes: Axes) -> None:
    """Give text, ticks and frame the color that the page replaces."""
    axes.tick_params(colors=_INK)
    for part in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts):
        part.set_color(_INK)
    for spine in axes.spines.values():
        spine.set_color(_INK)
        spine.set_alpha(0.5)
    if legend := axes.get_legend():
        for text in legend.get_texts():
            text.set_color(_INK)
