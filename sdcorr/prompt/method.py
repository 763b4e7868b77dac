"""The method in three verbs: optimize embeddings at points of an image, transfer them to another, localize points."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from lightning import Callback
from PIL import Image
from torch import Tensor

from sdcorr.datasets.base import Match
from sdcorr.diffusion import FrozenModel
from sdcorr.images import check_points, image_to_tensor
from sdcorr.prompt.crops import Crops
from sdcorr.prompt.localize import COMBINED, argmax, combine_layers, confidence, soft_argmax
from sdcorr.prompt.module import PromptOptimization, RandomCrops, fit, run
from sdcorr.prompt.randomness import Draws, Query
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.transfer import transfer


class PromptMatcher:
    """Finds the points of one image in others by prompt embeddings that are optimized on these points.

    It computes plainly: a crop is encoded whenever it is looked at, and all queries go through the network at once.
    `sdcorr.prompt.speed.FastMatcher` gives the same sooner; it alone heeds plateau, crop_pool and queries_per_batch.
    """

    def __init__(
        self, backbone: FrozenModel, settings: PromptSettings, dataset: str, reader: FrozenModel | None = None
    ) -> None:
        """
        Args:
            backbone: the frozen diffusion model.
            settings: of the method; those that this model cannot follow are a UserError.
            dataset: its name; with the images' keys, it names the random draws.
            reader: the same model with other layers, to be read at transfer; by default those of `backbone`.
        """
        settings.check_fit(backbone)
        self.backbone, self.reader, self.settings = backbone, reader or backbone, settings
        self.draws = Draws(settings.seed, dataset, settings.noise, settings.shared_draws)

    def optimize(
        self, image: Image.Image, points: np.ndarray, key: str, callbacks: Sequence[Callback] = (), strict: bool = True
    ) -> Tensor:
        """Embeddings whose attention is at the points.

        Args:
            image: the source image.
            points: (P, 2) query points (x, y) in pixels of that image.
            key: of the image; with the points, it names the random draws.
            callbacks: Lightning callbacks that look on: with any, the module is fitted by a Trainer; with none by the
                light loop, to the same embeddings.
            strict: refuse points outside the image; a benchmark's annotations may have some.

        Returns:
            (P, R, T, D) float32 on the backbone's device.

        Raises:
            UserError: if a point is not in the image, or if a loss or an embedding is NaN or infinite.
        """
        check_points(points, image.size, outside=not strict)
        pixels = image_to_tensor(image, self.backbone.image_size)

        def solve(queries: Sequence[Query]) -> Tensor:
            module, crops = self._problem(pixels, image.size, queries)
            return fit(module, crops, callbacks) if callbacks else run(module, crops)

        return self._solve(pixels, self.queries(points, key), solve).unflatten(0, (len(points), -1))

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
            (P, L, S, S) in the frame of the squashed S x S target, means over heads, crops and restarts; never NaN.
        """
        pixels = image_to_tensor(image, self.backbone.image_size)
        queries = self.queries(points, source_key, embeddings.shape[1])
        return self._transfer(pixels, target_key, embeddings, queries, self.settings)

    def localize(self, maps: Tensor, size: tuple[int, int], near: Tensor | None = None) -> Match:
        """Points from maps.

        Args:
            maps: (P, L, S, S), as `transfer` gives them.
            size: (W, H) of the original target image.
            near: (P, S, S) bool, the pixels among which each map's maximum is looked for; all by default.

        Returns:
            P points in pixels of the original target image; the confidence, see `confidence`.
        """
        settings = self.settings
        combined = combine_layers(maps, settings.combination)  # (P, S, S)
        points = argmax(combined if near is None else combined.masked_fill(~near, -torch.inf))
        if settings.localization == "soft_argmax":
            points = soft_argmax(combined, settings.window, points)
        scores = confidence(maps.mean(1), points, 2 * settings.sigma)
        scale = np.array(size) / self.backbone.image_size
        return Match(points.cpu().double().numpy() * scale, scores.cpu().double().numpy())

    def problem(self, image: Image.Image, points: np.ndarray, key: str) -> tuple[PromptOptimization, RandomCrops]:
        """What `optimize` solves, for other ways to look at it; the arguments are the same."""
        pixels = image_to_tensor(image, self.backbone.image_size)
        return self._problem(pixels, image.size, self.queries(points, key))

    def source_maps(self, image: Image.Image, embeddings: Tensor, points: np.ndarray, key: str) -> Tensor:
        """As `transfer` to the image that the embeddings were optimized on, read whole instead of in crops."""
        pixels, whole = image_to_tensor(image, self.backbone.image_size), replace(self.settings, transfer_crops=1)
        return self._transfer(pixels, key, embeddings, self.queries(points, key, embeddings.shape[1]), whole)

    def queries(self, points: np.ndarray, key: str, restarts: int | None = None) -> list[Query]:
        """The P * R queries of P points (x, y) in pixels of their image; the restarts of a point are neighbors."""
        return [
            Query(key, x, y, restart)
            for x, y in np.asarray(points, dtype=np.float64).tolist()
            for restart in range(restarts or self.settings.restarts)
        ]

    @property
    def map_names(self) -> tuple[str, ...]:
        """What the maps of a match are called: the layers that are read at a target, and all combined."""
        return (*self.reader.layers, COMBINED)

    # What follows is done in faster ways by `sdcorr.prompt.speed`.

    def _solve(self, pixels: Tensor, queries: Sequence[Query], solve: Callable[[Sequence[Query]], Tensor]) -> Tensor:
        """Embeddings (Q, T, D) of queries of a source image, (3, S, S), whose problems `solve` solves."""
        return solve(queries)

    def _problem(
        self, pixels: Tensor, size: tuple[int, int], queries: Sequence[Query]
    ) -> tuple[PromptOptimization, RandomCrops]:
        """The optimization of some queries of a source image: (3, S, S) pixels, of original size (W, H)."""
        backbone = self.backbone
        crops = self._crops(pixels[None], self.settings.optimize_side(backbone.image_size))
        scale = backbone.image_size / torch.tensor(size, dtype=torch.float64)  # (W, H) -> (S, S)
        points = torch.tensor([(query.x, query.y) for query in queries], dtype=torch.float64) * scale
        start = self.draws.embeddings(queries, backbone.tokens, backbone.width).to(backbone.device)
        return self._optimization(start, crops, points, queries)

    def _optimization(
        self, start: Tensor, crops: Crops, points: Tensor, queries: Sequence[Query]
    ) -> tuple[PromptOptimization, RandomCrops]:
        """From (Q, T, D) embeddings, for (Q, 2) points in pixels of the S x S image."""
        steps = RandomCrops(crops, points, queries, self.settings, self.draws)
        return PromptOptimization(self.backbone, start, self.settings), steps

    def _crops(self, images: Tensor, side: int) -> Crops:
        return Crops(self.backbone, images, side)

    def _transfer(
        self, pixels: Tensor, key: str, embeddings: Tensor, queries: Sequence[Query], settings: PromptSettings
    ) -> Tensor:
        """(P, R, T, D) embeddings to a target of (3, S, S) pixels: (P, L, S, S)."""
        crops = self._crops(pixels[None], settings.transfer_side(self.backbone.image_size))
        asked = [query._replace(target=key) for query in queries]
        image_of = torch.zeros(len(asked), dtype=torch.int64)
        maps = transfer(self.reader, crops, image_of, embeddings.flatten(0, 1), asked, settings, self.draws)
        return maps.unflatten(0, (len(embeddings), -1)).mean(1)
