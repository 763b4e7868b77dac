"""From labels to what a step is made of: views of a source picture and of some of its targets, and tracks through them.

A view is a picture that is turned, scaled, shifted and lit otherwise, with its points moved along. The source is there
twice, under two warps: a pair whose every point is known exactly, without any label.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch
from lightning import LightningDataModule
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sdcorr.errors import UserError
from sdcorr.images import to_tensor
from sdcorr.student.labels import Cluster, Labels, divided
from sdcorr.student.warps import Range, draw_warp, moved, relit, warped


class Batch(TypedDict):
    """Some clusters, all of the same shape."""

    pictures: Tensor  # (B, V, 3, S, S) RGB in [0, 1]
    points: Tensor  # (B, P, V, 2) xy, shares of the view's sides
    asked: Tensor  # (B, V, Q) queries that are looked for in each view, as view * P + track
    weights: Tensor  # (B, V, Q) of the queries; 0 where there are fewer


@dataclass(frozen=True)
class Sampling:
    """How many of everything a step has."""

    clusters: int = 8  # a step
    targets: int = 4  # a cluster, beside two views of the source
    tracks: int = 24  # a cluster, of those that have labels
    free: int = 16  # points anywhere in the source, known in its own views alone
    queries: int = 32  # a view: points of the others that are looked for in it
    val: float = 0.1  # share of the sources that are kept to choose by
    seed: int = 0


class Clusters(Dataset[Batch]):
    """The views of one epoch; the same epoch always has the same ones, whoever asks in whatever order.

    Args:
        labels: with the pictures.
        clusters: those to draw from.
        side: of the views, pixels.
        sampling: how many of everything.
        epoch: which one; None: to choose by, without any change of the pictures, and every target in its turn.
        within: how far pictures are changed.
    """

    def __init__(
        self,
        labels: Labels,
        clusters: Sequence[Cluster],
        side: int,
        sampling: Sampling,
        epoch: int | None,
        within: Range,
    ) -> None:
        self.labels, self.side, self.sampling, self.within = labels, side, sampling, within
        self.epoch = epoch
        if epoch is None:
            self.order = list(clusters)
        else:
            shuffled = np.random.default_rng((sampling.seed, epoch)).permutation(len(clusters))
            self.order = [clusters[number] for number in shuffled]

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> Batch:
        """One cluster, as a batch without its first dimension."""
        cluster, sampling = self.order[index], self.sampling
        rng = np.random.default_rng((sampling.seed, 0 if self.epoch is None else 1 + self.epoch, index))
        chosen = rng.permutation(len(cluster.targets))[: sampling.targets]
        tracks = rng.permutation(len(cluster.points))[: sampling.tracks]
        views = np.zeros(sampling.targets + 2, dtype=int)  # numbers of the cluster's pictures; the source where 0
        views[1 : 1 + len(chosen)] = 1 + chosen
        points = np.zeros((sampling.tracks + sampling.free, len(views), 2))
        known = np.zeros(points.shape[:2], dtype=bool)
        points[: len(tracks)] = cluster.points[tracks][:, views]
        known[: len(tracks)] = cluster.found[tracks][:, views]
        pictures = torch.stack([self._picture((cluster.source, *cluster.targets)[view]) for view in views])
        if self.epoch is None:
            known[:, 1 + len(chosen) :] = False  # the source again, unchanged: that would be no test
        else:
            again = views == 0
            points[sampling.tracks :, again] = rng.random((sampling.free, 1, 2))
            known[sampling.tracks :, again] = True
            mirrored = self.within.mirrored(rng, len(views))
            warps = np.stack([draw_warp(rng, self.within, each) for each in mirrored])  # (V, 2, 3)
            pictures = relit(warped(pictures, warps), rng, self.within.light)
            points = np.stack([moved(points[:, view], warp) for view, warp in enumerate(warps)], 1)
            known &= ((points > 0) & (points < 1)).all(-1)
        asked, weights = _queries(known, sampling.queries, rng)
        return Batch(pictures=pictures, points=torch.from_numpy(points).float(), asked=asked, weights=weights)

    def _picture(self, key: str) -> Tensor:
        """(3, S, S) in [0, 1], squashed to the square that the student sees."""
        picture = Image.open(io.BytesIO(self.labels.pictures[key])).convert("RGB")
        if picture.size != (self.side, self.side):
            picture = picture.resize((self.side, self.side), Image.Resampling.BILINEAR)
        return to_tensor(picture)


def _queries(known: np.ndarray, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Of each view, points of the others that are looked for in it, drawn from all that are known in both.

    Args:
        known: (P, V) whether a track has a place in a view.
        count: Q of each view.
        rng: what they are drawn from.

    Returns:
        (V, Q) view * P + track; (V, Q) 1, or 0 where there are fewer.
    """
    views = known.shape[1]
    asked, weights = np.zeros((views, count), dtype=np.int64), np.zeros((views, count), dtype=np.float32)
    for view in range(views):
        both = known.T & known[:, view]  # (V, P)
        both[view] = False
        drawn = rng.permutation(np.flatnonzero(both))[:count]  # numbers are view * P + track
        asked[view, : len(drawn)], weights[view, : len(drawn)] = drawn, 1
    return torch.from_numpy(asked), torch.from_numpy(weights)


class LabelData(LightningDataModule):
    """Batches of a folder of labels, divided by source picture.

    Several processes have their parts of the same batches: each has every so many of its clusters.

    Args:
        labels: of the folder.
        side: of the views, pixels.
        sampling: how many of everything.
        within: how far pictures are changed.
        workers: processes that read pictures; 0: this one.

    Raises:
        UserError: if there are fewer than two source pictures.
    """

    def __init__(self, labels: Labels, side: int, sampling: Sampling, within: Range, workers: int = 0) -> None:
        super().__init__()
        self.labels, self.side, self.sampling, self.within, self.workers = labels, side, sampling, within, workers
        self.learned, self.held = divided(labels.clusters, sampling.val)

    def train_dataloader(self) -> DataLoader[Batch]:
        """The clusters of the Trainer's epoch, for which it asks at the start of each."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        return self._loader(self.learned, epoch)

    def check_shared_by(self, several: int) -> None:
        """Raises UserError if so many processes cannot share a batch."""
        if self.sampling.clusters % several:
            step = f"the {self.sampling.clusters} clusters of a step"
            raise UserError(f"{several} processes cannot share {step}: give student.sampling.clusters a multiple.")
        if len(self.learned) < several:
            raise UserError(f"There are {len(self.learned)} source pictures to learn from for {several} processes.")

    def val_dataloader(self) -> DataLoader[Batch]:
        """The held clusters, always the same; all of them in every process where there are too few to be shared."""
        return self._loader(self.held, None)

    @property
    def _processes(self) -> int:
        return self.trainer.world_size if self.trainer else 1

    def _loader(self, clusters: Sequence[Cluster], epoch: int | None) -> DataLoader[Batch]:
        views = Clusters(self.labels, clusters, self.side, self.sampling, epoch, self.within)
        several, batch = self._processes, self.sampling.clusters
        count = len(views)
        if epoch is not None and count >= batch:
            count -= count % batch  # whole batches alone
        ours = range(self.trainer.global_rank, count, several) if self.trainer and count >= several else range(count)
        return DataLoader(views, batch // several, sampler=ours, num_workers=self.workers)
