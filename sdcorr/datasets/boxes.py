"""The boxes of objects: which ones cannot be, and which one a mask has."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from sdcorr.datasets.base import Box, Pair
from sdcorr.errors import UserError
from sdcorr.images import read_image

LEAST = 1.0  # pixels of a side
BEYOND = 0.1  # share of the picture's side by which a box may leave it, of an object that is cut off; or one pixel


def impossible(box: Box, size: tuple[int, int]) -> str:
    """What is wrong with a box in a picture of that size (W, H), to follow its name; empty if it can be one.

    A threshold of PCK is a share of the box, so a box of other pixels than the picture's makes every score wrong. A
    box may leave its picture a little: one of CUB-200-2011 does by a pixel.

    >>> impossible((0, 0, 1920, 1080), (64, 48))
    'is [0, 0, 1920, 1080], which goes beyond its picture of 64 x 48 pixels'
    """
    x0, y0, x1, y1 = box
    if 0 <= x0 <= x1 - LEAST and 0 <= y0 <= y1 - LEAST and x1 <= size[0] and y1 <= size[1]:  # nearly all of them
        return ""
    said = f"is [{', '.join(f'{edge:.12g}' for edge in box)}], which"
    if not all(map(math.isfinite, box)):
        return f"{said} are not four numbers"
    if not (x0 < x1 and y0 < y1):
        return f"{said} is not x0, y0, x1, y1 with x0 < x1 and y0 < y1"
    if min(x1 - x0, y1 - y0) < LEAST:
        return f"{said} is less than a pixel"
    picture = f"its picture of {size[0]} x {size[1]} pixels"
    if x0 >= size[0] or y0 >= size[1] or x1 <= 0 or y1 <= 0:
        return f"{said} lies outside {picture}"
    beyond = max(-x0, x1 - size[0]) / max(1.0, BEYOND * size[0]), max(-y0, y1 - size[1]) / max(1.0, BEYOND * size[1])
    if max(beyond) > 1:
        return f"{said} goes beyond {picture}"
    return ""


def impossible_of(pair: Pair) -> str:
    """The same of both boxes of a pair, as a sentence's first half; empty if both can be, or are not there."""
    for side in ("source", "target"):
        box, size = getattr(pair, f"{side}_box"), getattr(pair, f"{side}_size")
        if box is not None and (wrong := impossible(box, size)):
            return f"The box of the {side} {wrong}"
    return ""


def foreground(image: Image.Image) -> Image.Image:
    """Where a mask is not zero, as a picture of 255 and 0, upright as its EXIF says.

    Not zero is the index of a palette, the gray value or any color; or alpha, where that is not the same everywhere.
    """
    values = np.asarray(image)  # (H, W) or (H, W, bands)
    if image.mode in ("LA", "PA", "RGBA") and np.ptp(values[..., -1]):
        values = values[..., -1]
    elif values.ndim == 3:
        values = values[..., : -1 if image.mode in ("LA", "PA", "RGBA") else None].max(axis=-1)
    mask = Image.fromarray(np.where(values != 0, 255, 0).astype(np.uint8))
    mask.info = {name: value for name, value in image.info.items() if name != "transparency"}
    return ImageOps.exif_transpose(mask)


def read_mask(path: Path) -> np.ndarray:
    """Where a mask is not zero, (H, W) bool.

    Raises:
        UserError: if the file is missing or cannot be read.
    """
    return np.asarray(read_image(path, foreground)) > 0


def around(mask: np.ndarray) -> Box:
    """The box round the True pixels of a mask (H, W), of which there are some."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def box_of_mask(path: Path, size: tuple[int, int]) -> Box:
    """The box of the object that a user's mask shows, in a picture of that size (W, H).

    Raises:
        UserError: if the file cannot be read, is no PNG, has another size, or is zero nowhere or everywhere.
    """
    if path.suffix.lower() != ".png":
        raise UserError(f"The mask {path} is no PNG, and other formats blur its edge: save it as PNG.")
    mask = read_mask(path)
    if mask.shape != size[::-1]:
        raise UserError(
            f"The mask {path} has {mask.shape[1]} x {mask.shape[0]} pixels and its picture {size[0]} x {size[1]}: "
            "save it in the picture's size."
        )
    if mask.all() or not mask.any():
        where = "nowhere" if mask.all() else "everywhere"
        raise UserError(f"The mask {path} is zero {where}: the background must be 0, and the object anything else.")
    return around(mask)
