"""Features of a picture as an index keeps them: on one grid for all pictures, one byte a value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from sdcorr.methods.maps import Features

BYTE = 127  # what the greatest value of a cell becomes


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a picture, row by row. A feature is its bytes times its scale, of unit length to rounding."""

    values: np.ndarray  # (k * k, C) int8
    scales: np.ndarray  # (k * k,) float32

    @property
    def features(self) -> np.ndarray:
        """(k * k, C) float32, of unit length to rounding."""
        return self.values.astype(np.float32) * self.scales[:, None]

    def cosines(self, queries: np.ndarray) -> np.ndarray:
        """Of queries (P, C) of unit length with every cell, (P, k, k)."""
        side = int(len(self.scales) ** 0.5)
        products = queries @ self.values.T.astype(np.float32) * self.scales
        return products.reshape(len(queries), side, side)


def to_cells(features: Features, side: int) -> Cells:
    """A picture's features on `side` x `side` cells over the picture alone, each of unit length, rounded to bytes."""
    pooled = F.normalize(features.pooled(side), dim=0).flatten(1).T.cpu().float().numpy()  # (k * k, C)
    scales = np.abs(pooled).max(1).clip(min=np.finfo(np.float32).tiny) / BYTE
    return Cells(np.rint(pooled / scales[:, None]).astype(np.int8), scales.astype(np.float32))


def halved(cells: Cells) -> np.ndarray:
    """Means of 2 x 2 cells, of unit length, (k * k / 4, C) float32: what neighbors are looked for among."""
    side = int(len(cells.scales) ** 0.5)
    grid = torch.from_numpy(cells.features).T.unflatten(1, (side, side))
    return F.normalize(F.avg_pool2d(grid, 2), dim=0).flatten(1).T.contiguous().numpy()
