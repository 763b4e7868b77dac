"""Crop boxes, points into crops, maps back out of them; and the latents of crops, each encoded once.

All pixels are those of the S x S image that the model sees. Crops are squares of one side, given by their left top
corner; points are (x, y).
"""

from collections import OrderedDict
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.images import picture_digest

_PIXELS_PER_ENCODING = 8 * 512 * 512  # bounds the VAE's memory to a few GB
_CACHE_BYTES = 2**31  # 32,000 crops of Stable Diffusion 1.x: all that the images of one class of SPair-71k need


def crop_side(size: int, fraction: float) -> int:
    """Side in pixels of a crop of an image of side `size`, rounded down as in the released code."""
    return int(size * fraction)


def start_bounds(points: Tensor, size: int, side: int, margin: float) -> tuple[Tensor, Tensor]:
    """Where a crop may start so that it stays in the image and its point stays off its edge.

    Inside the image wins: a point near the image's border gets a crop pushed against that border.

    Args:
        points: (..., 2) pixels.
        size: S, side of the image.
        side: side of the crops.
        margin: distance that the point keeps from the crop's edge, as a share of its side, rounded down to pixels.

    Returns:
        Least and greatest (inclusive) corner, two of (..., 2) int64.
    """
    gap = int(side * margin)
    whole = points.floor().long()
    low = (whole - (side - gap)).clamp(0, size - side)
    high = (whole - gap).clamp(0, size - side)
    return low, high


def crop_positions(size: int, side: int, pool: int) -> Tensor:
    """Where a crop may start along one axis, in ascending order.

    Args:
        size: S, side of the image.
        side: side of the crops.
        pool: how many places there are, spread evenly from border to border; 0 for every pixel.

    Returns:
        (n,) int64; at most `pool` of them, for a place counts once.
    """
    if pool == 0:
        return torch.arange(size - side + 1)
    return torch.linspace(0, size - side, pool, dtype=torch.float64).round().long().unique()


def position_bounds(positions: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Which positions lie from `low` to `high`; where none does, the one that is nearest.

    Args:
        positions: (n,) int64, ascending.
        low: (...) int64, pixels.
        high: (...) int64, pixels, inclusive.

    Returns:
        Least and greatest (inclusive) index into `positions`, two of (...) int64.
    """
    first = torch.searchsorted(positions, low)
    last = torch.searchsorted(positions, high, right=True) - 1
    above, below = first.clamp(max=len(positions) - 1), last.clamp(min=0)  # the neighbors of an empty interval
    nearest = torch.where(positions[above] - high < low - positions[below], above, below)
    none = first > last
    return torch.where(none, nearest, first), torch.where(none, nearest, last)


def points_in_crops(points: Tensor, starts: Tensor, side: int, size: int, flips: Tensor) -> Tensor:
    """Points in pixels of their crops, after these are resized back to `size` (and mirrored where `flips`).

    Args:
        points: (..., 2) pixels of the image.
        starts: (..., 2) corners of the crops.
        side: side of the crops.
        size: S, side of the image and of the resized crops.
        flips: (...) bool.

    Returns:
        (..., 2) pixels of the resized crops.
    """
    x, y = ((points - starts) * (size / side)).unbind(-1)
    return torch.stack((torch.where(flips, size - x, x), y), -1)


def crop_images(images: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Cut crops out and resize them to the images' size, bilinearly and without antialiasing.

    Args:
        images: (N, 3, S, S).
        boxes: (B, 4) int64: image index, x, y of the corner, 1 if mirrored.
        side: side of the crops.

    Returns:
        (B, 3, S, S).
    """
    crops = []
    for index, x, y, mirrored in boxes.tolist():
        crop = images[index, :, y : y + side, x : x + side]
        crops.append(crop.flip(-1) if mirrored else crop)
    return F.interpolate(torch.stack(crops), size=images.shape[-2:], mode="bilinear", align_corners=False)


class LatentCache:
    """Latents of crops, each encoded once: a latent is a function of picture and box alone.

    Whoever asks for a crop shares it: points, restarts and steps, the same picture as source and as target. The least
    recently used are forgotten when there are too many.
    """

    def __init__(self, backbone: FrozenDiffusion, budget: int = _CACHE_BYTES):
        """
        Args:
            backbone: whose VAE encodes.
            budget: bytes to keep on the backbone's device.
        """
        self.backbone = backbone
        self._room = max(1, budget // (4 * backbone.latent_channels * backbone.latent_size**2))
        self._kept: OrderedDict[tuple, Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: tuple) -> Tensor | None:
        """The latent (C, h, w) of a crop, if it is there."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def keep(self, latents: dict[tuple, Tensor]) -> None:
        """Add latents, each (C, h, w), at the expense of the oldest."""
        self._kept |= latents
        while len(self._kept) > self._room:
            self._kept.popitem(last=False)


class Crops:
    """Crops of one side of some images: their pixels, and their latents through a cache.

    A box is (image index, x, y of the corner, 1 if mirrored).

    Attributes:
        size: S, side of the images in pixels.
        side: of the crops.
        latent_shape: (C, h, w).
        pictures: digests of the images.
    """

    def __init__(self, cache: LatentCache, images: Tensor, side: int):
        """
        Args:
            cache: where latents are kept.
            images: (N, 3, S, S) in [0, 1].
            side: side in pixels of all the crops.
        """
        backbone = cache.backbone
        self.size, self.side = backbone.image_size, side
        self.latent_shape = (backbone.latent_channels, backbone.latent_size, backbone.latent_size)
        self.device = backbone.device
        self._cache = cache
        self.pictures = [picture_digest(image) for image in images]
        self._images = images.to(backbone.device)

    def pixels(self, boxes: Tensor) -> Tensor:
        """The crops themselves, resized to the images' size: (B, 4) boxes -> (B, 3, S, S)."""
        return crop_images(self._images, boxes, self.side)

    def prepare(self, boxes: Tensor) -> None:
        """Encode the (..., 4) boxes that are not in the cache, in batches: faster than one step after the other."""
        self._encode(boxes.flatten(0, -2).unique(dim=0).tolist())

    def latents(self, boxes: Tensor) -> Tensor:
        """Latents of (B, 4) int64 boxes on the CPU: (B, C, h, w) on the backbone's device."""
        asked = [tuple(box) for box in boxes.tolist()]
        found = self._encode(dict.fromkeys(asked))
        return torch.stack([found[box] for box in asked])

    def _encode(self, boxes: Iterable[tuple[int, ...]]) -> dict[tuple[int, ...], Tensor]:
        """Box -> latent (C, h, w) for distinct boxes; from the cache, or encoded and kept."""
        found = {box: self._cache.get(self._key(box)) for box in map(tuple, boxes)}
        missing = [box for box, latent in found.items() if latent is None]
        batch = max(1, _PIXELS_PER_ENCODING // self.size**2)
        for first in range(0, len(missing), batch):
            part = missing[first : first + batch]
            latents = self._cache.backbone.encode(self.pixels(torch.tensor(part)))
            new = {box: latent.clone() for box, latent in zip(part, latents, strict=True)}  # no view holds a batch
            self._cache.keep({self._key(box): latent for box, latent in new.items()})
            found |= new
        return found

    def _key(self, box: tuple[int, ...]) -> tuple:
        return (self.pictures[box[0]], self.side, *box[1:])
