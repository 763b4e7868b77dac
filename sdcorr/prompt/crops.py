"""Crops: where they may start, where a point is in one, their pixels, their latents.

All pixels are those of the S x S image that the model sees. Crops are squares of one side, given by their left top
corner; points are (x, y).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sdcorr.diffusion import FrozenModel

_PIXELS_PER_ENCODING = 8 * 512 * 512  # bounds the VAE's memory to a few GB


def start_bounds(points: Tensor, size: int, side: int, margin: float) -> tuple[Tensor, Tensor]:
    """Least and greatest (inclusive) corner of a crop that stays in the image and keeps a point off its edge.

    Inside the image wins: a point near the image's border gets a crop pushed against that border.

    Args:
        points: (..., 2) pixels; so are the results, as int64.
        size: S, side of the image.
        side: side of the crops.
        margin: distance that the point keeps from the crop's edge, as a share of its side, rounded down to pixels.
    """
    gap = int(side * margin)
    whole = points.floor().long()
    low = (whole - (side - gap)).clamp(0, size - side)
    high = (whole - gap).clamp(0, size - side)
    return low, high


def points_in_crops(points: Tensor, starts: Tensor, side: int, size: int, flips: Tensor) -> Tensor:
    """Points in pixels of their crops, after these are resized back to the image's size.

    Args:
        points: (..., 2) pixels of the image.
        starts: (..., 2) corners of the crops.
        side: side of the crops.
        size: S, side of the image and of the resized crops.
        flips: (...) bool, which crops are mirrored.
    """
    x, y = ((points - starts) * (size / side)).unbind(-1)
    return torch.stack((torch.where(flips, size - x, x), y), -1)


def crop_images(images: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Cut crops out of (N, 3, S, S) images and resize them to S, bilinearly and without antialiasing.

    Boxes are (B, 4) int64: index of the image, x and y of the corner, 1 if mirrored. Returns (B, 3, S, S).
    """
    crops = []
    for index, x, y, mirrored in boxes.tolist():
        crop = images[index, :, y : y + side, x : x + side]
        crops.append(crop.flip(-1) if mirrored else crop)
    return F.interpolate(torch.stack(crops), size=images.shape[-2:], mode="bilinear", align_corners=False)


class Crops:
    """Crops of `side` pixels of (N, 3, S, S) images in [0, 1]; boxes are those of `crop_images`.

    Attributes:
        places: how many places there are along each axis where a crop may start: every pixel.
        latent_shape: (C, h, w).
    """

    def __init__(self, backbone: FrozenModel, images: Tensor, side: int) -> None:
        self.size, self.side, self.device = backbone.image_size, side, backbone.device
        self.places = self.size - side + 1
        self.latent_shape = (backbone.latent_channels, backbone.latent_size, backbone.latent_size)
        self._backbone, self._images = backbone, images.to(backbone.device)

    def bounds(self, points: Tensor, margin: float) -> tuple[Tensor, Tensor]:
        """Least and greatest place where a crop may start, as of `start_bounds`."""
        return start_bounds(points, self.size, self.side, margin)

    def corners(self, places: Tensor) -> Tensor:
        """Corners in pixels of the crops at some places."""
        return places

    def pixels(self, boxes: Tensor) -> Tensor:
        """The crops themselves, resized to the images' size: (B, 4) boxes -> (B, 3, S, S)."""
        return crop_images(self._images, boxes, self.side)

    def latents(self, boxes: Tensor) -> Tensor:
        """Latents of the crops, (B, 4) int64 boxes on the CPU -> (B, C, h, w)."""
        parts = boxes.split(max(1, _PIXELS_PER_ENCODING // self.size**2))
        return torch.cat([self._backbone.encode(self.pixels(part)) for part in parts])

    def prepare(self, boxes: Tensor) -> None:
        """Hear of all (..., 4) boxes that will be asked for; a cache would encode them together."""
