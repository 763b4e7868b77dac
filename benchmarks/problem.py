"""The work that is timed: pictures, points and pairs, the same for every computation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageOps
from shapes import GOLDEN
from torch import Tensor

from sdcorr.datasets.base import Pair, SourceUnit, group_by_source
from sdcorr.images import read_image

SOURCE = "source"
DATASET = "benchmark"  # seeds the random draws, together with the keys of the pictures
_EDGE = 0.1  # fraction of the picture at each side that has no points
_SAME = 1e-3  # pixels: a center of mass has rounding errors, a maximum has none
_TIE = 1e-5  # values this close, relatively, are one maximum: bilinear upsampling makes plateaus


@dataclass(frozen=True)
class Answer:
    """The result of a computation, or a part of it.

    Attributes:
        embeddings: (target, point) -> (R, T, D) on the CPU; target "" where it serves all of them.
        maps: (target, point) -> (S, S) on the CPU, mean over heads, crops, restarts and layers.
        points: (target, point) -> (2,) float64, pixels of the target.
    """

    embeddings: Mapping[tuple[str, int], Tensor]
    maps: Mapping[tuple[str, int], Tensor]
    points: Mapping[tuple[str, int], Tensor]


@dataclass(frozen=True)
class Agreement:
    """How far an answer is from a reference."""

    embeddings: float  # greatest absolute difference of two numbers
    maps: float  # the same, for maps
    farthest: float  # pixels, greatest distance of two points
    equal: float  # fraction of the points that are the same
    right: float  # fraction that are the same, or another maximum of the reference's map if it has several
    compared: int  # number of points


def make_unit(points: int, targets: int) -> SourceUnit:
    """Make a source image with its points, all of which are to be found in every target.

    Points lie evenly over the picture (Roberts' R2 sequence, http://extremelearning.com.au/unreasonable-effectiveness-of-quasirandom-sequences/).
    """
    golden = 1.324717957244746  # the real root of x^3 = x + 1
    steps = np.array([1 / golden, 1 / golden**2])
    size = picture(SOURCE).size
    spread = (0.5 + np.outer(np.arange(1, points + 1), steps)) % 1  # (P, 2)
    places = (_EDGE + (1 - 2 * _EDGE) * spread) * size
    pairs = [
        Pair(
            id=f"{SOURCE}:{target}",
            category="any",
            source=SOURCE,
            target=f"target-{target}",
            source_size=size,
            target_size=size,
            source_points=places,
            target_points=places,  # nothing is scored
            visible=np.ones(points, dtype=bool),
            names=tuple(map(str, range(points))),
        )
        for target in range(targets)
    ]
    return group_by_source(pairs)[0]


@cache
def picture(key: str) -> Image.Image:
    """Return the source, or target number n: the golden pair's target, then changed copies of both."""
    if key == SOURCE:
        return read_image(GOLDEN / "src.png")
    number = int(key.removeprefix("target-"))
    image = read_image(GOLDEN / ("src.png" if number % 2 else "trg.png"))
    changes: tuple[Callable[[Image.Image], Image.Image], ...] = (
        lambda image: image,
        ImageOps.mirror,
        lambda image: image.rotate(-15, Image.Resampling.BILINEAR),
        lambda image: image.point(lambda value: value * 0.7),
    )
    changed = changes[number % len(changes)](image)
    return changed if number < len(changes) else changed.rotate(3 * number, Image.Resampling.BILINEAR)


def compare(answer: Answer, reference: Answer) -> Agreement:
    """Compare an answer, or a part of one, with a complete one whose embeddings serve all targets."""
    far = {key: float((place - reference.points[key]).norm()) for key, place in answer.points.items()}
    equal = [distance <= _SAME for distance in far.values()]
    tied = [_is_maximum(reference.maps[key], picture(key[0]).size, answer.points[key]) for key in far]
    return Agreement(
        embeddings=max(_gap(found, reference.embeddings["", point]) for (_, point), found in answer.embeddings.items()),
        maps=max(_gap(found, reference.maps[key]) for key, found in answer.maps.items()),
        farthest=max(far.values()),
        equal=float(np.mean(equal)),
        right=float(np.mean(np.logical_or(equal, tied))),
        compared=len(far),
    )


def _gap(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


def _is_maximum(values: Tensor, size: tuple[int, int], place: Tensor) -> bool:
    """Say whether an (S, S) map is greatest at a place, in pixels of the (W, H) picture."""
    width, height = size
    column, row = int(place[0] * len(values) / width), int(place[1] * len(values) / height)
    return bool(values[row, column] >= values.max() * (1 - _TIE))
