"""One seed, one image: an object in a pose, clutter behind it, at times an occluder before it, and the annotations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from sdcorr.toybox.canvas import BACKGROUND, SUPERSAMPLING, Canvas, Color, Places, Pose, label, oval, paint, turn
from sdcorr.toybox.classes import THINGS, Thing
from sdcorr.toybox.palette import COLORS, Paint, paler, rgb, to_color

TRAIN, VAL, TEST, HIDDEN_VAL, HIDDEN_TEST = range(5)  # first number of every seed: no drawing is in two of them
SIZE = 64  # pixels, both sides
TILT = 0.6  # radians: an object is turned by up to this much either way
EXTENT = (0.68, 0.95)  # longer side of the object's box as a fraction of the image's side
OCCLUDED = 0.25  # fraction of images with something in front of the object
MENTIONED = 0.9  # how often the caption mentions a part

Shapes = list[tuple[Places, Color]]  # outlines in pixels, from back to front


class Patch(NamedTuple):
    """An outline in pixels, and what it shows."""

    outline: Places  # (corners,) complex
    shape: int  # number of the class's shape, from 1; a marking has that of the shape it is on; BACKGROUND: an occluder
    part: int  # number of the part, from 1; likewise


@dataclass(frozen=True)
class Drawing:
    """An image of the toybox and its annotations.

    Points and box are in pixels of the image; the center of the top-left pixel is (0.5, 0.5).
    """

    image: Image.Image  # (SIZE, SIZE) RGB
    caption: str
    category: str
    names: tuple[str, ...]
    points: np.ndarray  # (N, 2) float64 xy
    visible: np.ndarray  # (N,) bool: in the image, and hidden neither by another part nor by the occluder
    look_alike: np.ndarray  # (N,) bool: another part of the same object resembles this one
    box: tuple[float, float, float, float]  # x0, y0, x1, y1, clipped to the image
    masks: dict[str, np.ndarray]  # part -> (SIZE, SIZE) float32, the fraction of each pixel that shows the part
    surface: tuple[Patch, ...]  # what it is drawn with, from back to front; not the clutter


def draw(seed: int | tuple[int, ...], category: str | None = None, annotate: bool = True) -> Drawing:
    """Draw the image of a seed.

    Args:
        seed: a number or several; the same seed gives the same image.
        category: a class of the toybox; drawn at random, from the seed, unless given.
        annotate: whether to find out what is visible. Without it no point counts as visible and there are no masks,
            which takes a third less time; image, caption and points are the same.
    """
    rng = np.random.default_rng(seed)
    thing = THINGS[category or str(rng.choice(sorted(THINGS)))]
    canvas = Canvas()
    thing.draw(canvas, Paint(canvas, rng))
    pose = _pose(canvas, thing, rng)
    box = canvas.extent(pose)
    ground_name, ground = _ground(rng)
    behind = _clutter(rng)
    before = _occluder(rng, box)
    caption = _caption(thing, canvas, pose, ground_name, rng)

    shapes = [(pose.apply(shape.outline), shape.color) for shape in canvas.shapes]
    image = paint(behind + shapes + before, ground)
    names = tuple(canvas.keypoints)
    places = pose.apply(np.array([place for place, _ in canvas.keypoints.values()]))  # (N,) complex
    points = np.stack([places.real, places.imag], axis=1)  # (N, 2)
    visible, masks = np.zeros(len(names), bool), {}
    if annotate:
        parts = list(dict.fromkeys(shape.part for shape in canvas.shapes))
        seen = label(
            [(outline, 1 + parts.index(s.part)) for (outline, _), s in zip(shapes, canvas.shapes, strict=True)]
            + [(outline, BACKGROUND) for outline, _ in before],
            SIZE,
        )
        carriers = [1 + parts.index(part) for _, part in canvas.keypoints.values()]
        visible = _is_seen(points, carriers, seen)
        masks = {part: _share(seen == 1 + i) for i, part in enumerate(parts)}
    look_alike = np.array([name in thing.look_alikes for name in names])
    return Drawing(
        image,
        caption,
        thing.name,
        names,
        points,
        visible,
        look_alike,
        _inside(box),
        masks,
        _surface(canvas, pose, before),
    )


def _surface(canvas: Canvas, pose: Pose, before: Shapes) -> tuple[Patch, ...]:
    """Say what each outline shows. Drawings of a class have the same shapes in the same order, but for markings."""
    parts = list(dict.fromkeys(shape.part for shape in canvas.shapes))
    patches, number = [], 0
    for shape in canvas.shapes:
        number += not shape.marking
        patches.append(Patch(pose.apply(shape.outline), number, 1 + parts.index(shape.part)))
    return (*patches, *(Patch(outline, BACKGROUND, BACKGROUND) for outline, _ in before))


def _pose(canvas: Canvas, thing: Thing, rng: np.random.Generator) -> Pose:
    """Turn, mirror and scale the object so that it fits, and place it somewhere in the image."""
    mirrored = thing.side_view and bool(rng.integers(2))
    heading = turn(rng.uniform(-TILT, TILT))
    x0, y0, x1, y1 = canvas.extent(Pose(heading, 0, mirrored))
    factor = SIZE * rng.uniform(*EXTENT) / max(x1 - x0, y1 - y0)
    room_x, room_y = SIZE - factor * (x1 - x0), SIZE - factor * (y1 - y0)
    corner = complex(rng.uniform(0, room_x), rng.uniform(0, room_y))
    return Pose(factor * heading, corner - factor * complex(x0, y0), mirrored)


def _ground(rng: np.random.Generator) -> tuple[str, np.ndarray]:
    """Make a pale, gently shaded ground: its color's name, and `(SIZE, SIZE, 3)` uint8."""
    name = str(rng.choice(["green", "blue", "yellow", "pink", "grey", "white"]))
    pale = paler(rgb(name), rng.uniform(0.45, 0.65))
    direction = turn(rng.uniform(0, 2 * np.pi))
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    shade = (x * direction.real + y * direction.imag) * rng.uniform(4, 18)  # (S, S)
    return name, np.clip(pale + shade[..., None], 0, 255).astype(np.uint8)


def _clutter(rng: np.random.Generator) -> Shapes:
    """Make up to three small shapes that go behind the object."""
    shapes = []
    for _ in range(int(rng.integers(0, 4))):
        center = complex(rng.uniform(0, SIZE), rng.uniform(0, SIZE))
        color = rgb(str(rng.choice(sorted(COLORS))))
        corners = int(rng.choice([3, 4, 20]))
        rx, ry = rng.uniform(2, 5.5, 2)
        outline = oval(center, rx, ry, rng.uniform(0, np.pi), corners)
        shapes.append((outline, to_color(paler(color, 0.35))))
    return shapes


def _occluder(rng: np.random.Generator, box: tuple[float, float, float, float]) -> Shapes:
    """Sometimes make a green, gray or brown shape that goes in front of the object's `box`."""
    present, u, v, rx, ry, angle = rng.random(6)
    if present > OCCLUDED:
        return []
    x0, y0, x1, y1 = box
    longest = max(x1 - x0, y1 - y0)
    center = complex(x0 + u * (x1 - x0), y0 + v * (y1 - y0))
    color = COLORS[str(rng.choice(["green", "grey", "brown"]))]
    corners = int(rng.choice([4, 6, 24]))
    outline = oval(center, longest * (0.1 + 0.09 * rx), longest * (0.07 + 0.09 * ry), np.pi * angle, corners)
    return [(outline, color)]


def _caption(thing: Thing, canvas: Canvas, pose: Pose, ground: str, rng: np.random.Generator) -> str:
    """Say the class, the facing of a side view, the color of the ground, and `color part` of most parts, shuffled."""
    facing = f" facing {'left' if pose.mirrored else 'right'}" if thing.side_view else ""
    parts = [f"{color} {part}" for part, color in canvas.colors.items() if rng.random() < MENTIONED]
    rng.shuffle(parts)
    return " ".join([f"a {thing.name}{facing} on {ground}", *parts])


def _is_seen(points: np.ndarray, carriers: list[int], seen: np.ndarray) -> np.ndarray:
    """Say which points `(N, 2)` lie in the image, at a place where the labels `seen` show their part's number."""
    column, row = np.floor(points * SUPERSAMPLING).astype(int).T  # (N,), (N,)
    inside = (column >= 0) & (row >= 0) & (column < seen.shape[1]) & (row < seen.shape[0])
    last = seen.shape[0] - 1
    return inside & (seen[row.clip(0, last), column.clip(0, last)] == np.array(carriers))


def _share(mask: np.ndarray) -> np.ndarray:
    """Average a supersampled bool mask to the fraction of every pixel that it covers, `(S, S)` float32."""
    size = mask.shape[0] // SUPERSAMPLING
    return mask.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING).mean((1, 3), dtype=np.float32)


def _inside(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = np.clip(box, 0, SIZE).tolist()
    return x0, y0, x1, y1
