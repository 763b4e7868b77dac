"""Crop boxes, points into crops, maps back out of them; and the latents of crops, each encoded once.

All pixels are those of the S x S image that the model sees. Crops are squares of one side, given by their left top
corner; points are (x, y).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sdcorr.diffusion import FrozenDiffusion

_PIXELS_PER_ENCODING = 8 * 512 * 512  # bounds the VAE's memory to a few GB


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
    """Latents of crops of some images: a function of the box alone, so each distinct box is encoded once.

    Attributes:
        size: S, side of the images in pixels.
        side: of the crops.
        latents: (n, C, h, w), those encoded so far.
    """

    def __init__(self, backbone: FrozenDiffusion, images: Tensor, side: int):
        """
        Args:
            backbone: whose VAE encodes.
            images: (N, 3, S, S) in [0, 1].
            side: side in pixels of all the crops.
        """
        self._backbone = backbone
        self._images = images.to(backbone.device)
        self.size, self.side = backbone.image_size, side
        self._rows: dict[tuple[int, ...], int] = {}  # box -> its row in `latents`
        self.latents = torch.empty(
            0, backbone.latent_channels, backbone.latent_size, backbone.latent_size, device=backbone.device
        )

    def rows(self, boxes: Tensor) -> Tensor:
        """Rows of boxes in `latents`; boxes that are new are encoded, in batches.

        Args:
            boxes: (..., 4) int64 on the CPU: image index, x, y of the corner, 1 if mirrored.

        Returns:
            (...) int64 on the backbone's device.
        """
        distinct, inverse = torch.unique(boxes.flatten(0, -2), dim=0, return_inverse=True)
        keys = [tuple(box) for box in distinct.tolist()]
        self._encode([key for key in keys if key not in self._rows])
        rows = torch.tensor([self._rows[key] for key in keys])
        return rows[inverse].view(boxes.shape[:-1]).to(self.latents.device)

    def crops(self, boxes: Tensor) -> Tensor:
        """The crops themselves, resized to the images' size: (B, 4) boxes -> (B, 3, S, S)."""
        return crop_images(self._images, boxes, self.side)

    def _encode(self, boxes: list[tuple[int, ...]]) -> None:
        batch = max(1, _PIXELS_PER_ENCODING // self.size**2)
        parts = [torch.tensor(boxes[first : first + batch]) for first in range(0, len(boxes), batch)]
        self.latents = torch.cat([self.latents, *(self._backbone.encode(self.crops(part)) for part in parts)])
        self._rows |= {box: row for row, box in enumerate(boxes, start=len(self._rows))}
