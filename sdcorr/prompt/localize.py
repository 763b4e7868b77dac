"""Maps of a target -> points in it, with a confidence.

Pixels are those of the S x S image; the center of the map's element [row, column] is (column + 0.5, row + 0.5).
"""

from typing import Literal

import torch
from torch import Tensor

COMBINED = "combined"  # the name of the map in which a point is found, beside those of the layers


def combine_layers(maps: Tensor, combination: Literal["softmax_mean", "mean"]) -> Tensor:
    """One map from the maps of several layers, (P, L, S, S) -> (P, S, S).

    "softmax_mean" (the released code) takes each layer's softmax over the positions first. Since attention lies in
    [0, 1] and S * S is large, that is nearly the plain "mean", times 1 / S^2.
    """
    if combination == "softmax_mean":
        maps = maps.flatten(2).softmax(-1).view_as(maps)
    return maps.mean(1)


def argmax(maps: Tensor) -> Tensor:
    """The pixel center where each map is greatest, the first in reading order if several are: (P, S, S) -> (P, 2)."""
    index = maps.flatten(1).argmax(1)
    width = maps.shape[-1]
    return torch.stack((index % width, index // width), -1) + 0.5


def soft_argmax(maps: Tensor, window: int, peak: Tensor) -> Tensor:
    """Center of mass of maps (P, S, S), in a square round a peak (P, 2) of each, over the least value there: (P, 2).

    The square has 2 * window + 1 pixels a side, fewer at the border; where it is flat, the peak itself is given.
    """
    center = torch.arange(maps.shape[-1], device=maps.device) + 0.5
    near_x, near_y = ((center - peak[..., None]).abs() <= window).unbind(1)  # (P, S) each
    inside = near_y[:, :, None] & near_x[:, None, :]  # (P, S, S)
    least = maps.masked_fill(~inside, torch.inf).amin((1, 2), keepdim=True)
    weights = (maps - least).masked_fill(~inside, 0)
    mass = weights.sum((1, 2))
    mean = torch.stack(((weights.sum(1) * center).sum(-1), (weights.sum(2) * center).sum(-1)), -1)
    return torch.where(mass[:, None] > 0, mean / mass.clamp(min=torch.finfo(maps.dtype).tiny)[:, None], peak)


def confidence(maps: Tensor, points: Tensor, radius: float) -> Tensor:
    """How much of a map is one peak at the point found, (P, S, S) and (P, 2) points in pixels -> (P,) in [0, 1].

    The share of the map's mass above its mean that lies within `radius` pixels of the point: 1 for one sharp peak,
    small for many peaks of one height, 0 for a flat map. Twice the sigma of a Gaussian holds 86 % of it.
    """
    excess = (maps - maps.mean((1, 2), keepdim=True)).clamp(min=0)
    center = torch.arange(maps.shape[-1], device=maps.device) + 0.5
    dx, dy = (center - points[..., None]).square().unbind(1)  # (P, S) each
    near = dy[:, :, None] + dx[:, None, :] <= radius**2
    total = excess.sum((1, 2))
    share = (excess * near).sum((1, 2)) / total.clamp(min=torch.finfo(maps.dtype).tiny)
    rounding = 8 * torch.finfo(maps.dtype).eps * maps.abs().sum((1, 2))  # what a flat map's excess can be
    return torch.where(total > rounding, share, 0).clamp(0, 1)
