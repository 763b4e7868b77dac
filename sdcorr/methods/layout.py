"""How a picture is laid out for a network: squashed to a square, padded to one, or at its own aspect ratio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sdcorr.errors import UserError

Fit = Literal["squash", "pad", "aspect"]


@dataclass(frozen=True)
class Layout:
    """Where a picture lies on the canvas that a network sees, and so in the grid of its features."""

    size: tuple[int, int]  # (W, H) of the picture, pixels
    canvas: tuple[int, int]  # (w, h) of what the network sees, pixels
    box: tuple[int, int, int, int]  # x0, y0, x1, y1 of the picture on the canvas

    def to_grid(self, points: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """Points of the picture in cells of a grid that covers the canvas.

        Args:
            points: (N, 2) xy, pixels of the picture.
            shape: (..., h, w) of the grid.

        Returns:
            (N, 2) xy in cells; the center of the first cell is (0.5, 0.5).
        """
        scale, offset = self._to_canvas()
        return (points * scale + offset) * (np.array([shape[-1], shape[-2]]) / self.canvas)

    def from_grid(self, cells: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """The inverse of `to_grid`: (N, 2) cells to (N, 2) pixels of the picture."""
        scale, offset = self._to_canvas()
        return (cells * (np.array(self.canvas) / [shape[-1], shape[-2]]) - offset) / scale

    def inside(self, shape: Sequence[int]) -> Tensor:
        """Which cells of a grid have their center on the picture, (h, w) bool; the others are padding."""
        x = (np.arange(shape[-1]) + 0.5) * self.canvas[0] / shape[-1]
        y = (np.arange(shape[-2]) + 0.5) * self.canvas[1] / shape[-2]
        x0, y0, x1, y1 = self.box
        return torch.from_numpy(((y0 <= y) & (y <= y1))[:, None] & ((x0 <= x) & (x <= x1)))

    def over_picture(self, values: Tensor, shape: tuple[int, int]) -> Tensor:
        """What covers the canvas, stretched over the picture and nothing else: padding falls away.

        Args:
            values: (C, h, w) on a grid that covers the canvas.
            shape: (height, width) of the grid over the picture.

        Returns:
            (C, *shape), bilinear.
        """
        height, width = shape
        x = (torch.arange(width) + 0.5) / width
        y = (torch.arange(height) + 0.5) / height
        x0, y0, x1, y1 = self.box
        x = (x0 + x * (x1 - x0)) / self.canvas[0] * 2 - 1
        y = (y0 + y * (y1 - y0)) / self.canvas[1] * 2 - 1
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None].to(values)  # (1, h, w, 2)
        return F.grid_sample(values[None], grid, padding_mode="border", align_corners=False)[0]

    def _to_canvas(self) -> tuple[np.ndarray, np.ndarray]:
        x0, y0, x1, y1 = self.box
        return np.array([x1 - x0, y1 - y0]) / self.size, np.array([x0, y0], dtype=float)


def lay_out(image: Image.Image, side: int, fit: Fit, multiple: int = 1) -> tuple[Image.Image, Layout]:
    """The canvas that a network sees of a picture.

    Args:
        image: RGB.
        side: of the canvas, pixels: both sides for `squash` and `pad`, the longer one for `aspect`.
        fit: `squash` loses the aspect ratio (as the released code of Hedlin et al. and of DIFT); `pad` centers the
            picture on a black square (as sd-dino); `aspect` keeps the ratio, to the next multiple.
        multiple: what the sides of an `aspect` canvas are multiples of: the network's stride.
    """
    width, height = image.size
    if fit == "squash":
        canvas = box_size = (side, side)
    else:
        scale = side / max(width, height)
        step = multiple if fit == "aspect" else 1
        box_size = (_rounded(width * scale, step), _rounded(height * scale, step))
        canvas = box_size if fit == "aspect" else (side, side)
    left, top = (canvas[0] - box_size[0]) // 2, (canvas[1] - box_size[1]) // 2
    scaled = image if image.size == box_size else image.resize(box_size, Image.Resampling.BILINEAR)
    layout = Layout((width, height), canvas, (left, top, left + box_size[0], top + box_size[1]))
    if canvas == box_size:
        return scaled, layout
    whole = Image.new("RGB", canvas)
    whole.paste(scaled, (left, top))
    return whole, layout


def check_fit(method: str, fit: str) -> None:
    """Raises UserError if there is no such way to lay a picture out."""
    if fit not in get_args(Fit):
        raise UserError(f"fit={fit} of {method} is not legal: give {', '.join(get_args(Fit))}.")


def _rounded(length: float, multiple: int) -> int:
    return max(1, round(length / multiple)) * multiple
