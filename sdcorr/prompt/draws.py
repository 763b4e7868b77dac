"""Random draws that belong to the query.

Every draw comes from a generator seeded by (seed, data set, image, point, restart, target) and the step, so that a
result depends neither on the rank, nor on the batch, nor on the order, nor on a restart after a crash.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor


class Query(NamedTuple):
    """One embedding: a point of a source image, and the number of the random start; and a target, at transfer."""

    image: str  # key of the source image, unique in the data set
    x: float  # the point, in pixels of the original image
    y: float
    restart: int
    target: str | None = None  # key of the target image; None while the embedding is optimised


class Draws:
    """All random numbers of the method, on the CPU.

    A `step` is a step of the optimisation, or the number of a target's crop.
    """

    def __init__(self, seed: int, dataset: str, noise: Literal["uniform", "normal"]):
        self._key = (seed, dataset)
        self._normal = noise == "normal"
        self._generator = torch.Generator()

    def embeddings(self, queries: Sequence[Query], tokens: int, width: int) -> Tensor:
        """Random starts, (Q, T, D) ~ N(0, 1)."""
        starts = torch.empty(len(queries), tokens, width)
        for query, start in zip(queries, starts, strict=True):
            start.normal_(generator=self._seeded("embedding", query))
        return starts

    def noise(self, queries: Sequence[Query], step: int, shape: Sequence[int]) -> Tensor:
        """Noise for the latents, (Q, *shape): U[0, 1) or N(0, 1)."""
        noise = torch.empty(len(queries), *shape)
        for query, row in zip(queries, noise, strict=True):
            generator = self._seeded("noise", query, step)
            row.normal_(generator=generator) if self._normal else row.uniform_(generator=generator)
        return noise

    def crop_starts(self, queries: Sequence[Query], step: int, low: Tensor, high: Tensor) -> Tensor:
        """Left top corners of crops.

        Args:
            queries: Q queries.
            step: step of the optimisation, or number of the target's crop.
            low: (Q, 2) int64, the least (x, y) of a corner in pixels.
            high: (Q, 2) int64, the greatest, inclusive.

        Returns:
            (Q, 2) int64, uniform from low to high.
        """
        return torch.tensor(
            [
                [torch.randint(a, b + 1, (), generator=generator).item() for a, b in zip(lo, hi, strict=True)]
                for query, lo, hi in zip(queries, low.tolist(), high.tolist(), strict=True)
                for generator in [self._seeded("crop", query, step)]
            ]
        )

    def flips(self, queries: Sequence[Query], step: int, probability: float) -> Tensor:
        """Which crops are mirrored, (Q,) bool."""
        if probability == 0:
            return torch.zeros(len(queries), dtype=torch.bool)
        draws = [torch.rand((), generator=self._seeded("flip", query, step)) for query in queries]
        return torch.stack(draws) < probability

    def _seeded(self, purpose: str, query: Query, *step: int) -> torch.Generator:
        key = repr((*self._key, purpose, *query, *step))
        digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
        return self._generator.manual_seed(int.from_bytes(digest) >> 1)
