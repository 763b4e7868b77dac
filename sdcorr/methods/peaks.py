"""From a map of scores over a target to a point in it: the ways that all methods with maps share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sdcorr.errors import UserError
from sdcorr.finite import not_finite

Localization = Literal["argmax", "window_soft_argmax", "mutual"]


@dataclass(frozen=True)
class Peaks:
    """How a point is read from a map.

    Attributes:
        localization: `argmax`: the center of the greatest cell. `window_soft_argmax`: the mean of the cells in a window
            round it, weighted by the softmax of their scores (GeoAware-SC: 15 x 15 cells of 60 x 60). `mutual`: the
            greatest among the cells whose own best cell in the source lies at the query point; the greatest of all
            where there is none.
        window: cells from the peak to the window's edge, 7 for 15 x 15; for `mutual`, how far from the query point the
            way back may end.
        temperature: of the softmax, in units of the score.
    """

    localization: Localization = "argmax"
    window: int = 7
    temperature: float = 0.05

    def check(self, method: str) -> None:
        """Raises UserError, naming the method's setting, if a value is not legal."""
        if self.localization not in get_args(Localization):
            raise UserError(
                f"localization={self.localization} of {method} is not legal: give {', '.join(get_args(Localization))}."
            )
        if type(self.window) is not int or self.window < 0:
            raise UserError(f"window={self.window} of {method} is not legal: give cells, a whole number from 0.")
        if not self.temperature > 0:
            raise UserError(f"temperature={self.temperature} of {method} is not legal: give a number above 0.")

    def find(
        self, maps: Tensor, inside: Tensor | None = None, near: Tensor | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The points of maps, with the score of the cell that each was found at.

        Args:
            maps: (V, h, w).
            inside: (h, w) bool, the cells that may be found; all by default.
            near: (V, h, w) bool, the cells among which each map's greatest is looked for; all by default.

        Returns:
            (V, 2) float64 xy in cells, the center of the first being (0.5, 0.5); (V,) float64 scores.

        Raises:
            UserError: if a score is NaN.
        """
        if maps.isnan().any():
            raise not_finite("The scores on the target are")
        if inside is not None:
            maps = maps.masked_fill(~inside.to(maps.device), -torch.inf)
        cells, scores = argmax(maps if near is None else _within(maps, near))
        if self.localization == "window_soft_argmax":
            cells = window_soft_argmax(maps, self.window, self.temperature, cells)
        return cells.cpu().double().numpy(), scores.cpu().double().numpy()


def argmax(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Where maps are greatest: the centers of the cells, (V, 2) xy, and their scores, (V,), of maps (V, h, w)."""
    scores, index = maps.flatten(1).max(1)
    width = maps.shape[-1]
    return torch.stack((index % width, index // width), -1) + 0.5, scores


def _within(maps: Tensor, near: Tensor) -> Tensor:
    """Maps with -inf elsewhere; as they are where that would leave nothing."""
    masked = maps.masked_fill(~near.to(maps.device), -torch.inf)
    return torch.where(masked.isneginf().all(-1).all(-1)[:, None, None], maps, masked)


def window_soft_argmax(maps: Tensor, window: int, temperature: float, peak: Tensor | None = None) -> Tensor:
    """The softmax-weighted mean of the cells in a square window round each map's peak.

    Args:
        maps: (V, h, w); -inf where nothing may be found.
        window: cells from the peak to the window's edge.
        temperature: of the softmax.
        peak: (V, 2) xy in cells, the centers of the windows; by default the greatest cells.

    Returns:
        (V, 2) xy in cells.
    """
    peak = argmax(maps)[0] if peak is None else peak
    x = torch.arange(maps.shape[-1], device=maps.device) + 0.5
    y = torch.arange(maps.shape[-2], device=maps.device) + 0.5
    near_x = (x - peak[:, :1]).abs() <= window  # (V, w)
    near_y = (y - peak[:, 1:]).abs() <= window  # (V, h)
    near = near_y[:, :, None] & near_x[:, None, :]
    weights = (maps / temperature).masked_fill(~near, -torch.inf).flatten(1).softmax(1).view_as(maps)
    return torch.stack(((weights.sum(1) * x).sum(-1), (weights.sum(2) * y).sum(-1)), -1)


def returning(maps: Tensor, target: Tensor, source: Tensor, cells: Tensor, window: int) -> Tensor:
    """Maps without the cells whose own nearest cell in the source is not the query point's.

    Args:
        maps: (V, h, w) cosines over the target.
        target: (C, h, w) features of the target, on the grid of the maps.
        source: (C, h', w') features of the source.
        cells: (V, 2) query points in cells of the source's grid.
        window: cells that the way back may end from the query point.

    Returns:
        (V, h, w), -inf at the others; a map of which no cell would be left stays as it is.
    """
    back = F.normalize(target.flatten(1), dim=0).T @ F.normalize(source.flatten(1), dim=0)  # (h * w, h' * w')
    nearest = back.argmax(1)
    width = source.shape[-1]
    ends = torch.stack((nearest % width, nearest // width), -1) + 0.5  # (h * w, 2)
    close = (ends[None] - cells.to(ends)[:, None]).abs().amax(-1) <= window + 0.5  # (V, h * w)
    close = close.view_as(maps)
    return torch.where(close | ~close.flatten(1).any(1)[:, None, None], maps, -torch.inf)
