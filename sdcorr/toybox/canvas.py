"""A display list of flat shapes, drawn anti-aliased in any pose.

Shapes live in *object units*: the complex plane, x to the right, y down, roughly the square [-1, 1] x [-1, 1]. A
complex number turns and moves with one product and one sum, so a limb is `joint + length * turn(angle)` and a pose is
`place + scale * turn(angle) * z`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

SUPERSAMPLING = 4  # every drawing is made this much larger and averaged down
BACKGROUND = 0  # label of a pixel that no part of the object covers

Color = tuple[int, int, int]


def turn(angle: float) -> complex:
    """The unit vector at `angle` radians: the x axis turned clockwise on the screen (y points down)."""
    return complex(np.cos(angle), np.sin(angle))


def oval(center: complex, rx: float, ry: float, angle: float = 0.0, corners: int = 28) -> np.ndarray:
    """Outline of an ellipse with radii `rx`, `ry`, turned by `angle` radians. Returns `(corners,)` complex."""
    t = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return center + turn(angle) * (rx * np.cos(t) + 1j * ry * np.sin(t))


def limb(start: complex, end: complex, width: float, end_width: float | None = None) -> np.ndarray:
    """Outline of a straight limb, `width` thick at `start` and `end_width` at `end`. Returns `(4,)` complex."""
    across = 1j * (end - start) / max(abs(end - start), 1e-9) / 2
    tip = width if end_width is None else end_width
    return np.array([start + across * width, end + across * tip, end - across * tip, start - across * width])


@dataclass
class Shape:
    """A filled outline that shows one part of the object."""

    part: str
    outline: np.ndarray  # (corners,) complex, object units
    color: Color


@dataclass
class Canvas:
    """What a class draws on: shapes from back to front, key-points, and the colors that the caption will name."""

    shapes: list[Shape] = field(default_factory=list)
    key_points: dict[str, tuple[complex, str]] = field(default_factory=dict)  # name -> (place, part that carries it)
    colors: dict[str, str] = field(default_factory=dict)  # part -> color name, in the order of drawing

    def add(self, part: str, outline: np.ndarray, color: Color) -> None:
        """Put one more shape on top of those drawn so far."""
        self.shapes.append(Shape(part, np.asarray(outline, dtype=complex), color))

    def key_point(self, name: str, place: complex, part: str) -> None:
        """Name a place (object units). It counts as visible where `part` is what one sees there."""
        self.key_points[name] = (complex(place), part)

    def extent(self, pose: Pose) -> tuple[float, float, float, float]:
        """Tight box `(x0, y0, x1, y1)` of all shapes under `pose`, in pixels."""
        z = np.concatenate([pose.apply(shape.outline) for shape in self.shapes])
        return float(z.real.min()), float(z.imag.min()), float(z.real.max()), float(z.imag.max())


@dataclass(frozen=True)
class Pose:
    """Object units to pixels: mirror left/right first, then turn and scale (`factor`), then move (`place`)."""

    factor: complex
    place: complex
    mirrored: bool

    def apply(self, z: np.ndarray | complex) -> np.ndarray:
        """Places in object units to places in pixels, both complex and of any shape."""
        z = np.asarray(z, dtype=complex)
        return self.factor * (-z.conj() if self.mirrored else z) + self.place


def paint(shapes: list[tuple[np.ndarray, Color]], ground: np.ndarray) -> Image.Image:
    """Fill outlines back to front over a ground, anti-aliased.

    Args:
        shapes: outlines, `(corners,)` complex in pixels, and their colors.
        ground: `(S, S, 3)` uint8.

    Returns:
        `(S, S)` RGB.
    """
    size = ground.shape[0]
    large = Image.fromarray(ground).resize((size * SUPERSAMPLING,) * 2, Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(large)
    for outline, color in shapes:
        draw.polygon(_corners(outline), fill=color)
    return large.reduce(SUPERSAMPLING)


def label(shapes: list[tuple[np.ndarray, int]], size: int) -> np.ndarray:
    """Which shape one sees where.

    Args:
        shapes: outlines as in `paint`, and the number, 0 to 255, that each leaves on what it covers.
        size: S, pixels.

    Returns:
        `(S * SUPERSAMPLING, S * SUPERSAMPLING)` uint8: the topmost shape's number, BACKGROUND where there is none.
    """
    image = Image.new("L", (size * SUPERSAMPLING,) * 2, BACKGROUND)
    draw = ImageDraw.Draw(image)
    for outline, number in shapes:
        draw.polygon(_corners(outline), fill=number)
    return np.asarray(image)


def _corners(outline: np.ndarray) -> list[tuple[float, float]]:
    # Pillow fills pixel i for the coordinate i; ours has that pixel's center at i + 0.5
    z = outline * SUPERSAMPLING - (0.5 + 0.5j)
    return list(zip(z.real.tolist(), z.imag.tolist(), strict=True))
