"""Images with points, lines and heat maps on them.

Points are in pixels of the image that they are drawn on; as everywhere, the center of the top-left pixel is (0.5, 0.5).
Colors are safe for color-blind readers: Okabe and Ito's eight for points, `magma` for heat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from PIL import Image

from sdcorr.visualize.words import label, plain

POINT_COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#FFFFFF")
RIGHT, WRONG = "#009E73", "#D55E00"


def color(index: int) -> str:
    """Return the color of point number `index`."""
    return POINT_COLORS[index % len(POINT_COLORS)]


def heat(image: Image.Image, heat_map: np.ndarray, strength: float = 0.65) -> np.ndarray:
    """Lay an attention map over its image.

    Args:
        image: of any size (W, H).
        heat_map: `(h, w)`, stretched over the whole image and scaled from its least to its greatest value.
        strength: opacity where the map is greatest.

    Returns:
        `(H, W, 3)` uint8.
    """
    spread = np.ptp(heat_map)
    level = (heat_map - heat_map.min()) / spread if spread > 0 else np.zeros_like(heat_map)
    level = np.asarray(Image.fromarray(level.astype(np.float32)).resize(image.size, Image.Resampling.BICUBIC)).clip(
        0, 1
    )
    gray = np.asarray(image.convert("L"), dtype=float)[..., None].repeat(3, axis=2)  # (H, W, 3)
    glow = matplotlib.colormaps["magma"](level)[..., :3] * 255
    opacity = strength * level[..., None] ** 0.7
    return (0.85 * gray * (1 - opacity) + glow * opacity + 0.15 * gray).clip(0, 255).astype(np.uint8)


def show(axes: Axes, picture: Image.Image | np.ndarray, title: str = "") -> None:
    """Draw an image so that axes coordinates are its pixel coordinates."""
    pixels = np.asarray(picture)
    axes.imshow(pixels, extent=(0, pixels.shape[1], pixels.shape[0], 0), interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(plain(title), fontsize=9)


def mark(
    axes: Axes,
    points: np.ndarray,
    colors: Sequence[str],
    marker: str = "o",
    size: float = 55,
    hollow: Sequence[bool] | None = None,
) -> None:
    """Mark points `(N, 2)` with dark rims, so that they are visible on any image; some as rings, `hollow` `(N,)`."""
    places = np.asarray(points).reshape(-1, 2)
    for (x, y), face, ring in zip(places, colors, hollow or [False] * len(places), strict=True):
        if ring:
            for rim, width in (("black", 4.5), (face, 2.2)):
                axes.scatter([x], [y], s=size, facecolors="none", edgecolors=rim, linewidths=width, zorder=3)
            continue
        rim = None if marker == "+" else "black"  # a plus has no inside
        axes.scatter([x], [y], s=size, marker=marker, c=face, edgecolors=rim, linewidths=1.2, zorder=3)


def warp(axes: Axes, grid: np.ndarray) -> None:
    """Draw the lines of a grid with nodes `(n, n, 2)` as far as they are on the picture; two edges have colors."""
    limits = axes.get_xlim(), axes.get_ylim()
    for lines, edge in ((grid, WRONG), (grid.swapaxes(0, 1), color(1))):
        for number, line in enumerate(lines):
            axes.plot(*line.T, color="white" if number else edge, linewidth=0.5 if number else 1.6, alpha=0.8)
    axes.set(xlim=limits[0], ylim=limits[1])


def outline(axes: Axes, mask: np.ndarray, color: str = RIGHT) -> None:
    """Draw the border of a mask `(H, W)` in [0, 1] on an image of that size."""
    height, width = mask.shape
    axes.contour(np.arange(width) + 0.5, np.arange(height) + 0.5, mask, levels=[0.5], colors=[color], linewidths=1)


def matches(
    source: Image.Image,
    target: Image.Image,
    source_points: np.ndarray,
    target_points: np.ndarray,
    *,
    truth: np.ndarray | None = None,
    correct: np.ndarray | None = None,
    confidence: np.ndarray | None = None,
    names: Sequence[str] | None = None,
    title: str = "",
    crosses: str = "truth",
) -> Figure:
    """Draw two images side by side and join their points.

    Args:
        source: image on the left.
        target: image on the right.
        source_points: `(N, 2)` query points in pixels of the source.
        target_points: `(N, 2)` matches in pixels of the target.
        truth: `(N, 2)` where the points should be in the target; drawn as crosses.
        correct: `(N,)` bool; lines are green and solid where true, orange and dashed where false.
        confidence: `(N,)` in [0, 1]; the higher, the stronger the line.
        names: of the keypoints, for the legend.
        title: above both.
        crosses: what is known there: the truth, or less than that.
    """
    figure = Figure(figsize=(8, 4.3), layout="constrained")
    left, right = figure.subplots(1, 2)
    show(left, source, "source, query points")
    show(right, target, "target, matches" + (f" (x: {crosses})" if truth is not None else ""))
    colors = [color(i) for i in range(len(source_points))]
    for i, (start, end) in enumerate(zip(source_points, target_points, strict=True)):
        known = correct is not None
        line = ConnectionPatch(
            start,
            end,
            "data",
            "data",
            axesA=left,
            axesB=right,
            color=(RIGHT if correct[i] else WRONG) if known else colors[i],
            linestyle="--" if known and not correct[i] else "-",
            linewidth=1.6,
            alpha=0.9 if confidence is None else 0.35 + 0.6 * float(confidence[i]),
        )
        figure.add_artist(line)
    mark(left, source_points, colors)
    if truth is not None:
        mark(right, truth, colors, marker="X", size=45)
    mark(right, target_points, colors)
    if names is not None:
        for i, name in enumerate(names):
            left.scatter([], [], c=colors[i], edgecolors="black", label=label(name))
        figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    figure.suptitle(plain(title), fontsize=10)
    return figure


def matches_with_heat(
    source: Image.Image,
    targets: Sequence[Image.Image],
    source_points: np.ndarray,
    target_points: Sequence[np.ndarray],
    maps: Sequence[np.ndarray],
    confidence: Sequence[np.ndarray],
    *,
    doubtful: Sequence[Sequence[bool]] = (),
    grids: Sequence[np.ndarray] = (),
) -> Figure:
    """Draw each target with its matches, and beside it the heat map behind every match.

    Args:
        source: image with the query points.
        targets: K images.
        source_points: `(P, 2)` query points in pixels of the source.
        target_points: for each target `(P, 2)` matches in its pixels.
        maps: for each target `(P, h, w)` combined attention maps, stretched over the image.
        confidence: for each target `(P,)`.
        doubtful: for each target `(P,)`, which matches are drawn as rings; by default none.
        grids: for each target `(n, n, 2)`, where an even grid over the source is in it; by default none is drawn.
    """
    count = len(source_points)
    rows = len(targets)
    figure = Figure(figsize=(2.1 * (count + 2), 2.35 * rows), layout="constrained")
    grid = figure.subplots(rows, count + 2, squeeze=False)
    colors = [color(i) for i in range(count)]
    for row, target in enumerate(targets):
        left, right, *rest = grid[row]
        show(left, source, "source")
        show(right, target, "target")
        rings = list(doubtful[row]) if doubtful else [False] * count
        if grids:
            warp(right, grids[row])
        mark(left, source_points, colors)
        mark(right, target_points[row], colors, hollow=rings)
        for i, axes in enumerate(rest):
            show(axes, heat(target, maps[row][i]), f"point {i + 1}: {confidence[row][i]:.2f}")
            mark(axes, target_points[row][i : i + 1], colors[i : i + 1], size=35, hollow=rings[i : i + 1])
            line = ConnectionPatch(
                source_points[i],
                target_points[row][i],
                "data",
                "data",
                axesA=left,
                axesB=right,
                color=colors[i],
                linewidth=1.6,
            )
            figure.add_artist(line)
    return figure


def idea(
    source: Image.Image,
    target: Image.Image,
    point: np.ndarray,
    matched: np.ndarray,
    maps: Mapping[str, np.ndarray],
) -> Figure:
    """Draw the method in one row: the query point, the attention before and after optimization, the match.

    Args:
        source: image with the query point.
        target: image with the match.
        point: `(2,)` the query point in pixels of the source.
        matched: `(2,)` the match in pixels of the target.
        maps: `before` and `after` the optimization on the source, `target` on the target; each `(h, w)`.
    """
    figure = Figure(figsize=(10.5, 2.45), layout="constrained")
    axes = figure.subplots(1, 5)
    show(axes[0], source, "1. a query point")
    show(axes[1], heat(source, maps["before"]), "2. attention of a random\nprompt embedding")
    show(axes[2], heat(source, maps["after"]), "3. optimized until it lights up\nat the point (UNet frozen)")
    show(axes[3], heat(target, maps["target"]), "4. the same embedding\non another picture")
    show(axes[4], target, "5. the peak is the match")
    for panel, place in ((0, point), (1, point), (2, point), (4, matched)):
        mark(axes[panel], place, [color(0)], size=70)
    return figure


def layers(
    image: Image.Image, maps: Mapping[str, np.ndarray], point: np.ndarray | None = None, title: str = ""
) -> Figure:
    """Draw the map of each layer over one image, and the average of all layers.

    Args:
        image: the crop or the target.
        maps: layer name -> `(h, w)` map, mean over heads.
        point: `(2,)` where the map should peak, in pixels of `image`; marked if given.
        title: above all panels.
    """
    average = np.mean([_unit_range(_stretch(m, image.size)) for m in maps.values()], axis=0)
    panels = {"picture": np.asarray(image)}
    panels |= {_short(name): heat(image, m) for name, m in maps.items()}
    panels["average"] = heat(image, average)
    figure = Figure(figsize=(2.0 * len(panels), 2.5), layout="constrained")
    for axes, (name, panel) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        show(axes, panel, name)
        if point is not None:
            mark(axes, point, [RIGHT], marker="+", size=90)
    figure.suptitle(plain(title), fontsize=10)
    return figure


def words(rows: Sequence[tuple[Image.Image, Mapping[str, tuple[np.ndarray, np.ndarray]]]], title: str = "") -> Figure:
    """Draw images under the attention maps of words of their captions, with the named parts outlined.

    Args:
        rows: for each image, word -> its map `(h, w)` and the mask of its part `(H, W)`, the fraction of each pixel.
        title: above all rows.
    """
    columns = 1 + max(len(panels) for _, panels in rows)
    figure = Figure(figsize=(1.55 * columns, 1.75 * len(rows)), layout="constrained")
    for (image, panels), line in zip(rows, figure.subplots(len(rows), columns, squeeze=False), strict=True):
        for axes in line:
            axes.set_axis_off()
        show(line[0], image)
        for axes, (word, (heat_map, mask)) in zip(line[1:], panels.items(), strict=False):
            show(axes, heat(image, heat_map), word)
            outline(axes, mask)
    figure.suptitle(plain(title), fontsize=10)
    return figure


def sheet(images: Sequence[Image.Image], captions: Sequence[str], columns: int, title: str = "") -> Figure:
    """Draw images in rows of `columns`, each above its caption."""
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.55 * columns, 1.95 * rows), layout="constrained")
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.set_axis_off()
    for axes, image, caption in zip(figure.axes, images, captions, strict=False):
        show(axes, image)
        axes.set_title(plain(caption), fontsize=6, y=-0.02, va="top", pad=0)
    figure.suptitle(plain(title), fontsize=10)
    return figure


def _stretch(heat_map: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(heat_map.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))


def _unit_range(values: np.ndarray) -> np.ndarray:
    return (values - values.min()) / max(float(np.ptp(values)), 1e-12)


def _short(layer: str) -> str:
    return layer.removesuffix(".transformer_blocks.0.attn2").replace("_blocks", "").replace(".attentions", "")
