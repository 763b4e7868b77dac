"""Changes of a picture that move its points along: turned, scaled, shifted, mirrored, in other light."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sdcorr.errors import UserError

Mirror: TypeAlias = Literal["cluster", "view", "none"]


@dataclass(frozen=True)
class Range:
    """How far pictures are changed, at most."""

    turn: float = 30.0  # degrees either way
    scale: float = 1.3  # larger or smaller by this factor
    shift: float = 0.1  # of the side, either way
    light: float = 0.25  # of brightness, contrast and color, either way
    mirror: Mirror = "cluster"  # all views of a cluster, or none; or each by itself, or nothing at all

    def __post_init__(self) -> None:
        if self.mirror not in get_args(Mirror):
            raise UserError(f"student.warps.mirror={self.mirror} is not legal: give {', '.join(get_args(Mirror))}.")

    def mirrored(self, rng: np.random.Generator, views: int) -> np.ndarray:
        """Which views of a cluster are mirrored, (V,) bool."""
        drawn = rng.integers(2, size=views if self.mirror == "view" else 1).astype(bool)
        return np.broadcast_to(drawn & (self.mirror != "none"), views)


def draw_warp(rng: np.random.Generator, within: Range, mirrored: bool) -> np.ndarray:
    """A similarity about the picture's middle, (2, 3), that sends places of the picture to places of the view.

    Both are xy as shares of the side.

    Args:
        rng: what it is drawn from.
        within: the limits.
        mirrored: left to right, before all else. Two views of which one is mirrored and one is not are no pair for
            parts that come in twos: the left ear has become a right one.
    """
    angle = math.radians(rng.uniform(-within.turn, within.turn))
    factor = math.exp(rng.uniform(-1, 1) * math.log(within.scale))
    shift = rng.uniform(-within.shift, within.shift, 2)
    cos, sin = factor * math.cos(angle), factor * math.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    middle = np.array([0.5, 0.5])
    return np.concatenate([linear, (middle + shift - linear @ middle)[:, None]], 1)


def moved(points: np.ndarray, warp: np.ndarray) -> np.ndarray:
    """Where places (..., 2) of a picture are in its view.

    >>> moved(np.array([0.25, 0.5]), np.array([[-1.0, 0, 1], [0, 1, 0]])).tolist()  # a mirror
    [0.75, 0.5]
    """
    return points @ warp[:, :2].T + warp[:, 2]


def warped(pictures: Tensor, warps: np.ndarray) -> Tensor:
    """The views of pictures; what lies outside a picture is its edge.

    Args:
        pictures: (V, 3, S, S).
        warps: (V, 2, 3), see `draw_warp`.

    Returns:
        (V, 3, S, S).
    """
    back = np.linalg.inv(warps[:, :, :2])  # (V, 2, 2)
    offset = -(back @ warps[:, :, 2:])[..., 0]  # (V, 2), from shares of the view to shares of the picture
    # grid_sample has places from -1 to 1: p = 2 s - 1, and likewise for the view
    shift = back.sum(-1) + 2 * offset - 1  # (V, 2)
    theta = torch.from_numpy(np.concatenate([back, shift[..., None]], -1)).to(pictures)
    grid = F.affine_grid(theta, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def relit(pictures: Tensor, rng: np.random.Generator, light: float) -> Tensor:
    """Pictures (V, 3, S, S) in [0, 1], each in a light of its own: brightness, contrast, a cast of color."""
    count = len(pictures)
    gain = torch.from_numpy(rng.uniform(1 - light, 1 + light, (count, 3, 1, 1))).to(pictures)
    gain = 0.5 * gain + 0.5 * gain.mean(1, keepdim=True)
    contrast = torch.from_numpy(rng.uniform(1 - light, 1 + light, (count, 1, 1, 1))).to(pictures)
    mean = pictures.mean((1, 2, 3), keepdim=True)
    return (((pictures - mean) * contrast + mean) * gain).clamp(0, 1)
