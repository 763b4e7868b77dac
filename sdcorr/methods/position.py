"""Rules that do not look at the pictures: what a data set gives away by how its objects are placed."""

from collections.abc import Iterator, Sequence

import numpy as np

from sdcorr.datasets import Box, ImageReader, Match, Pair, SourceUnit
from sdcorr.errors import UserError
from sdcorr.methods.base import Method
from sdcorr.methods.resources import Resources


class SamePixel(Method):
    """The same relative position in the target image. A rule has no doubts: its confidence is always 1."""

    def __init__(self, resources: Resources) -> None:
        pass  # it needs nothing

    def match(self, unit: SourceUnit, image: ImageReader) -> Iterator[tuple[Pair, Match]]:
        """Yields every pair of the unit with its match, without reading an image."""
        for pair in unit.pairs:
            source, target = (0, 0, *pair.source_size), (0, 0, *pair.target_size)
            yield pair, _certain(move_between_boxes(pair.query_points, source, target))


class SameBoxPosition(Method):
    """The same relative position in the object's box; it knows the target's box, which no method is told."""

    def __init__(self, resources: Resources) -> None:
        pass  # it needs nothing

    @classmethod
    def unsuited(cls, pairs: Sequence[Pair]) -> str | None:
        """Whether a pair lacks a box."""
        missing = sum(pair.source_box is None or pair.target_box is None for pair in pairs)
        return f"{missing:,} of {len(pairs):,} pairs have no boxes" if missing else None

    def match(self, unit: SourceUnit, image: ImageReader) -> Iterator[tuple[Pair, Match]]:
        """Yields every pair of the unit with its match, without reading an image.

        Raises:
            UserError: if a pair has no boxes.
        """
        for pair in unit.pairs:
            if pair.source_box is None or pair.target_box is None:
                raise UserError(
                    f"same_box_position needs boxes and pair {pair.id} has none: leave it out of methods=[...] here."
                )
            yield pair, _certain(move_between_boxes(pair.query_points, pair.source_box, pair.target_box))


def move_between_boxes(points: np.ndarray, source: Box, target: Box) -> np.ndarray:
    """Moves points to where they are in another box, relative to its corners.

    Args:
        points: (N, 2) xy pixels of the source image.
        source: x0, y0, x1, y1 in the source image, with an area.
        target: the same in the target image.

    Returns:
        (N, 2) xy pixels of the target image.
    """
    (low, high), (new_low, new_high) = np.reshape(source, (2, 2)), np.reshape(target, (2, 2))
    return new_low + (points - low) / (high - low) * (new_high - new_low)


def _certain(points: np.ndarray) -> Match:
    return Match(points, np.ones(len(points)))
