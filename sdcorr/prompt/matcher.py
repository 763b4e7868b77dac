"""The method as evaluation and notebooks see it: images and points in, matched points out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sdcorr.datasets.base import AttentionMaps, ImageReader, Match, Pair, SourceUnit, Target
from sdcorr.diffusion import FrozenDiffusion
from sdcorr.errors import UserError
from sdcorr.images import image_to_tensor, picture_digest
from sdcorr.prompt.crops import Crops, LatentCache, crop_side
from sdcorr.prompt.localize import argmax, combine_layers, confidence, soft_argmax
from sdcorr.prompt.maps import COMBINED, shrink
from sdcorr.prompt.module import PromptOptimization, RandomCrops, optimization_side, run
from sdcorr.prompt.randomness import Draws, Query
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.speed.embedding_store import EmbeddingStore
from sdcorr.prompt.speed.memory import QueryBatches, saved_bytes
from sdcorr.prompt.speed.read_once import PictureReader, PooledCrops, ProbeOptimization, read_out
from sdcorr.prompt.transfer import transfer, transfer_side

# Targets are taken together as long as their maps have no more numbers than this (512 MB): dozens of small images,
# or a few of 512 x 512 pixels.
_MAP_BUDGET = 2**27


class PromptMatcher:
    """Finds the points of one image in others by prompt embeddings that are optimized on these points."""

    def __init__(
        self,
        backbone: FrozenDiffusion,
        settings: PromptSettings,
        dataset_name: str,
        solve: Callable[[PromptOptimization, RandomCrops], Tensor] = run,
        store: EmbeddingStore | None = None,
        reader: FrozenDiffusion | None = None,
        map_cells: int = 0,
    ):
        """
        Args:
            backbone: the frozen diffusion model.
            settings: of the method.
            dataset_name: with the images' keys, names the random draws.
            solve: optimizes a module's embeddings and returns them; `run`, or `fit` for a Lightning Trainer.
            store: where embeddings are kept that need not be optimized again.
            reader: the same model with other layers, to be read at transfer; by default those of `backbone`.
            map_cells: cells a side of the maps that `match` gives with each match; 0 for none.

        Raises:
            UserError: if the settings ask for what this backbone has not.
        """
        _check_fit(settings, backbone)
        self.backbone = backbone
        self.settings = settings
        self.solve = solve
        self.draws = Draws(settings.seed, dataset_name, settings.noise, settings.shared_draws)
        self._store = store
        self._map_cells = map_cells
        self._latents = LatentCache(backbone)
        self._target_backbone = reader or backbone
        self._reader = PictureReader(backbone, settings, self.draws)
        self._target_reader = PictureReader(reader, settings, self.draws) if reader else self._reader
        self._batches = QueryBatches(settings.queries_per_batch, self._bytes_per_query, backbone.device)

    def match(self, unit: SourceUnit, image: ImageReader) -> Iterator[tuple[Pair, Match]]:
        """Match a source image's points in all its targets; the embeddings are optimized once.

        Args:
            unit: a source image, its query points, its targets.
            image: reads an image by its key.

        Yields:
            Each pair with the matches of its visible points, in their order; pairs without any come first.
        """
        asking = [target for target in unit.targets if target.points]
        for target in unit.targets:
            if not target.points:
                yield target.pair, Match(np.empty((0, 2)), np.empty(0))
        if not asking:
            return
        source = image(unit.source)
        # All targets are read before the long work, so that a broken one is noticed at once.
        pictures = {
            target.pair.target: image_to_tensor(image(target.pair.target), self.backbone.image_size)
            for target in asking
        }
        embeddings = self.optimize(source, unit.points, unit.source)
        queries = self.queries(unit.points, unit.source)
        seen = self._map_cells and self._small(self.source_maps(source, embeddings, unit.points, unit.source))
        for targets in self._groups(asking):
            keys = [target.pair.target for target in targets]
            asked = [target.points for target in targets]
            maps = self._transfer([pictures[key] for key in keys], keys, asked, embeddings, queries)
            for target, target_maps in zip(targets, maps, strict=True):
                match = self.localize(target_maps, target.pair.target_size)
                if self._map_cells:
                    found = AttentionMaps(self.map_names, seen[list(target.points)], self._small(target_maps))
                    match = replace(match, maps=found)
                yield target.pair, match

    def queries(self, points: np.ndarray, image_key: str) -> list[Query]:
        """The P * R queries of P points (x, y) in pixels of their image; the restarts of a point are neighbors."""
        return [
            Query(image_key, x, y, restart)
            for x, y in np.asarray(points, dtype=np.float64).tolist()
            for restart in range(self.settings.restarts)
        ]

    def optimize(self, image: Image.Image, points: np.ndarray, image_key: str) -> Tensor:
        """Embeddings whose attention is at the points.

        Args:
            image: the source image.
            points: (P, 2) query points (x, y) in pixels of that image.
            image_key: its key; with the points, it names the random draws.

        Returns:
            (P, R, T, D) float32 on the backbone's device.
        """
        pixels = image_to_tensor(image, self.backbone.image_size)
        queries = self.queries(points, image_key)
        picture = picture_digest(pixels)
        known = self._store.load(image_key, picture, queries) if self._store else {}
        wanted = [query for query in queries if query not in known]
        if wanted:
            found = self._batches.run(
                len(wanted), lambda rows: self.solve(*self._problem(pixels, image.size, wanted[rows]))
            )
            if self._store:
                self._store.save(image_key, picture, wanted, found)
            known |= dict(zip(wanted, found, strict=True))
        embeddings = torch.stack([known[query].to(self.backbone.device) for query in queries])
        return embeddings.unflatten(0, (len(points), -1))

    def problem(self, image: Image.Image, points: np.ndarray, image_key: str) -> tuple[PromptOptimization, RandomCrops]:
        """What `optimize` solves, as one batch, for other ways to look at it (a notebook, a test).

        Args:
            image, points, image_key: as for `optimize`.

        Returns:
            The module and its steps.
        """
        pixels = image_to_tensor(image, self.backbone.image_size)
        return self._problem(pixels, image.size, self.queries(points, image_key))

    def _problem(
        self, pixels: Tensor, size: tuple[int, int], queries: Sequence[Query]
    ) -> tuple[PromptOptimization, RandomCrops]:
        """The optimization of some queries of a source image: (3, S, S) pixels, of original size (W, H)."""
        backbone, settings = self.backbone, self.settings
        crops = Crops(self._latents, pixels[None], optimization_side(settings, backbone.image_size))
        scale = backbone.image_size / torch.tensor(size, dtype=torch.float64)  # (W, H) -> (S, S)
        points = torch.tensor([(query.x, query.y) for query in queries], dtype=torch.float64) * scale
        start = self.draws.embeddings(queries, backbone.tokens, backbone.width).to(backbone.device)
        if settings.probe:
            reading = self._reader.read(queries[0].image, crops, settings.timestep)
            module = ProbeOptimization(backbone, start, settings, reading)
            return module, PooledCrops(reading, crops, points, queries, settings, self.draws)
        module = PromptOptimization(backbone, start, settings)
        return module, RandomCrops(crops, points, queries, settings, self.draws)

    def transfer(
        self, image: Image.Image, embeddings: Tensor, points: np.ndarray, source_key: str, target_key: str
    ) -> Tensor:
        """Where the embeddings attend in a target image.

        Args:
            image: the target image.
            embeddings: (P, R, T, D), as `optimize` gives them.
            points: (P, 2) the query points; they, the keys and the restart's number name the random draws.
            source_key: key of the source image.
            target_key: key of the target image.

        Returns:
            (P, L, S, S), mean over heads, crops and restarts, in the frame of the squashed S x S target.
        """
        picture = image_to_tensor(image, self.backbone.image_size)
        queries = self.queries(points, source_key)
        return self._transfer([picture], [target_key], [range(len(points))], embeddings, queries)[0]

    def source_maps(self, image: Image.Image, embeddings: Tensor, points: np.ndarray, image_key: str) -> Tensor:
        """Where the embeddings attend in the image that they were optimized on, read on the whole image at once.

        Args:
            image, points, image_key: as for `optimize`.
            embeddings: (P, R, T, D), as `optimize` gives them.

        Returns:
            (P, L, S, S), mean over heads and restarts, in the frame of the squashed S x S image.
        """
        picture = image_to_tensor(image, self.backbone.image_size)
        queries = self.queries(points, image_key)
        whole = replace(self.settings, transfer_crops=1)
        return self._transfer([picture], [image_key], [range(len(points))], embeddings, queries, whole)[0]

    @property
    def map_names(self) -> tuple[str, ...]:
        """What the maps of a match are called: the layers that are read at a target, and all combined."""
        return (*self._target_backbone.layers, COMBINED)

    def localize(self, maps: Tensor, size: tuple[int, int]) -> Match:
        """Points from maps.

        Args:
            maps: (P, L, S, S), as `transfer` gives them.
            size: (W, H) of the original target image.

        Returns:
            P points in pixels of the original target image; the confidence is the share of the map's mass above its
            mean that lies near the point.
        """
        settings = self.settings
        combined = combine_layers(maps, settings.combination)
        if settings.localization == "argmax":
            points = argmax(combined)
        else:
            points = soft_argmax(combined, settings.window)
        scores = confidence(maps.mean(1), points, 2 * settings.sigma)
        scale = np.array(size) / self.backbone.image_size
        return Match(points.cpu().double().numpy() * scale, scores.cpu().double().numpy())

    def _transfer(
        self,
        images: Sequence[Tensor],
        keys: Sequence[str],
        asked: Sequence[Sequence[int]],
        embeddings: Tensor,
        queries: Sequence[Query],
        settings: PromptSettings | None = None,
    ) -> list[Tensor]:
        """Several targets in one batch: for each the maps of the points that it asks for, (points, L, S, S)."""
        settings = settings or self.settings
        if settings.probe:
            side = transfer_side(settings, self.backbone.image_size)
            readings = [
                self._target_reader.read(key, Crops(self._latents, image[None], side), settings.transfer_timestep)
                for key, image in zip(keys, images, strict=True)
            ]
            return [
                read_out(self._target_backbone, reading, embeddings[list(points)], settings)
                for reading, points in zip(readings, asked, strict=True)
            ]
        restarts = embeddings.shape[1]
        rows = [
            (image, point * restarts + restart)
            for image, points in enumerate(asked)
            for point in points
            for restart in range(restarts)
        ]
        maps = transfer(
            self._target_backbone,
            self._latents,
            torch.stack(tuple(images)),
            [image for image, _ in rows],
            embeddings.flatten(0, 1)[[query for _, query in rows]],
            [queries[query]._replace(target=keys[image]) for image, query in rows],
            settings,
            self.draws,
            self._batches,
        )
        return list(maps.unflatten(0, (-1, restarts)).mean(1).split([len(points) for points in asked]))

    def _small(self, maps: Tensor) -> np.ndarray:
        return shrink(maps, self.settings, self._map_cells).numpy()

    def _bytes_per_query(self) -> int:
        """Memory that one query takes while it is optimized; at transfer it takes less."""
        backbone, settings = self.backbone, self.settings
        shape = (1, backbone.latent_channels, backbone.latent_size, backbone.latent_size)
        embedding = torch.zeros(1, backbone.tokens, backbone.width, device=backbone.device, requires_grad=True)
        latents = torch.zeros(shape, device=backbone.device)
        if settings.probe:
            queries = backbone.attention_queries(latents, settings.timestep, embedding, heads=settings.heads)
            return saved_bytes(
                lambda: backbone.attend(queries, embedding, heads=settings.heads), ignore=backbone.parameters()
            )
        return saved_bytes(
            lambda: backbone.attention_maps(latents, settings.timestep, embedding, heads=settings.heads),
            ignore=backbone.parameters(),
        )

    def _groups(self, targets: Sequence[Target]) -> Iterator[list[Target]]:
        """Consecutive targets whose maps fit into the budget together; one at least."""
        size = self.backbone.image_size
        per_point = self.settings.restarts * len(self._target_backbone.layers) * size**2
        group: list[Target] = []
        for target in targets:
            if group and sum(len(t.points) for t in [*group, target]) * per_point > _MAP_BUDGET:
                yield group
                group = []
            group.append(target)
        yield group


def _check_fit(settings: PromptSettings, backbone: FrozenDiffusion) -> None:
    """Raise UserError if the settings ask for what the backbone has not."""
    last = {
        "token": backbone.tokens - 1,
        "timestep": len(backbone.alphas_cumprod) - 1,
        "transfer_timestep": len(backbone.alphas_cumprod) - 1,
    }
    for name, greatest in last.items():
        if getattr(settings, name) > greatest:
            raise UserError(f"method.{name}={getattr(settings, name)} is not in this model: give 0 to {greatest}.")
    if crop_side(backbone.image_size, settings.crop) < 1:
        raise UserError(
            f"method.crop={settings.crop} of {backbone.image_size} pixels is less than one: give a greater share."
        )
