"""What the toybox model is trained on, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

EMPTY_CAPTION = 0.1  # fraction of training captions left empty


class Batches(torch.utils.data.IterableDataset):
    """Endless shuffled batches. Rows are gathered at once, as loading item by item is slow for images this small.

    Args:
        columns: arrays of the same length.
        batch: rows in a batch.
        seed: of the order.
    """

    def __init__(self, *columns: np.ndarray | torch.Tensor, batch: int, seed: int) -> None:
        self.columns, self.batch, self.seed = columns, batch, seed

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        rng = np.random.default_rng(self.seed)
        while True:
            order = rng.permutation(len(self.columns[0]))
            for start in range(0, len(order) - self.batch + 1, self.batch):
                rows = np.sort(order[start : start + self.batch])
                yield tuple(torch.as_tensor(column[rows]) for column in self.columns)


class CaptionedLatents(Batches):
    """Batches of latents and tokens, with one caption in ten replaced by the empty one.

    Args:
        latents: `(N, 4, 16, 16)` float16.
        tokens: `(N, T)` of the captions.
        empty: `(T,)` tokens of the empty caption.
        batch: rows in a batch.
        seed: of the order and of which captions are replaced.
    """

    def __init__(self, latents: np.ndarray, tokens: torch.Tensor, empty: torch.Tensor, batch: int, seed: int) -> None:
        super().__init__(latents, tokens, batch=batch, seed=seed)
        self.empty = empty

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        rng = np.random.default_rng(self.seed + 1)
        for latents, tokens in super().__iter__():
            dropped = torch.as_tensor(rng.random(len(tokens)) < EMPTY_CAPTION)[:, None]
            yield latents, torch.where(dropped, self.empty, tokens)
