"""A display list of flat shapes, drawn anti-aliased in any pose.

Shapes are given in *object units*: the complex plane, x to the right, y down, roughly the square [-1, 1] x [-1, 1].
With complex numbers, turning is one product and moving is one sum: a limb ends at `joint + length * turn(angle)`, and
a pose maps z to `place + scale * turn(angle) * z`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SUPERSAMPLING = 4  # every drawing is made this much larger and averaged down
BACKGROUND = 0  # label of a pixel where no part of the object is visible

Color = tuple[int, int, int]
Places = NDArray[np.complex128]  # x + iy of places on a plane


def turn(angle: float) -> complex:
    """Return the unit vector at `angle` radians: the x axis turned clockwise on the screen (y points down)."""
    return complex(np.cos(angle), np.sin(angle))


def oval(center: complex, rx: float, ry: float, angle: float = 0.0, corners: int = 28) -> Places:
    """Outline an ellipse with radii `rx`, `ry`, turned by `angle` radians: `(corners,)` complex."""
    t = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return center + turn(angle) * (rx * np.cos(t) + 1j * ry * np.sin(t))


def limb(start: complex, end: complex, width: float, end_width: float | None = None) -> Places:
    """Outline a straight limb, `width` thick at `start` and `end_width` at `end`: `(4,)` complex."""
    across = 1j * (end - start) / max(abs(end - start), 1e-9) / 2
    tip = width if end_width is None else end_width
    return np.array([start + across * width, end + across * tip, end - across * tip, start - across * width])


@dataclass
class Shape:
    """A filled outline that shows one part of the object."""

    part: str
    outline: Places  # (corners,), object units
    color: Color
    marking: bool = False  # a spot or a stripe on the shape before it: some drawings of the class have it


@dataclass
class Canvas:
    """What a class draws on: shapes from back to front, keypoints, and the colors that the caption may name."""

    shapes: list[Shape] = field(default_factory=list)
    keypoints: dict[str, tuple[complex, str]] = field(default_factory=dict)  # name -> (place, part that it belongs to)
    colors: dict[str, str] = field(default_factory=dict)  # part -> color name, in the order of drawing

    def add(self, part: str, outline: Places, color: Color, marking: bool = False) -> None:
        """Put a shape on top of those drawn so far; `outline` is `(corners,)`, in object units."""
        self.shapes.append(Shape(part, np.asarray(outline, dtype=complex), color, marking))

    def keypoint(self, name: str, place: complex, part: str) -> None:
        """Name a place, in object units. The keypoint is visible if `part` is the topmost shape at that place."""
        self.keypoints[name] = (complex(place), part)

    def extent(self, pose: Pose) -> tuple[float, float, float, float]:
        """Return the tight box `(x0, y0, x1, y1)` of all shapes under `pose`, in pixels of the image."""
        z = np.concatenate([pose.apply(shape.outline) for shape in self.shapes])
        return float(z.real.min()), float(z.imag.min()), float(z.real.max()), float(z.imag.max())


@dataclass(frozen=True)
class Pose:
    """Object units to pixels: mirror left/right first, then turn and scale (`factor`), then move (`place`)."""

    factor: complex
    place: complex
    mirrored: bool

    def apply(self, z: Places) -> Places:
        """Map places in object units to places in pixels of the image; `z` has any shape."""
        return self.factor * (-z.conj() if self.mirrored else z) + self.place


def paint(shapes: list[tuple[Places, Color]], ground: np.ndarray) -> Image.Image:
    """Fill outlines back to front over a ground, anti-aliased.

    Args:
        shapes: outlines, `(corners,)` complex in pixels of the image, and their colors.
        ground: `(S, S, 3)` uint8.

    Returns:
        An RGB image of S x S pixels.
    """
    side = ground.shape[0] * SUPERSAMPLING
    large = Image.fromarray(ground).resize((side, side), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(large)
    for outline, color in shapes:
        draw.polygon(_corners(outline), fill=color)
    return large.reduce(SUPERSAMPLING)


def label(shapes: list[tuple[Places, int]], size: int) -> np.ndarray:
    """Say which shape is visible at each place.

    Args:
        shapes: outlines as in `paint`, each with its number, 0 to 255.
        size: S, the side of the image in pixels.

    Returns:
        `(S * SUPERSAMPLING, S * SUPERSAMPLING)` uint8: the topmost shape's number, BACKGROUND where there is none.
    """
    side = size * SUPERSAMPLING
    image = Image.new("L", (side, side), BACKGROUND)
    draw = ImageDraw.Draw(image)
    for outline, number in shapes:
        draw.polygon(_corners(outline), fill=number)
    return np.asarray(image)


def _corners(outline: Places) -> list[tuple[float, float]]:
    # for Pillow the center of pixel i lies at i, for us at i + 0.5
    z = outline * SUPERSAMPLING - (0.5 + 0.5j)
    return list(zip(z.real.tolist(), z.imag.tolist(), strict=True))
