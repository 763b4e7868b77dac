"""Attention queries that are read once: the method without the UNet in its loop.

What attends in cross-attention are the attention queries of the picture's positions; what is optimized only makes the
keys that they meet. The released code lets the embedding change the picture's side too, through all the layers before
the one that is read, and pays a forward and a backward pass of the UNet a step for it. Here a picture is read once: the
attention queries of a pool of crops, under an embedding of zeros. Embeddings are then optimized against these, with the
same loss and optimizer, and read out at the target's, so that a picture costs some forward passes however many points,
restarts, steps and pairs it is part of. Not the released method, and not in the paper.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sdcorr.diffusion import FrozenModel
from sdcorr.finite import check_finite
from sdcorr.prompt.crops import Crops
from sdcorr.prompt.module import CropBatch, RandomCrops
from sdcorr.prompt.randomness import Draws, Query
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.speed.fast import FastMatcher, TargetMaps, Wanted
from sdcorr.prompt.speed.plateau import StoppingOptimization
from sdcorr.prompt.speed.pool import CropPool
from sdcorr.prompt.transfer import MapCanvas

_READINGS_BYTES = 2**32  # of attention queries; 16 crops of Stable Diffusion 1.x are 100 MB
_CROPS_AT_ONCE = 16  # that go through the UNet together
_RESTART_CELLS = 64  # a side of the grid that the restarts' own peaks are looked for on


@dataclass(frozen=True)
class ReadOnceSettings(PromptSettings):
    """The method's settings; `adaptive_crops` has no effect, and of `transfer_crops` only whether it is 1.

    Raises:
        UserError: if a value is not legal.
    """

    crop_pool: int = 4  # crops per axis: 16 of every picture

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("crop_pool", self.crop_pool > 0, "4, say: it is the crops of a pool that are read once")
        self._check("flip", self.flip == 0, "0: crops that are read once are not mirrored")


@dataclass(frozen=True)
class Reading:
    """A picture, read once."""

    starts: Tensor  # (N, 2) int64 on the CPU, corners (x, y) of its crops in pixels of the S x S picture
    side: int  # of the crops, in pixels
    queries: tuple[Tensor, ...]  # for each layer (N, heads, h_l * w_l, d), the attention queries of each crop


class PictureReader:
    """Reads pictures, each once: the least recently used readings are forgotten when there are too many."""

    def __init__(
        self, backbone: FrozenModel, settings: PromptSettings, draws: Draws, budget: int = _READINGS_BYTES
    ) -> None:
        """
        Args:
            backbone: the model, with the layers that are read.
            settings: of the method.
            draws: random numbers: one noise a crop.
            budget: bytes of attention queries to keep on the model's device.
        """
        self._backbone, self._settings, self._draws, self._budget = backbone, settings, draws, budget
        self._readings: OrderedDict[tuple[str | int, ...], Reading] = OrderedDict()

    def read(self, key: str, crops: CropPool, timestep: int) -> Reading:
        """The reading of a picture.

        Args:
            key: names the picture, and the noise of its crops.
            crops: of that picture alone.
            timestep: noise level.

        Raises:
            UserError: if an attention query is NaN or infinite; the reading is not kept.
        """
        name = (*crops.pictures, key, crops.side, timestep)
        if name not in self._readings:
            self._readings[name] = self._read(key, crops, timestep)
            while len(self._readings) > 1 and sum(map(_bytes, self._readings.values())) > self._budget:
                self._readings.popitem(last=False)
        self._readings.move_to_end(name)
        return self._readings[name]

    def _read(self, key: str, crops: CropPool, timestep: int) -> Reading:
        backbone = self._backbone
        crops.keys = [key]
        starts = torch.cartesian_prod(crops.positions, crops.positions)  # (N, 2)
        boxes = F.pad(starts, (1, 1))  # image 0, x, y, not mirrored
        owner = [Query(key, 0.0, 0.0, 0)]
        parts = []
        for some in torch.arange(len(boxes)).split(_CROPS_AT_ONCE):
            latents = crops.latents(boxes[some])
            noise = torch.cat([self._draws.noise(owner, crop, crops.latent_shape) for crop in some.tolist()])
            noisy = backbone.add_noise(latents, noise.to(latents.device), timestep)
            zeros = torch.zeros(len(some), backbone.tokens, backbone.width, device=backbone.device)
            parts.append(backbone.attention_queries(noisy, timestep, zeros, heads=self._settings.heads))
        queries = tuple(torch.cat(layer) for layer in zip(*parts, strict=True))
        check_finite(queries, f"The attention queries of {key} are", backbone.precision, key)
        return Reading(starts, crops.side, queries)


class ReadCrops(RandomCrops):
    """The steps of an optimization on crops that were read.

    Item i holds `numbers`, (Q,) int64, which of a reading's crops each query sees, in place of latents and noise.
    """

    def __init__(
        self, crops: CropPool, points: Tensor, queries: Sequence[Query], settings: PromptSettings, draws: Draws
    ) -> None:
        """As `RandomCrops`."""
        super().__init__(crops, points, queries, settings, draws)
        x, y = torch.searchsorted(crops.positions, self.boxes[..., 1:3].contiguous()).unbind(-1)  # (steps, Q) each
        self._numbers = (x * crops.places + y).to(crops.device)  # the order of a reading

    def __getitem__(self, step: int) -> CropBatch:
        batch = {"numbers": self._numbers[step], "centers": self.centers[step], "boxes": self.boxes[step]}
        return cast(CropBatch, batch)


class ReadOnceOptimization(StoppingOptimization):
    """The embeddings of one source picture's queries, optimized against attention queries that stay as they are."""

    def __init__(self, backbone: FrozenModel, start: Tensor, settings: PromptSettings, reading: Reading) -> None:
        """As `PromptOptimization`, with the reading of the source picture."""
        super().__init__(backbone, start, settings)
        self._reading = reading

    def maps(self, batch: CropBatch, embeddings: Tensor) -> list[Tensor]:
        """The maps that enter the loss, for each layer (Q, heads, h_l, w_l), of (Q, T, D) embeddings."""
        numbers = cast(dict[str, Tensor], batch)["numbers"]
        queries = [layer[numbers] for layer in self._reading.queries]
        return self.backbone.attend(queries, embeddings, token=self.settings.token, heads=self.settings.heads)


class ReadOnceMatcher(FastMatcher):
    """Finds the points of one image in others, like `PromptMatcher`, but reads every picture once."""

    def __init__(
        self,
        backbone: FrozenModel,
        settings: ReadOnceSettings,
        dataset: str,
        reader: FrozenModel | None = None,
    ) -> None:
        """As `PromptMatcher`. Embeddings are not stored: they take less time to make than to find."""
        super().__init__(backbone, settings, dataset, reader)
        self._source_reader = PictureReader(backbone, settings, self.draws)
        self._target_reader = PictureReader(reader, settings, self.draws) if reader else self._source_reader

    def transfer_to_all(
        self, targets: Sequence[Wanted], embeddings: Tensor, points: np.ndarray, source_key: str
    ) -> Iterator[TargetMaps]:
        """As `FastMatcher.transfer_to_all`, one target after the other."""
        for target in targets:
            yield self._read_out(target.pixels, target.key, embeddings[list(target.points)], self.settings)

    def _crops(self, images: Tensor, side: int) -> CropPool:
        return CropPool(self._latents, images, side, self.settings.crop_pool)

    def _optimization(
        self, start: Tensor, crops: Crops, points: Tensor, queries: Sequence[Query]
    ) -> tuple[ReadOnceOptimization, ReadCrops]:
        pool = cast(CropPool, crops)  # as `_crops` makes them
        reading = self._source_reader.read(queries[0].image, pool, self.settings.timestep)
        module = ReadOnceOptimization(self.backbone, start, self.settings, reading)
        return module, ReadCrops(pool, points, queries, self.settings, self.draws)

    def _transfer(
        self, pixels: Tensor, key: str, embeddings: Tensor, queries: Sequence[Query], settings: PromptSettings
    ) -> Tensor:
        return self._read_out(pixels, key, embeddings, settings).maps

    def _read_out(self, pixels: Tensor, key: str, embeddings: Tensor, settings: PromptSettings) -> TargetMaps:
        crops = self._crops(pixels[None], settings.transfer_side(self.backbone.image_size))
        reading = self._target_reader.read(key, crops, settings.transfer_timestep)
        return read_out(self.reader, reading, embeddings, settings, key)

    def _maps_of(self, latents: Tensor, embedding: Tensor) -> Callable[[], object]:
        backbone, settings = self.backbone, self.settings
        queries = backbone.attention_queries(latents, settings.timestep, embedding, heads=settings.heads)
        return partial(backbone.attend, queries, embedding, heads=settings.heads)


@torch.no_grad()
def read_out(
    backbone: FrozenModel, reading: Reading, embeddings: Tensor, settings: PromptSettings, key: str | None = None
) -> TargetMaps:
    """Maps of embeddings on a target that was read, averaged over its crops.

    The restarts' own maps are made on a coarse grid only, for their peaks.

    Args:
        backbone: the frozen model.
        reading: of the target.
        embeddings: (P, R, T, D), R restarts a point.
        settings: of the method.
        key: of the target, for messages.

    Returns:
        What is seen of the P points.
    """
    points, restarts = embeddings.shape[:2]
    canvas = MapCanvas(points, len(backbone.layers), backbone.image_size, backbone.device)
    coarse = max(1, backbone.image_size // _RESTART_CELLS)  # pixels in a cell
    alone = MapCanvas(points * restarts, 1, backbone.image_size // coarse, backbone.device)
    for number, start in enumerate(reading.starts):
        queries = [layer[number : number + 1] for layer in reading.queries]
        maps = backbone.attend(queries, embeddings.flatten(0, 1), token=settings.token, heads=settings.heads)
        of_points = [m.mean(1, keepdim=True).unflatten(0, (points, restarts)).mean(1) for m in maps]  # (P, 1, h, w)
        canvas.paste(of_points, start.expand(points, 2), reading.side)
        corner = (start // coarse).expand(points * restarts, 2)
        alone.paste([_mean_of_layers(maps)], corner, reading.side // coarse)
    mean = canvas.mean([key] * points, backbone.precision)
    return TargetMaps(mean, alone.peaks().unflatten(0, (points, restarts)) * coarse)


def _mean_of_layers(maps: Sequence[Tensor]) -> Tensor:
    """Of each layer's maps (Q, heads, h_l, w_l) the mean over heads and layers, on the finest grid: (Q, 1, h, w)."""
    shape = max(tuple(layer.shape[-2:]) for layer in maps)
    means = [F.interpolate(layer.mean(1, keepdim=True), shape, mode="bilinear") for layer in maps]
    return torch.stack(means).mean(0)


def _bytes(reading: Reading) -> int:
    return sum(layer.numel() * layer.element_size() for layer in reading.queries)
