"""Where a place on one drawn object is on another of its class: the truth for any point, not for keypoints alone."""

from __future__ import annotations

import numpy as np

from sdcorr.toybox.canvas import BACKGROUND, SUPERSAMPLING, Places, label
from sdcorr.toybox.world import SIZE, Drawing


def carried(source: Drawing, target: Drawing, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Carry points of a drawing's surface over to another drawing of the same class.

    A point belongs to the topmost shape at its place: an ear, a wheel, one half of a bent leg. Every drawing of a class
    has this shape, with corners in the same order, so that mean value coordinates in its outline (Floater 2003, "Mean
    Value Coordinates") say where the point is on it: an affine map where the shape is turned, moved or stretched, and
    exact at the corners where it is bent. Where a marking is, the shape below it counts.

    Args:
        source: has the points.
        target: of the same class.
        points: `(N, 2)` in pixels of the source.

    Returns:
        `(N, 2)` places in pixels of the target, NaN for points that are not on the object, or behind something; and
        `(N,)` bool, whether the target shows the same part at that place.
    """
    shapes, parts = _shown(source, points)  # (N,), (N,)
    of_source, of_target = _outlines(source), _outlines(target)
    places = np.full((len(points), 2), np.nan)
    for row, (shape, (x, y)) in enumerate(zip(shapes.tolist(), np.asarray(points).tolist(), strict=True)):
        if shape != BACKGROUND:
            place = mean_value_coordinates(complex(x, y), of_source[shape]) @ of_target[shape]
            places[row] = place.real, place.imag
    _, found = _shown(target, np.nan_to_num(places, nan=-1))
    return places, (parts != BACKGROUND) & (found == parts)


def mean_value_coordinates(place: complex, outline: Places) -> np.ndarray:
    """Weights `(corners,)`, of sum 1, under which the mean of the outline's corners is the place.

    The place may lie outside too, but on no corner.
    """
    ways = outline - place
    halves = np.tan(np.angle(ways.conj() * np.roll(ways, -1)) / 2)  # of the angle from each corner to the next
    weights = (halves + np.roll(halves, 1)) / abs(ways)
    return weights / weights.sum()


def _outlines(drawing: Drawing) -> dict[int, Places]:
    """The outline of every shape of the class by its number, without markings, which come after what they are on."""
    return {patch.shape: patch.outline for patch in reversed(drawing.surface)}


def _shown(drawing: Drawing, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the shapes and of the parts that a drawing shows at points `(N, 2)`, `(N,)` each.

    BACKGROUND where there is none, and outside the image.
    """
    column, row = np.floor(np.asarray(points) * SUPERSAMPLING).astype(int).T
    last = SIZE * SUPERSAMPLING - 1
    inside = (column >= 0) & (row >= 0) & (column <= last) & (row <= last)
    order = label([(patch.outline, 1 + number) for number, patch in enumerate(drawing.surface)], SIZE)
    numbers = np.where(inside, order[row.clip(0, last), column.clip(0, last)], 0)  # 0, or 1 + that of the patch
    shapes = np.array([BACKGROUND, *(patch.shape for patch in drawing.surface)])
    parts = np.array([BACKGROUND, *(patch.part for patch in drawing.surface)])
    return shapes[numbers], parts[numbers]
