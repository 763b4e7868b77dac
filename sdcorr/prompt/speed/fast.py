"""The method as it is run: what `PromptMatcher` computes, with nothing computed twice and the memory full."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from sdcorr.diffusion import FrozenModel
from sdcorr.prompt.crops import Crops
from sdcorr.prompt.localize import argmax
from sdcorr.prompt.method import PromptMatcher
from sdcorr.prompt.module import PromptOptimization, RandomCrops
from sdcorr.prompt.randomness import Query
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.speed.embedding_store import EmbeddingStore
from sdcorr.prompt.speed.latents import CachedCrops, LatentCache
from sdcorr.prompt.speed.memory import QueryBatches, saved_bytes
from sdcorr.prompt.speed.plateau import StoppingOptimization
from sdcorr.prompt.speed.pool import CropPool
from sdcorr.prompt.transfer import transfer

# Targets are taken together as long as their maps have no more numbers than this (512 MB): dozens of small images,
# or a few of 512 x 512 pixels.
_MAP_BUDGET = 2**27


class Wanted(NamedTuple):
    """A target image, and which of a source's query points are looked for in it."""

    pixels: Tensor  # (3, S, S) in [0, 1]
    key: str
    points: Sequence[int]  # indices of query points, one or more


class TargetMaps(NamedTuple):
    """What is seen of a target's points."""

    maps: Tensor  # (points, L, S, S), mean over heads, crops and restarts
    peaks: Tensor  # (points, R, 2) xy in pixels of the S x S target, where each restart alone would find the point


class FastMatcher(PromptMatcher):
    """As `PromptMatcher`, with the same results (but for rounding) sooner.

    Every crop is encoded once, whoever looks at it. As many queries go through the network together as fit into the
    memory (or `queries_per_batch`), of several targets if need be. Embeddings that a store knows are not optimized.
    """

    def __init__(
        self,
        backbone: FrozenModel,
        settings: PromptSettings,
        dataset: str,
        reader: FrozenModel | None = None,
        store: EmbeddingStore | None = None,
    ) -> None:
        """
        Args:
            backbone, settings, dataset, reader: as of `PromptMatcher`.
            store: where embeddings are kept that need not be optimized again.
        """
        super().__init__(backbone, settings, dataset, reader)
        self.store = store
        self._latents = LatentCache(backbone)
        self._batches = QueryBatches(settings.queries_per_batch, self._bytes_per_query, backbone.device)

    def transfer_to_all(
        self, targets: Sequence[Wanted], embeddings: Tensor, points: np.ndarray, source_key: str
    ) -> Iterator[TargetMaps]:
        """As `transfer`, to one target after the other, as many at once as have room.

        Args:
            targets: the targets, in their order.
            embeddings: (P, R, T, D), as `optimize` gives them.
            points: (P, 2) the query points.
            source_key: key of the source image.

        Yields:
            For each target what is seen of the points that are looked for.
        """
        queries = self.queries(points, source_key, embeddings.shape[1])
        for group in self._groups(targets):
            yield from self._transfer_together(group, embeddings, queries, self.settings)

    def _solve(self, pixels: Tensor, queries: Sequence[Query], solve: Callable[[Sequence[Query]], Tensor]) -> Tensor:
        def solve_in_batches(some: Sequence[Query]) -> Tensor:
            return self._batches.run(len(some), lambda rows: solve(some[rows]))

        if self.store is None:
            return solve_in_batches(queries)
        return self.store.recall(pixels, queries, solve_in_batches).to(self.backbone.device)

    def _optimization(
        self, start: Tensor, crops: Crops, points: Tensor, queries: Sequence[Query]
    ) -> tuple[PromptOptimization, RandomCrops]:
        cast(CachedCrops, crops).keys = [queries[0].image]  # as `_crops` makes them
        module, steps = super()._optimization(start, crops, points, queries)
        return StoppingOptimization(self.backbone, start, self.settings) if self.settings.plateau else module, steps

    def _crops(self, images: Tensor, side: int) -> CachedCrops:
        if self.settings.crop_pool:
            return CropPool(self._latents, images, side, self.settings.crop_pool)
        return CachedCrops(self._latents, images, side)

    def _transfer(
        self, pixels: Tensor, key: str, embeddings: Tensor, queries: Sequence[Query], settings: PromptSettings
    ) -> Tensor:
        target = Wanted(pixels, key, range(len(embeddings)))
        return self._transfer_together([target], embeddings, queries, settings)[0].maps

    def _transfer_together(
        self, targets: Sequence[Wanted], embeddings: Tensor, queries: Sequence[Query], settings: PromptSettings
    ) -> list[TargetMaps]:
        """Several targets in one batch: for each what is seen of its points."""
        images = torch.stack([target.pixels for target in targets])
        crops = self._crops(images, settings.transfer_side(self.backbone.image_size))
        crops.keys = [target.key for target in targets]
        restarts = embeddings.shape[1]
        rows = [
            (image, point * restarts + restart)
            for image, target in enumerate(targets)
            for point in target.points
            for restart in range(restarts)
        ]
        image_of = torch.tensor([image for image, _ in rows])
        given = embeddings.flatten(0, 1)[[query for _, query in rows]]
        asked = [queries[query]._replace(target=targets[image].key) for image, query in rows]

        def work(b: slice) -> Tensor:
            return transfer(self.reader, crops, image_of[b], given[b], asked[b], settings, self.draws)

        maps = self._batches.run(len(rows), work)
        counts = [len(target.points) for target in targets]
        means = maps.unflatten(0, (-1, restarts)).mean(1).split(counts)
        peaks = argmax(maps.mean(1)).unflatten(0, (-1, restarts)).split(counts)
        return list(map(TargetMaps, means, peaks))

    def _groups(self, targets: Sequence[Wanted]) -> Iterator[list[Wanted]]:
        """Consecutive targets whose maps fit into the budget together; one at least."""
        per_point = self.settings.restarts * len(self.reader.layers) * self.backbone.image_size**2
        group: list[Wanted] = []
        for target in targets:
            if group and sum(len(each.points) for each in [*group, target]) * per_point > _MAP_BUDGET:
                yield group
                group = []
            group.append(target)
        yield group

    def _bytes_per_query(self) -> int:
        """Memory that one query takes while it is optimized; at transfer it takes less."""
        backbone = self.backbone
        latents = torch.zeros(1, backbone.latent_channels, backbone.latent_size, backbone.latent_size)
        embedding = torch.zeros(1, backbone.tokens, backbone.width, device=backbone.device, requires_grad=True)
        return saved_bytes(self._maps_of(latents.to(backbone.device), embedding), ignore=backbone.parameters())

    def _maps_of(self, latents: Tensor, embedding: Tensor) -> Callable[[], object]:
        """What reads the maps of a step, of one query."""
        settings = self.settings
        return partial(self.backbone.attention_maps, latents, settings.timestep, embedding, heads=settings.heads)
