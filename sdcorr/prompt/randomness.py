"""Random draws that belong to the query.

Every draw comes from a generator seeded by (seed, data set, image, point, restart, target) and the step, so that a
result depends neither on the rank, nor on the batch, nor on the order, nor on a restart after a crash.

Crops and noise may be shared: they then belong to (seed, data set, the picture that is cropped, restart) and the step,
whatever is looked for in it. Each query alone sees the same distribution either way; but the crops of a picture become
few, and each is encoded once (a crop through the VAE costs more than a step of the UNet).
"""

import hashlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

_TRIES = 15  # draws from all places, before a query's own bounds are drawn from


class Query(NamedTuple):
    """One embedding: a point of a source image, and the number of the random start; and a target, at transfer."""

    image: str  # key of the source image, unique in the data set
    x: float  # the point, in pixels of the original image
    y: float
    restart: int
    target: str | None = None  # key of the target image; None while the embedding is optimized


class Draws:
    """All random numbers of the method, on the CPU; a `step` is one of the optimization, or the number of a crop."""

    def __init__(self, seed: int, dataset: str, noise: Literal["uniform", "normal"], shared: bool = True) -> None:
        self._key, self._normal, self._shared = (seed, dataset), noise == "normal", shared
        self._generator = torch.Generator()

    def embeddings(self, queries: Sequence[Query], tokens: int, width: int) -> Tensor:
        """Random starts, (Q, T, D) ~ N(0, 1)."""
        starts = torch.empty(len(queries), tokens, width)
        for query, start in zip(queries, starts, strict=True):
            start.normal_(generator=self._seeded("embedding", query))
        return starts

    def noise(self, queries: Sequence[Query], step: int, shape: Sequence[int]) -> Tensor:
        """Noise for the latents, (Q, *shape): U[0, 1) or N(0, 1)."""
        owners, rows = self._owners(queries)
        noise = torch.empty(len(owners), *shape)
        for owner, row in zip(owners, noise, strict=True):
            generator = self._seeded("noise", owner, step)
            row.normal_(generator=generator) if self._normal else row.uniform_(generator=generator)
        return noise[rows]

    def crop_starts(self, queries: Sequence[Query], step: int, low: Tensor, high: Tensor, count: int) -> Tensor:
        """Places (x, y) of crops out of `count` an axis, uniform from `low` to `high` (inclusive), all (Q, 2) int64.

        Drawn from all places until one is within a query's bounds, so that queries with different bounds, who share
        what is drawn, come by the same crops as often as can be.
        """
        owners, rows = self._owners(queries)
        share = torch.empty(len(owners), _TRIES + 1, 2, dtype=torch.float64)  # [0, 1)
        for owner, row in zip(owners, share, strict=True):
            row.uniform_(generator=self._seeded("crop", owner, step))
        share = share[rows]  # (Q, tries + 1, 2)
        drawn = (share[:, :-1] * count).long()
        inside = (drawn >= low[:, None]) & (drawn <= high[:, None])
        first = inside.int().argmax(1, keepdim=True)  # (Q, 1, 2), the first try that is inside
        last_resort = low + (share[:, -1] * (high - low + 1)).long()
        return torch.where(inside.any(1), drawn.gather(1, first)[:, 0], last_resort)

    def flips(self, queries: Sequence[Query], step: int, probability: float) -> Tensor:
        """Which crops are mirrored, (Q,) bool."""
        if probability == 0:
            return torch.zeros(len(queries), dtype=torch.bool)
        owners, rows = self._owners(queries)
        draws = [torch.rand((), generator=self._seeded("flip", owner, step)) for owner in owners]
        return torch.stack(draws)[rows] < probability

    def _owners(self, queries: Sequence[Query]) -> tuple[list[Query], list[int]]:
        """To whom the draws of crops and noise belong: the distinct ones, and for each query the place of its own."""
        if self._shared:  # the picture that is cropped owns them
            queries = [Query(query.target or query.image, 0.0, 0.0, query.restart) for query in queries]
        places = {query: place for place, query in enumerate(dict.fromkeys(queries))}
        return list(places), [places[query] for query in queries]

    def _seeded(self, purpose: str, query: Query, *step: int) -> torch.Generator:
        key = repr((*self._key, purpose, *query, *step))
        digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
        return self._generator.manual_seed(int.from_bytes(digest) >> 1)
