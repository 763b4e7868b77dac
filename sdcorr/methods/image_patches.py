"""Nearest neighbor of small image patches: how far color and texture alone go."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sdcorr.datasets import ImageReader, Match, Pair, SourceUnit
from sdcorr.errors import UserError
from sdcorr.methods.base import Method
from sdcorr.methods.resources import Resources

FLAT = 0.01  # a patch whose gray values spread less than this (of 1) has nothing in it to recognize


class ImagePatches(Method):
    """The place in the target whose surroundings correlate best with those of the query point.

    Both images are scaled to the same longer side. Around every pixel of the target the normalized
    correlation with the query point's patch is taken at several patch sizes, and the match is where their
    mean is greatest.

    Args:
        resources: not used.
        side: longer side of the scaled images, pixels.
        sizes: sides of the square patches, odd, pixels of the scaled images.

    Raises:
        UserError: if a size is not legal.
    """

    def __init__(self, resources: Resources, side: int = 96, sizes: Sequence[int] = (7, 13, 25)) -> None:
        if not isinstance(side, int) or side < 1:
            raise UserError(f"side={side} of image_patches is not legal: give a number of pixels, such as 96.")
        several = isinstance(sizes, list | tuple) and len(sizes) > 0
        if not several or any(type(size) is not int or size < 1 or size % 2 == 0 for size in sizes):
            raise UserError(f"sizes={sizes} of image_patches is not legal: give odd numbers, such as [7, 13, 25].")
        self.side, self.sizes = side, tuple(sizes)

    def match(self, unit: SourceUnit, image: ImageReader) -> Iterator[tuple[Pair, Match]]:
        """Yields every pair of the unit with its match; the confidence is the correlation, 0 if negative."""
        source = self._scaled(image(unit.source))
        source_size = unit.targets[0].pair.source_size
        points = torch.from_numpy(unit.points * scale_between(source_size, source.shape))  # (P, 2)
        patches = [patches_at(source, points.float(), size) for size in self.sizes]
        for target in unit.targets:
            scaled, chosen = self._scaled(image(target.pair.target)), list(target.points)
            maps = torch.stack([correlation(scaled, each[chosen]) for each in patches]).mean(0)  # (V, h, w)
            cells, score = peaks(maps)
            matched = cells / scale_between(target.pair.target_size, scaled.shape)
            yield target.pair, Match(matched, score.clip(0, 1))

    def _scaled(self, picture: Image.Image) -> Tensor:
        """The image as (3, h, w) in [0, 1], its longer side being `side` pixels."""
        ratio = self.side / max(picture.size)
        size = [max(1, round(length * ratio)) for length in picture.size]
        pixels = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
        return torch.from_numpy(pixels / 255).permute(2, 0, 1)


def scale_between(size: tuple[int, int], shape: Sequence[int]) -> np.ndarray:
    """The factors of x and y, (2,), from an original image of size (W, H) to a map of shape (..., h, w)."""
    return np.array([shape[-1] / size[0], shape[-2] / size[1]])


def peaks(maps: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Where maps are greatest.

    Args:
        maps: (N, h, w).

    Returns:
        The centers of the greatest cells, (N, 2) float64 xy in cells of the map, and their values, (N,)
        float64.
    """
    values, index = maps.flatten(1).max(1)
    cells = torch.stack([index % maps.shape[-1], index // maps.shape[-1]], dim=-1)  # (N, 2) column, row
    return cells.cpu().double().numpy() + 0.5, values.cpu().double().numpy()


def patches_at(image: Tensor, points: Tensor, size: int) -> Tensor:
    """Square patches centered on points, bilinear between pixels; beyond the border the image is continued.

    Args:
        image: (3, h, w).
        points: (P, 2) xy in pixels of the image, the center of the first pixel being (0.5, 0.5).
        size: side k of the patches, odd, pixels.

    Returns:
        (P, 3, k, k).
    """
    offsets = torch.arange(size, dtype=image.dtype, device=image.device) - size // 2
    x = points[:, 0, None, None] + offsets[None, None, :]
    y = points[:, 1, None, None] + offsets[None, :, None]
    sides = image.new_tensor([image.shape[-1], image.shape[-2]])
    grid = torch.stack(torch.broadcast_tensors(x, y), dim=-1) / sides * 2 - 1  # (P, k, k, 2) in [-1, 1]
    rows = grid.reshape(1, -1, size, 2)
    sampled = F.grid_sample(image[None], rows, padding_mode="border", align_corners=False)  # (1, 3, P * k, k)
    return sampled[0].unflatten(1, (-1, size)).transpose(0, 1)


def correlation(image: Tensor, patches: Tensor) -> Tensor:
    """Normalized correlation of patches with the surroundings of every pixel, colors taken together.

    Args:
        image: (3, h, w) in [0, 1]; beyond the border it is continued.
        patches: (P, 3, k, k) in [0, 1], k odd.

    Returns:
        (P, h, w) in [-1, 1], to rounding; near 0 where either side is flat.
    """
    count, margin = patches[0].numel(), patches.shape[-1] // 2
    image = image - image.mean()  # smaller numbers lose less in the difference of squares below
    padded = F.pad(image[None], (margin,) * 4, mode="replicate")
    centered = patches - patches.mean((1, 2, 3), keepdim=True)
    ones = torch.ones_like(patches[:1])
    total, squares = F.conv2d(padded, ones)[0], F.conv2d(padded.square(), ones)[0]  # (1, h, w)
    spread = (squares - total.square() / count).clamp(min=count * FLAT**2).sqrt()
    own_spread = centered.square().sum((1, 2, 3)).clamp(min=count * FLAT**2).sqrt()  # (P,)
    return F.conv2d(padded, centered)[0] / (spread * own_spread[:, None, None])
