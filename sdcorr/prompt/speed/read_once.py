"""The probe: the method without the UNet in its loop.

What attends in cross-attention are the attention queries of the picture's positions; what is optimized only makes the
keys that they meet. The released code lets the embedding change the picture's side too, through all the layers before
the one that is read, and pays a forward and a backward pass of the UNet a step for it. The probe reads a picture once:
the attention queries of a pool of crops, under an empty prompt. Embeddings are then optimized against these, with the
same loss and optimizer, and read out at the target's, so that a picture costs some forward passes however many points,
restarts, steps and pairs it is part of. Not the released method, and not in the paper.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.prompt.crops import Crops, crop_positions
from sdcorr.prompt.module import CropBatch, PromptOptimization, RandomCrops
from sdcorr.prompt.randomness import Draws, Query
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.transfer import MapCanvas

_READINGS_BYTES = 2**32  # of attention queries; 16 crops of Stable Diffusion 1.x are 100 MB
_CROPS_AT_ONCE = 16  # that go through the UNet together


@dataclass(frozen=True)
class Reading:
    """A picture, read once."""

    starts: Tensor  # (N, 2) int64 on the CPU, corners (x, y) of its crops in pixels of the S x S picture
    side: int  # of the crops, in pixels
    queries: tuple[Tensor, ...]  # for each layer (N, heads, h_l * w_l, d), the attention queries of each crop


class PictureReader:
    """Reads pictures, each once: the least recently used readings are forgotten when there are too many."""

    def __init__(
        self, backbone: FrozenDiffusion, settings: PromptSettings, draws: Draws, budget: int = _READINGS_BYTES
    ):
        """
        Args:
            backbone: the model, with the layers that are read.
            settings: of the method.
            draws: random numbers: one noise a crop.
            budget: bytes of attention queries to keep on the model's device.
        """
        self._backbone, self._settings, self._draws, self._budget = backbone, settings, draws, budget
        self._readings: OrderedDict[tuple, Reading] = OrderedDict()

    def read(self, key: str, crops: Crops, timestep: int) -> Reading:
        """The reading of a picture.

        Args:
            key: names the picture, and the noise of its crops.
            crops: of that picture alone.
            timestep: noise level.
        """
        name = (*crops.pictures, key, crops.side, timestep)
        if name not in self._readings:
            self._readings[name] = self._read(key, crops, timestep)
            while len(self._readings) > 1 and sum(map(_bytes, self._readings.values())) > self._budget:
                self._readings.popitem(last=False)
        self._readings.move_to_end(name)
        return self._readings[name]

    def _read(self, key: str, crops: Crops, timestep: int) -> Reading:
        backbone = self._backbone
        positions = crop_positions(crops.size, crops.side, self._settings.crop_pool)
        starts = torch.cartesian_prod(positions, positions)  # (N, 2)
        boxes = torch.nn.functional.pad(starts, (1, 1))  # image 0, x, y, not mirrored
        owner = [Query(key, 0.0, 0.0, 0)]
        parts = []
        for some in torch.arange(len(boxes)).split(_CROPS_AT_ONCE):
            latents = crops.latents(boxes[some])
            noise = torch.cat([self._draws.noise(owner, crop, crops.latent_shape) for crop in some.tolist()])
            noisy = backbone.add_noise(latents, noise.to(latents.device), timestep)
            empty = torch.zeros(len(some), backbone.tokens, backbone.width, device=backbone.device)
            parts.append(backbone.attention_queries(noisy, timestep, empty, heads=self._settings.heads))
        return Reading(starts, crops.side, tuple(torch.cat(layer) for layer in zip(*parts, strict=True)))


class PooledCrops(RandomCrops):
    """The steps of a probe: item i holds, for every query, the number of a random crop of the pool.

    The crop is one in which the point keeps its margin; where the pool has none, the nearest.
    """

    def __init__(
        self,
        reading: Reading,
        crops: Crops,
        points: Tensor,
        queries: Sequence[Query],
        settings: PromptSettings,
        draws: Draws,
    ):
        """
        Args:
            reading: of the source picture.
            crops: of the source picture, the ones that were read.
            points: (Q, 2) query points (x, y) in pixels of the S x S source picture.
            queries: the Q queries, to whom the random draws belong.
            settings: of the method.
            draws: random numbers.
        """
        super().__init__(crops, points, queries, settings, draws)
        positions = crop_positions(crops.size, crops.side, settings.crop_pool)
        x, y = torch.searchsorted(positions, self._boxes[..., 1:3].contiguous()).unbind(-1)  # (steps, Q) each
        self._numbers = (x * len(positions) + y).to(crops.device)  # the order of a reading

    def __getitem__(self, step: int) -> CropBatch:
        return CropBatch(numbers=self._numbers[step], centers=self._centers[step], boxes=self._boxes[step])


class ProbeOptimization(PromptOptimization):
    """The embeddings of one source picture's queries, optimized against attention queries that stay as they are."""

    def __init__(self, backbone: FrozenDiffusion, start: Tensor, settings: PromptSettings, reading: Reading):
        """
        Args:
            backbone: the frozen model.
            start: (Q, T, D) embeddings to start from.
            settings: of the method.
            reading: of the source picture.
        """
        super().__init__(backbone, start, settings)
        self._reading = reading

    def maps(self, batch: CropBatch, embeddings: Tensor) -> list[Tensor]:
        """The maps that enter the loss, for each layer (Q, heads, h_l, w_l), of (Q, T, D) embeddings."""
        queries = [layer[batch["numbers"]] for layer in self._reading.queries]
        return self.backbone.attend(queries, embeddings, token=self.settings.token, heads=self.settings.heads)


@torch.no_grad()
def read_out(backbone: FrozenDiffusion, reading: Reading, embeddings: Tensor, settings: PromptSettings) -> Tensor:
    """Maps of embeddings on a target that was read, averaged over its crops.

    Args:
        backbone: the frozen model.
        reading: of the target.
        embeddings: (P, R, T, D), R restarts a point.
        settings: of the method.

    Returns:
        (P, L, S, S), mean over heads, crops and restarts.
    """
    points, restarts = embeddings.shape[:2]
    canvas = MapCanvas(points, len(backbone.layers), backbone.image_size, backbone.device)
    for number, start in enumerate(reading.starts):
        queries = [layer[number : number + 1] for layer in reading.queries]
        maps = backbone.attend(queries, embeddings.flatten(0, 1), token=settings.token, heads=settings.heads)
        of_points = [m.mean(1, keepdim=True).unflatten(0, (points, restarts)).mean(1) for m in maps]  # (P, 1, h, w)
        canvas.paste(of_points, start.expand(points, 2), reading.side)
    return canvas.mean()


def _bytes(reading: Reading) -> int:
    return sum(layer.numel() * layer.element_size() for layer in reading.queries)
