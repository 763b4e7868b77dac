"""Frames: the resized, padded or cropped image in which a protocol measures distances.

Every frame is an affine map along each axis, `x' = scale * x + shift`, from pixels of the original image to pixels of
the frame, so it is given here as the two factors and the two shifts of each image, for many images at once.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

Affine = tuple[np.ndarray, np.ndarray]  # scale (n, 2) and shift (n, 2) of x and y


@dataclass(frozen=True)
class Original:
    """The original image."""

    side: ClassVar[None] = None
    needs_box: ClassVar[bool] = False

    def affine(self, sizes: np.ndarray, boxes: np.ndarray) -> Affine:
        """Scale and shift of n images.

        Args:
            sizes: (n, 2) widths and heights of the original images.
            boxes: (n, 4) boxes of the object; only read by frames that need them.
        """
        return np.ones_like(sizes), np.zeros_like(sizes)


@dataclass(frozen=True)
class Square:
    """The image squashed to a square of `side` pixels; circles become ellipses."""

    side: int
    needs_box: ClassVar[bool] = False

    def affine(self, sizes: np.ndarray, boxes: np.ndarray) -> Affine:
        """Scale and shift of n images, see `Original.affine`."""
        return self.side / sizes, np.zeros_like(sizes)


@dataclass(frozen=True)
class Letterbox:
    """The image scaled until its longer side has `side` pixels, in the middle of a square.

    The shift of the shorter side is a whole number of pixels, `int((side - round(shorter)) / 2)`, as in sd-dino,
    GeoAware-SC and ASIC.
    """

    side: int
    needs_box: ClassVar[bool] = False

    def affine(self, sizes: np.ndarray, boxes: np.ndarray) -> Affine:
        """Scale and shift of n images, see `Original.affine`."""
        longest = sizes.max(-1, keepdims=True)  # (n, 1)
        shift = np.trunc((self.side - np.round(self.side * sizes / longest)) / 2)
        return np.broadcast_to(self.side / longest, sizes.shape), shift


@dataclass(frozen=True)
class Capped:
    """The image scaled down until its longer side has `side` pixels; a smaller image is left as it is."""

    side: int
    needs_box: ClassVar[bool] = False

    def affine(self, sizes: np.ndarray, boxes: np.ndarray) -> Affine:
        """Scale and shift of n images, see `Original.affine`."""
        scale = np.minimum(1, self.side / sizes.max(-1, keepdims=True))
        return np.broadcast_to(scale, sizes.shape), np.zeros_like(sizes)


@dataclass(frozen=True)
class BoxCrop:
    """The object's box with a margin, made square, cut out and resized to `side` pixels: the birds of ACSM and ASIC.

    The box counts its pixels from 1 and includes its last ones. Each side gets a margin of 5 % of the box's width or
    height, the corners are rounded to pixels, and the shorter side grows to the longer one, half at each end.
    """

    side: int
    margin: float = 0.05
    needs_box: ClassVar[bool] = True

    def affine(self, sizes: np.ndarray, boxes: np.ndarray) -> Affine:
        """Scale and shift of n images, see `Original.affine`."""
        low, high = boxes[:, :2] - 1, boxes[:, 2:] - 1  # (n, 2) first and last pixels, counted from 0
        margin = self.margin * (high - low + 1)
        low, high = _round_half_up(low - margin), _round_half_up(high + margin)
        extent = high - low + 1
        longest = extent.max(-1, keepdims=True)  # (n, 1)
        scale = np.broadcast_to(self.side / longest, sizes.shape)
        return scale, -(low - _round_half_up((longest - extent) / 2)) * scale


Frame = Original | Square | Letterbox | Capped | BoxCrop


def _round_half_up(values: np.ndarray) -> np.ndarray:
    """Rounds to integers, halves away from zero: Python 2's rounding, which ACSM was written for."""
    return np.sign(values) * np.floor(np.abs(values) + 0.5)
