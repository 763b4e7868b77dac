"""The lengths that PCK compares a distance with, by name; every one in pixels of a protocol's frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from sdcorr.datasets import Box, Pair
from sdcorr.errors import UserError


class Framed(Protocol):
    """What a length asks of a protocol of scoring (`sdcorr.scoring.protocols.Protocol`)."""

    @property
    def name(self) -> str:
        """Of the protocol."""
        ...

    @property
    def dtype(self) -> str:
        """The precision of its arithmetic."""
        ...

    @property
    def side(self) -> int | None:
        """The side in pixels of the square that images are brought to; None in original pixels."""
        ...

    def scale(self, size: tuple[int, int]) -> np.ndarray:
        """The factors of x and y, (2,), from an original image of that size (W, H) to the frame."""
        ...

    def to_frame(self, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Points (N, 2) of an original image of that size (W, H), in pixels of the frame."""
        ...


def box_of(protocol: Framed, pair: Pair, which: str) -> Box:
    """The box of the "source" or "target" object.

    Raises:
        UserError: if the pair has none.
    """
    box = getattr(pair, f"{which}_box")
    if box is None:
        raise UserError(
            f"The protocol {protocol.name} measures by the box of the {which} object, which pair {pair.id} "
            "lacks: add it to the data set, or choose another protocol."
        )
    return box


def _longest_side(corners: np.ndarray) -> Any:
    """The longer side of a box given by two corners (2, 2), in the precision of the corners."""
    return (corners[1] - corners[0]).max()


def _sides(box: Box, protocol: Framed) -> np.ndarray:
    """Width and height of a box in original pixels, (2,), in the precision of the protocol."""
    return np.array([box[2] - box[0], box[3] - box[1]], dtype=protocol.dtype)


def _target_box(protocol: Framed, pair: Pair) -> Any:
    return (_sides(box_of(protocol, pair, "target"), protocol) * protocol.scale(pair.target_size)).max()


def _target_box_or_image(protocol: Framed, pair: Pair) -> Any:
    return _target_image(protocol, pair) if pair.target_box is None else _target_box(protocol, pair)


def _source_box(protocol: Framed, pair: Pair) -> Any:
    corners = np.reshape(box_of(protocol, pair, "source"), (2, 2))
    return _longest_side(protocol.to_frame(corners, pair.source_size))


def _target_box_times_x_scale(protocol: Framed, pair: Pair) -> Any:
    return _sides(box_of(protocol, pair, "target"), protocol).max() * protocol.scale(pair.target_size)[0]


def _target_box_times_y_scale(protocol: Framed, pair: Pair) -> Any:
    return _sides(box_of(protocol, pair, "target"), protocol).max() * protocol.scale(pair.target_size)[1]


def _key_points(protocol: Framed, pair: Pair) -> Any:
    points = protocol.to_frame(pair.true_points, pair.target_size)
    return _longest_side(np.stack([points.min(0), points.max(0)]))


def _padded_key_points(protocol: Framed, pair: Pair) -> Any:
    points = protocol.to_frame(pair.true_points, pair.target_size)
    points = np.concatenate([points, np.full((1, 2), -1, dtype=protocol.dtype)])  # (V + 1, 2)
    return _longest_side(np.stack([points.min(0), points.max(0)]))


def _target_image(protocol: Framed, pair: Pair) -> Any:
    return (np.array(pair.target_size, dtype=protocol.dtype) * protocol.scale(pair.target_size)).max()


def _frame_side(protocol: Framed, pair: Pair) -> Any:
    return np.dtype(protocol.dtype).type(protocol.side)


NORMALIZERS: dict[str, Callable[[Framed, Pair], Any]] = {
    # longest side of the target's box
    "target_box": _target_box,
    # the same, or the longest side of the target image where the pair has no box
    "target_box_or_image": _target_box_or_image,
    # longest side of the source's box
    "source_box": _source_box,
    # longest side of the target's box in original pixels, times the factor of x (of y) whichever side it is
    "target_box_times_x_scale": _target_box_times_x_scale,
    "target_box_times_y_scale": _target_box_times_y_scale,
    # longest side of the box round the target's visible keypoints: `bbox-kp` of later code
    "key_points": _key_points,
    # the same with (-1, -1), the padding of a fixed-size array, taken for a point: largest coordinate + 1
    "padded_key_points": _padded_key_points,
    # longest side of the image, without what a letterbox adds
    "target_image": _target_image,
    # side of the square that every image is brought to
    "frame_side": _frame_side,
}
