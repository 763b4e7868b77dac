"""Crops that start at a few places only, so that few are encoded: an approximation (`crop_pool`)."""

import torch
from torch import Tensor

from sdcorr.prompt.crops import start_bounds
from sdcorr.prompt.speed.latents import CachedCrops, LatentCache


def crop_positions(size: int, side: int, pool: int) -> Tensor:
    """Where a crop may start along one axis, in ascending order.

    Args:
        size: S, side of the image.
        side: side of the crops.
        pool: how many places there are, spread evenly from border to border.

    Returns:
        (n,) int64; at most `pool` of them, for a place counts once.
    """
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


class CropPool(CachedCrops):
    """Crops that may start at the places of a pool only.

    Attributes:
        positions: (n,) int64, where along each axis, ascending.
    """

    def __init__(self, cache: LatentCache, images: Tensor, side: int, pool: int) -> None:
        """As `CachedCrops`; `pool` is the number of places along each axis."""
        super().__init__(cache, images, side)
        self.positions = crop_positions(self.size, side, pool)
        self.places = len(self.positions)

    def bounds(self, points: Tensor, margin: float) -> tuple[Tensor, Tensor]:
        """Least and greatest place in which the point keeps its margin; where the pool has none, the nearest."""
        return position_bounds(self.positions, *start_bounds(points, self.size, self.side, margin))

    def corners(self, places: Tensor) -> Tensor:
        """Corners in pixels of the crops at some places."""
        return self.positions[places]
