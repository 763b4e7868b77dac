"""The computation as released (Hedlin et al. 2023), with each of the library's savings as a switch.

Written from its description, for comparison only. It takes the library's random draws, so that its answer equals the
library's up to rounding. Otherwise it shares only what costs nothing: the places of the crops, the target Gaussian, and
reading a point off the maps.

As released, the following is repeated for every pair and every query point. Each random start is optimized separately;
at every step a new crop goes through the VAE and through the whole UNet, every attention layer forms its matrix, and
the maps that are read are resized head by head to the size of the image, where the loss is computed. The same, without
the loss, is done for every crop of the target. All of it is in IEEE float32, and so is the library that it is compared
with, while torch by default lets convolutions on a GPU round to TensorFloat-32.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from explicit import MapReader
from measure import Work
from PIL import Image
from problem import Answer
from torch import Tensor, nn

from sdcorr.datasets.base import ImageReader, SourceUnit
from sdcorr.diffusion import FrozenDiffusion
from sdcorr.diffusion.precision import Float32Mode
from sdcorr.images import image_to_tensor
from sdcorr.prompt import PromptMatcher
from sdcorr.prompt.crops import crop_images, points_in_crops, start_bounds
from sdcorr.prompt.objective import gaussian_target, map_loss
from sdcorr.prompt.randomness import Query
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.speed.memory import QueryBatches
from sdcorr.prompt.transfer import MapCanvas

_CORNERS = torch.tensor([(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)])  # where a target's first crops are pushed
_CROPS_AT_ONCE = 8  # through the VAE


@dataclass(frozen=True)
class Savings:
    """What is computed more cheaply than as released; the fields are in the order in which the benchmark adds them."""

    truncate: bool = False  # the UNet stops after the last map that is read
    fused: bool = False  # attention without forming its matrix, but for the maps that are read
    native_maps: bool = False  # loss on the maps' own grids; heads averaged before their maps are resized
    encode_once: bool = False  # crops of a picture that recur while a point is worked on are encoded once
    once_per_source: bool = False  # embeddings serve all targets
    shared_latents: bool = False  # latents of crops outlive the work on a point
    one_batch: bool = False  # all queries go through the network together


@dataclass(frozen=True)
class Visit:
    """Points that are optimized together, and the targets to which their embeddings are then transferred."""

    points: tuple[int, ...]
    targets: tuple[int, ...]


class Released:
    """Matches points as `PromptMatcher` does, by the computation as released with some savings.

    The model's attention processors are replaced, so do not use it elsewhere afterwards.

    Args:
        backbone: loaded with truncate=False unless the savings truncate.
        settings: of the method; those that the released code does not have must be off.
        dataset: seeds the random draws, together with the keys of the pictures.
        savings: the switches.
        work: counts what the network does.
    """

    def __init__(
        self, backbone: FrozenDiffusion, settings: PromptSettings, dataset: str, savings: Savings, work: Work
    ) -> None:
        if settings.crop_pool or settings.plateau or not settings.adaptive_crops:
            raise ValueError("crop_pool, plateau and crops that do not adapt are not part of the released code")
        self.backbone, self.settings, self.savings, self.work = backbone, settings, savings, work
        self._library = PromptMatcher(backbone, settings, dataset)  # for its draws and its localization
        limit = settings.queries_per_batch if savings.one_batch else 1
        self._batches = QueryBatches(limit, device=backbone.device)
        self._latents: dict[tuple, Tensor] = {}
        self._maps = MapReader(backbone, settings, explicit=not savings.fused, stop=savings.truncate)

    def visits(self, unit: SourceUnit) -> list[Visit]:
        """List the whole work in equal parts: one target and one point each, unless the savings join them."""
        points, targets = range(len(unit.points)), tuple(range(len(unit.targets)))
        if self.savings.one_batch and self.savings.once_per_source:
            return [Visit(tuple(points), targets)]
        if self.savings.once_per_source:
            return [Visit((point,), targets) for point in points]
        if self.savings.one_batch:
            return [Visit(tuple(points), (target,)) for target in targets]
        return [Visit((point,), (target,)) for target in targets for point in points]

    def match(self, unit: SourceUnit, image: ImageReader, visits: Sequence[Visit]) -> Answer:
        """Do some of the visits.

        Args:
            unit: a source image, its points and its targets, all of which must ask for all points.
            image: reads an image by its key.
            visits: of `visits(unit)`.
        """
        embeddings, maps, places = {}, {}, {}
        for visit in visits:
            if not self.savings.shared_latents:
                self._latents.clear()
            with Float32Mode("fp32"):
                found = self._optimize(image(unit.source), unit, visit.points)  # (P, R, T, D)
                keys = [unit.targets[target].pair.target for target in visit.targets]
                found_maps = self._transfer([image(key) for key in keys], keys, unit, visit.points, found)
            for row, point in enumerate(visit.points):
                serves = "" if self.savings.once_per_source else keys[0]
                embeddings[serves, point] = found[row].cpu()
            for key, of_points in zip(keys, found_maps, strict=True):  # (P, L, S, S)
                matches = torch.tensor(self._library.localize(of_points, image(key).size).points)
                maps |= {
                    (key, point): layers.mean(0).cpu() for point, layers in zip(visit.points, of_points, strict=True)
                }
                places |= {(key, point): place for point, place in zip(visit.points, matches, strict=True)}
        return Answer(embeddings, maps, places)

    def _optimize(self, image: Image.Image, unit: SourceUnit, points: Sequence[int]) -> Tensor:
        """Optimize the embeddings of some points, (P, R, T, D)."""
        pixels = image_to_tensor(image, self.backbone.image_size).to(self.backbone.device)
        queries = self._library.queries(unit.points[list(points)], unit.source)
        scale = self.backbone.image_size / torch.tensor(image.size, dtype=torch.float64)
        found = self._batches.run(
            len(queries), lambda rows: self._optimize_batch(pixels, unit.source, queries[rows], scale)
        )
        return found.unflatten(0, (len(points), -1))

    def _optimize_batch(self, pixels: Tensor, key: str, queries: Sequence[Query], scale: Tensor) -> Tensor:
        """Optimize queries of one picture, (Q, T, D); `scale` converts its pixels to those of the S x S picture."""
        backbone, settings, draws = self.backbone, self.settings, self._library.draws
        size, side = backbone.image_size, settings.optimize_side(backbone.image_size)
        points = torch.tensor([(query.x, query.y) for query in queries], dtype=torch.float64) * scale
        embeddings = nn.Parameter(draws.embeddings(queries, backbone.tokens, backbone.width).to(backbone.device))
        adam = torch.optim.Adam([embeddings], lr=settings.learning_rate, eps=settings.adam_eps)
        shape = (backbone.latent_channels, backbone.latent_size, backbone.latent_size)
        for step in range(settings.steps):
            starts = self._crop_starts(queries, step, points, side)  # (Q, 2)
            flips = draws.flips(queries, step, settings.flip)
            centers = points_in_crops(points, starts, side, size, flips).float().to(backbone.device)
            latents = self._encode([pixels] * len(queries), [key] * len(queries), starts, flips, side)
            noise = draws.noise(queries, step, shape).to(backbone.device)
            noisy = backbone.add_noise(latents, noise, settings.timestep)
            maps = self._maps.read(noisy, settings.timestep, embeddings)
            losses = map_loss if self.savings.native_maps else full_size_loss
            adam.zero_grad()
            losses(maps, centers, size, settings.sigma).sum().backward()
            adam.step()
            self.work.add("steps", len(queries))
        return embeddings.detach()

    @torch.no_grad()
    def _transfer(
        self,
        images: Sequence[Image.Image],
        keys: Sequence[str],
        unit: SourceUnit,
        points: Sequence[int],
        embeddings: Tensor,
    ) -> Tensor:
        """Read the maps of some points on some targets, (targets, P, L, S, S)."""
        restarts = embeddings.shape[1]
        asked = self._library.queries(unit.points[list(points)], unit.source)
        queries = [query._replace(target=key) for key in keys for query in asked]
        squares = [image_to_tensor(image, self.backbone.image_size).to(self.backbone.device) for image in images]
        pixels = [square for square in squares for _ in asked]
        rows = embeddings.flatten(0, 1).repeat(len(keys), 1, 1)
        maps = self._batches.run(
            len(queries), lambda batch: self._transfer_batch(pixels[batch], queries[batch], rows[batch])
        )
        return maps.unflatten(0, (len(keys), len(points), restarts)).mean(2)

    def _transfer_batch(self, pixels: Sequence[Tensor], queries: Sequence[Query], embeddings: Tensor) -> Tensor:
        """Read the maps of embeddings on crops of their targets, (Q, L, S, S)."""
        backbone, settings, draws = self.backbone, self.settings, self._library.draws
        size, side = backbone.image_size, settings.transfer_side(backbone.image_size)
        canvas: MapCanvas | None = None
        shape = (backbone.latent_channels, backbone.latent_size, backbone.latent_size)
        for number in range(settings.transfer_crops):
            if number < len(_CORNERS):
                round_these = (_CORNERS[number] * size).expand(len(queries), 2)
            else:
                round_these = canvas.peaks().cpu()
            starts = self._crop_starts(queries, number, round_these, side)
            keys = [query.target for query in queries]
            latents = self._encode(pixels, keys, starts, torch.zeros(len(queries), dtype=torch.bool), side)
            noise = draws.noise(queries, number, shape).to(backbone.device)
            noisy = backbone.add_noise(latents, noise, settings.transfer_timestep)
            maps = self._maps.read(noisy, settings.transfer_timestep, embeddings)
            heads = [1 if self.savings.native_maps else layer.shape[1] for layer in maps]
            if not self.savings.native_maps:  # every head has its own canvas
                maps = [head for layer in maps for head in layer.split(1, dim=1)]
            canvas = canvas or MapCanvas(len(queries), len(maps), size, backbone.device)
            canvas.paste(maps, starts, side)
            self.work.add("crops", len(queries))
        return torch.stack([layer.mean(1) for layer in canvas.mean().split(heads, dim=1)], 1)

    def _crop_starts(self, queries: Sequence[Query], step: int, points: Tensor, side: int) -> Tensor:
        """Draw corners (Q, 2) of crops that contain the points (Q, 2) with a margin, in pixels of the S x S picture."""
        size = self.backbone.image_size
        low, high = start_bounds(points, size, side, self.settings.crop_margin)
        return self._library.draws.crop_starts(queries, step, low, high, size - side + 1)

    def _encode(
        self, pixels: Sequence[Tensor], keys: Sequence[str], starts: Tensor, flips: Tensor, side: int
    ) -> Tensor:
        """Encode one crop for each query, (Q, C, h, w)."""
        crops = [(key, *start, flip) for key, start, flip in zip(keys, starts.tolist(), flips.tolist(), strict=True)]
        if not self.savings.encode_once:
            return torch.cat([self._encode_crops([pixels[row]], [crop], side) for row, crop in enumerate(crops)])
        missing = {crop: row for row, crop in enumerate(crops) if crop not in self._latents}
        for first in range(0, len(missing), _CROPS_AT_ONCE):
            some = list(missing)[first : first + _CROPS_AT_ONCE]
            latents = self._encode_crops([pixels[missing[crop]] for crop in some], some, side)
            self._latents |= dict(zip(some, latents, strict=True))
        return torch.stack([self._latents[crop] for crop in crops])

    def _encode_crops(self, pixels: Sequence[Tensor], crops: Sequence[tuple], side: int) -> Tensor:
        boxes = torch.tensor([(index, x, y, flip) for index, (_, x, y, flip) in enumerate(crops)])
        self.work.add("encodes", len(crops))
        return self.backbone.encode(crop_images(torch.stack(tuple(pixels)), boxes, side))


def full_size_loss(maps: Sequence[Tensor], centers: Tensor, size: int, sigma: float) -> Tensor:
    """Compute `sdcorr.prompt.objective.map_loss` on S x S maps: resize every head, then compare their mean.

    Args:
        maps: for each layer (Q, heads, g, g).
        centers: (Q, 2) points (x, y) in pixels of the S x S crop.
        size: S.
        sigma: width of the Gaussian in pixels.

    Returns:
        (Q,), mean squared error over layers and pixels.
    """
    target = gaussian_target(centers, size, sigma)  # (Q, S, S)
    losses = []
    for layer in maps:
        resized = F.interpolate(layer, size=(size, size), mode="bilinear", align_corners=False)  # (Q, heads, S, S)
        losses.append((resized.mean(1) - target).square().mean((1, 2)))
    return torch.stack(losses).mean(0)
