"""Which points of a picture are worth a label: on the object, far from each other, spread over what it consists of.

Nobody has annotated the pictures. What lies at the borders of a group of pictures is mostly background, so that the
object is what is unlike it: the cells whose features are farther from those at all borders than nearly all of these
are themselves (Mahalanobis distance). The object's cells are clustered by their features over the whole group, and a
cluster is something that recurs: a wheel, an ear, fur. Each has its turn. Features of the background right beside the
object are unlike those at the borders as well, though less so: clusters of little distance are left out, and of the
others those cells that are nearer than half of the cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sdcorr.digests import digest

GRID = 32  # cells a side of the features over a picture
BORDER = 2  # cells at each side that are the border
UNLIKE = 0.95  # share of the border's cells that the object's are farther from the border's mean than
RIDGE = 0.1  # of the features' mean variance, added to their variances at the border
CLUSTERS = 12  # of the object's cells
LEAST = 0.4  # share of the object's cells that are nearer to the borders than the middle cell of a cluster that counts
APART = 0.1  # in longer sides of the picture: points that are so far from each other are far enough
ROUNDS = 30  # of Lloyd's algorithm, at most
SAMPLE = 20_000  # cells that clusters are made of


@dataclass(frozen=True)
class Parts:
    """What a group of pictures shows beside background."""

    mean: Tensor  # (C,) of the features at the borders
    precision: Tensor  # (C, C), the inverse of their covariance
    farthest: float  # squared Mahalanobis distance beyond which a cell is the object's
    centers: Tensor  # (K, C) of the object's clusters, of unit length
    nearest: Tensor  # (K,) squared distance below which a cell of the cluster gets no point; inf: none of them does

    @classmethod
    def of(cls, pictures: Sequence[Tensor], seed: int = 0) -> Parts:
        """Finds them in the features of pictures of one group.

        Args:
            pictures: (C, GRID, GRID) each, over the whole picture.
            seed: of the first centers of the clusters.
        """
        cells = torch.cat([_cells(each) for each in pictures])  # (N, C)
        border = cells[at_border().repeat(len(pictures)).to(cells.device)]
        ridge = RIDGE * cells.var(0).mean() * torch.eye(cells.shape[1], device=cells.device)
        mean, precision = border.mean(0), torch.linalg.inv(torch.cov(border.T) + ridge)
        farthest = float(_distances(border, mean, precision).quantile(UNLIKE))
        distances = _distances(cells, mean, precision)
        found, distances = F.normalize(cells - mean, dim=1)[distances > farthest], distances[distances > farthest]
        generator = torch.Generator().manual_seed(seed)
        some = found[torch.randperm(len(found), generator=generator)[:SAMPLE].to(found.device)]
        centers = _lloyd(some, _first_centers(some, min(CLUSTERS, len(some)), generator))
        nearest = (found @ centers.T).argmax(1)
        medians = torch.stack([distances[nearest == number].median() for number in range(len(centers))])
        medians[medians < distances.quantile(LEAST)] = torch.inf
        return cls(mean, precision, farthest, centers, medians)

    def clusters(self, picture: Tensor) -> np.ndarray:
        """The cluster of every cell of a picture's features (C, GRID, GRID): (GRID * GRID,), -1 where no point goes."""
        cells = _cells(picture)
        cluster = (F.normalize(cells - self.mean, dim=1) @ self.centers.T).argmax(1)
        distances = _distances(cells, self.mean, self.precision)
        left_out = (distances <= self.farthest) | (distances < self.nearest[cluster])
        return cluster.masked_fill(left_out, -1).cpu().numpy()

    def distances(self, picture: Tensor) -> np.ndarray:
        """How unlike the borders every cell of a picture is, (GRID * GRID,); above 1 it is the object's."""
        return (_distances(_cells(picture), self.mean, self.precision) / self.farthest).sqrt().cpu().numpy()


def choose_points(
    clusters: np.ndarray, distances: np.ndarray, size: tuple[int, int], count: int, key: str
) -> np.ndarray:
    """Points on the object: its clusters take turns, the rarest first.

    Each gives the cell that is farthest from all chosen, or of those that are far enough the one most unlike the
    borders.

    Args:
        clusters: (GRID * GRID,) of the cells of the picture, -1 where no point goes.
        distances: (GRID * GRID,) of them from the borders.
        size: (W, H) of the picture in pixels.
        count: of points, at most one a cell.
        key: of the picture, which seeds the place of each point in its cell.

    Returns:
        (P, 2) xy in pixels of the picture, P <= count.
    """
    draws = np.random.default_rng(int(digest(key), 16))
    row, column = np.divmod(np.arange(GRID * GRID), GRID)
    cell = np.array(size) / GRID  # (W, H) of a cell
    centers = (np.stack((column, row), 1) + 0.5) * cell  # (cells, 2)
    places = centers + draws.uniform(-0.25, 0.25, centers.shape) * cell
    names, sizes = np.unique(clusters[clusters >= 0], return_counts=True)
    free = {name: np.flatnonzero(clusters == name) for name in names[np.argsort(sizes, kind="stable")]}
    away = np.full(len(centers), np.inf)  # of every cell from the nearest that is chosen
    chosen: list[int] = []
    while free and len(chosen) < count:
        for name in list(free)[: count - len(chosen)]:
            cells = free[name]
            enough = np.minimum(away[cells], APART * max(size))
            best = int(cells[np.lexsort((-distances[cells], -enough))[0]])
            chosen.append(best)
            away = np.minimum(away, np.linalg.norm(centers - centers[best], axis=1))
            free[name] = cells[cells != best]
            if not len(free[name]):
                del free[name]
    return places[chosen]


def at_border() -> Tensor:
    """Which cells of a picture lie at its border, (GRID * GRID,) bool."""
    inner = torch.zeros(GRID - 2 * BORDER, GRID - 2 * BORDER, dtype=torch.bool)
    return F.pad(inner, (BORDER,) * 4, value=True).flatten()


def _cells(picture: Tensor) -> Tensor:
    return picture.flatten(1).T  # (GRID * GRID, C)


def _distances(cells: Tensor, mean: Tensor, precision: Tensor) -> Tensor:
    """Squared Mahalanobis distances (N,) of cells (N, C)."""
    away = cells - mean
    return ((away @ precision) * away).sum(1)


def _first_centers(cells: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """The start of k-means++ (Arthur and Vassilvitskii 2007): each far from those before."""
    chosen = [0]
    away = 1 - cells @ cells[0]
    while len(chosen) < count:
        odds = away.clamp(min=0).square() + 1e-12
        chosen.append(int(torch.multinomial(odds.cpu(), 1, generator=generator)))
        away = torch.minimum(away, 1 - cells @ cells[chosen[-1]])
    return cells[chosen]


def _lloyd(cells: Tensor, centers: Tensor) -> Tensor:
    """Centers (K, C) of clusters of cells (N, C), all of unit length, by their angles."""
    before = None
    for _ in range(ROUNDS):
        nearest = (cells @ centers.T).argmax(1)
        if before is not None and torch.equal(nearest, before):
            break
        sums = torch.zeros_like(centers).index_add_(0, nearest, cells)
        centers = torch.where(sums.norm(dim=1, keepdim=True) > 0, F.normalize(sums, dim=1), centers)
        before = nearest
    return centers
