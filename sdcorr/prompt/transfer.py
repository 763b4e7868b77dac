"""Embeddings on target images: maps of many crops, put back where the crops came from and averaged."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.prompt.crops import Crops, LatentCache, crop_positions, crop_side, position_bounds, start_bounds
from sdcorr.prompt.localize import argmax
from sdcorr.prompt.randomness import Draws, Query
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.speed.memory import QueryBatches


class MapCanvas:
    """Running average, pixel by pixel, of the maps of crops."""

    def __init__(self, rows: int, layers: int, size: int, device: torch.device):
        self._sums = torch.zeros(rows, layers, size, size, device=device)
        self._counts = torch.zeros(rows, 1, size, size, device=device)

    def paste(self, maps: Sequence[Tensor], starts: Tensor, side: int) -> None:
        """Resize maps to the crops' size and add them where the crops came from.

        Args:
            maps: for each layer (rows, heads, h_l, w_l); the mean over heads is taken.
            starts: (rows, 2) int64 on the CPU, corners of the crops in pixels.
            side: side of the crops in pixels.
        """
        resized = torch.stack([_resize(layer_maps.mean(1), side) for layer_maps in maps], 1)  # (rows, L, side, side)
        for row, (x, y) in enumerate(starts.tolist()):
            self._sums[row, :, y : y + side, x : x + side] += resized[row]
            self._counts[row, :, y : y + side, x : x + side] += 1

    def mean(self) -> Tensor:
        """(rows, L, S, S); 0 where no crop was."""
        return self._sums / self._counts.clamp(min=1)

    def peaks(self) -> Tensor:
        """Maxima of the mean over crops and layers, (rows, 2) points (x, y) in pixels."""
        return argmax(self._sums.mean(1) / self._counts[:, 0].clamp(min=1))


@torch.no_grad()
def transfer(
    backbone: FrozenDiffusion,
    cache: LatentCache,
    images: Tensor,
    image_of: Sequence[int],
    embeddings: Tensor,
    queries: Sequence[Query],
    settings: PromptSettings,
    draws: Draws,
    batches: QueryBatches,
) -> Tensor:
    """Maps of embeddings on target images, each the average over the crops of its target.

    Args:
        backbone: the model, with the layers that are read.
        cache: latents of crops.
        images: (N, 3, S, S) target images in [0, 1].
        image_of: for each row the index of its target image.
        embeddings: (B, T, D), one a row.
        queries: for each row the query, with its target, to whom the random draws belong.
        settings: of the method.
        draws: random numbers.
        batches: how many rows go through the UNet at once.

    Returns:
        (B, L, S, S), mean over heads and crops.
    """
    crops = Crops(cache, images, transfer_side(settings, backbone.image_size))
    of = torch.tensor(image_of)
    return batches.run(
        len(queries),
        lambda b: _average_crops(backbone, crops, of[b], embeddings[b], queries[b], settings, draws),
    )


def transfer_side(settings: PromptSettings, size: int) -> int:
    """Side in pixels of a target's crops."""
    return crop_side(size, settings.crop) if settings.transfer_crops > 1 else size


def _average_crops(
    backbone: FrozenDiffusion,
    crops: Crops,
    image_of: Tensor,
    embeddings: Tensor,
    queries: Sequence[Query],
    settings: PromptSettings,
    draws: Draws,
) -> Tensor:
    """One batch of `transfer`: crops one after the other, for later ones depend on what the earlier ones found."""
    canvas = MapCanvas(len(queries), len(backbone.layers), crops.size, backbone.device)
    for number in range(settings.transfer_crops):
        # Noise first: it is drawn while a GPU still works on the crop before, which the next crop waits for.
        noise = draws.noise(queries, number, crops.latent_shape).to(backbone.device)
        starts = _crop_starts(number, canvas, queries, crops, settings, draws)  # (B, 2)
        latents = crops.latents(torch.cat((image_of[:, None], starts, torch.zeros_like(image_of[:, None])), -1))
        noisy = backbone.add_noise(latents, noise, settings.transfer_timestep)
        maps = backbone.attention_maps(
            noisy, settings.transfer_timestep, embeddings, token=settings.token, heads=settings.heads
        )
        canvas.paste(maps, starts, crops.side)
    return canvas.mean()


def _crop_starts(
    number: int,
    canvas: MapCanvas,
    queries: Sequence[Query],
    crops: Crops,
    settings: PromptSettings,
    draws: Draws,
) -> Tensor:
    """Corners of the next crops: four at the image's corners first, then round what was found so far."""
    size, side = crops.size, crops.side
    positions = crop_positions(size, side, settings.crop_pool)
    if settings.adaptive_crops:
        corners = torch.tensor([(0, 0), (0, size), (size, 0), (size, size)])  # (x, y) in the order of the released code
        points = corners[number].expand(len(queries), 2) if number < len(corners) else canvas.peaks().cpu()
        least, greatest = position_bounds(positions, *start_bounds(points.float(), size, side, settings.crop_margin))
    else:
        queries = [Query("", 0, 0, 0, query.target) for query in queries]  # every point's and restart's crops
        least = torch.zeros(len(queries), 2, dtype=torch.int64)
        greatest = least + len(positions) - 1
    return positions[draws.crop_starts(queries, number, least, greatest, len(positions))]


def _resize(maps: Tensor, size: int) -> Tensor:
    return F.interpolate(maps[None], size=(size, size), mode="bilinear", align_corners=False)[0]
