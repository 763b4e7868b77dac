"""Small images drawn with Pillow, for tables of hundreds of pairs, where one figure per pair would take minutes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from sdcorr.visualize.overlays import RIGHT, WRONG, color, heat

SIDE = 224  # pixels of the longer side of an image with points
TILE = 112  # pixels of the longer side of an image under a heat map
MOST_TILES = 8  # in a row
RADIUS = 5  # pixels, of a point
GAP = 3  # pixels between tiles, white


def dotted(
    image: Image.Image,
    points: np.ndarray,
    *,
    truth: np.ndarray | None = None,
    right: Sequence[bool | None] | None = None,
) -> np.ndarray:
    """Draw an image with its points, each in its own color.

    Args:
        image: of any size.
        points: `(N, 2)` in pixels of `image`.
        truth: `(N, 2)` where the points really are, NaN where unknown; drawn as crosses, each joined to its point.
        right: whether each point is correct, which makes the line to its truth green or orange; None where unknown.

    Returns:
        `(h, w, 3)` uint8, whose longer side is SIDE.
    """
    small, scale = _fitted(image, SIDE)
    draw = ImageDraw.Draw(small)
    places = np.asarray(points, dtype=float).reshape(-1, 2) * scale
    truths = np.full_like(places, np.nan) if truth is None else np.asarray(truth, dtype=float).reshape(-1, 2) * scale
    known = [None] * len(places) if right is None else right
    for place, real, correct in zip(places, truths, known, strict=True):
        if np.isfinite(real).all():
            draw.line([*place, *real], fill="black", width=4)
            draw.line([*place, *real], fill=RIGHT if correct else WRONG, width=2)
    for index, (place, real) in enumerate(zip(places, truths, strict=True)):
        if np.isfinite(real).all():
            _cross(draw, real, color(index))
        _dot(draw, place, color(index))
    return np.asarray(small)


def attention(rows: Sequence[tuple[Image.Image, np.ndarray, np.ndarray]]) -> np.ndarray:
    """Draw heat maps in a grid: one row per image, one column per point, with the point marked.

    Args:
        rows: for each row an image, the maps of its points `(N, h, w)`, and the points `(N, 2)` in its pixels; the
            first MOST_TILES are drawn.

    Returns:
        `(H, W, 3)` uint8.
    """
    lines = []
    for image, maps, points in rows:
        small, scale = _fitted(image, TILE)
        tiles = []
        for index, (heat_map, point) in enumerate(zip(maps[:MOST_TILES], points[:MOST_TILES], strict=True)):
            tile = Image.fromarray(heat(small, heat_map))
            _dot(ImageDraw.Draw(tile), np.asarray(point) * scale, color(index), RADIUS - 2)
            tiles.append(np.pad(np.asarray(tile), ((0, GAP), (0, GAP), (0, 0)), constant_values=255))
        lines.append(np.concatenate(tiles, 1))
    width = max(line.shape[1] for line in lines)
    padded = [np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0)), constant_values=255) for line in lines]
    return np.concatenate(padded)[:-GAP, :-GAP]


def _fitted(image: Image.Image, side: int) -> tuple[Image.Image, np.ndarray]:
    """Scale an image to a longer side of `side` pixels; also return the factors (2,) from old pixels to new ones."""
    factor = side / max(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.convert("RGB").resize(size, Image.Resampling.BICUBIC), np.array(size) / image.size


def _dot(draw: ImageDraw.ImageDraw, place: np.ndarray, fill: str, radius: float = RADIUS) -> None:
    x, y = place
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=fill, outline="black")


def _cross(draw: ImageDraw.ImageDraw, place: np.ndarray, fill: str) -> None:
    x, y = place
    for ink, width in (("black", 5), (fill, 3)):
        for way in (-1, 1):
            draw.line([x - RADIUS, y - way * RADIUS, x + RADIUS, y + way * RADIUS], fill=ink, width=width)
