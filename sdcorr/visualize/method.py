"""The method's steps as figures: attention maps side by side, and the crops that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from sdcorr.visualize.overlays import RIGHT, color, heat, mark, show
from sdcorr.visualize.words import plain


def heats(
    image: Image.Image,
    maps: Mapping[str, np.ndarray],
    *,
    point: np.ndarray | None = None,
    peaks: Mapping[str, np.ndarray] | None = None,
    columns: int = 6,
    title: str = "",
) -> Figure:
    """Draw several maps over one image, each scaled to its own range.

    Args:
        image: below every map.
        maps: name -> `(h, w)`, stretched over the image.
        point: `(2,)` where the maps should peak, in pixels of `image`; a green cross in every panel.
        peaks: name -> `(2,)` the peak found in that map; a dot in its panel.
        columns: panels per row.
        title: above all panels.
    """
    columns = min(columns, len(maps))
    rows = -(-len(maps) // columns)
    figure = Figure(figsize=(1.7 * columns, 1.95 * rows + 0.25 * bool(title)), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels:
        axes.set_axis_off()
    for axes, (name, heat_map) in zip(panels, maps.items(), strict=False):
        show(axes, heat(image, heat_map), name)
        if point is not None:
            mark(axes, point, [RIGHT], marker="+", size=90)
        if peaks and name in peaks:
            mark(axes, peaks[name], [color(0)], size=35)
    figure.suptitle(plain(title), fontsize=10)
    return figure


def crops(
    image: Image.Image,
    boxes: np.ndarray,
    seen: Sequence[np.ndarray],
    points: np.ndarray,
    point: np.ndarray,
    title: str = "",
) -> Figure:
    """Draw an image with the borders of some crops, and each crop as the model sees it.

    Args:
        image: the whole.
        boxes: `(N, 4)` x0, y0, x1, y1 of each crop in pixels of `image`.
        seen: N crops, each `(h, w, 3)` uint8.
        points: `(N, 2)` the query point in pixels of each crop.
        point: `(2,)` the query point in pixels of `image`.
        title: above all panels.
    """
    figure = Figure(figsize=(1.7 * (len(boxes) + 1), 2.2), layout="constrained")
    whole, *panels = figure.subplots(1, len(boxes) + 1)
    show(whole, image, "crops")
    mark(whole, point, [RIGHT], marker="+", size=90)
    for number, (axes, (left, top, right, bottom)) in enumerate(zip(panels, boxes, strict=True)):
        edge = {"edgecolor": color(number), "facecolor": "none", "linewidth": 2, "clip_on": False}
        whole.add_patch(Rectangle((left, top), right - left, bottom - top, **edge))
        show(axes, seen[number], f"step {number}")
        height, width = seen[number].shape[:2]
        axes.add_patch(Rectangle((0, 0), width, height, **edge))
        mark(axes, points[number], [RIGHT], marker="+", size=90)
    figure.suptitle(plain(title), fontsize=10)
    return figure
