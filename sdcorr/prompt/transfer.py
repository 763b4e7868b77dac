"""Embeddings on target images: maps of many crops, put back where the crops came from and averaged."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sdcorr.diffusion import FrozenModel
from sdcorr.finite import not_finite
from sdcorr.prompt.crops import Crops
from sdcorr.prompt.localize import argmax
from sdcorr.prompt.randomness import Draws, Query
from sdcorr.prompt.settings import PromptSettings


class MapCanvas:
    """Running average, pixel by pixel, of the maps of crops."""

    def __init__(self, rows: int, layers: int, size: int, device: torch.device) -> None:
        self._sums = torch.zeros(rows, layers, size, size, device=device)
        self._counts = torch.zeros(rows, 1, size, size, device=device)

    def paste(self, maps: Sequence[Tensor], starts: Tensor, side: int) -> None:
        """Resize maps to their crops' size and add them where the crops came from.

        Args:
            maps: for each layer (rows, heads, h_l, w_l); the mean over heads is taken.
            starts, side: corners of the crops, (rows, 2) int64 on the CPU, and their side, in pixels.
        """
        means = [layer.mean(1)[None] for layer in maps]  # (1, rows, h_l, w_l)
        resized = torch.cat([F.interpolate(mean, size=(side, side), mode="bilinear") for mean in means]).transpose(0, 1)
        for row, (x, y) in enumerate(starts.tolist()):
            self._sums[row, :, y : y + side, x : x + side] += resized[row]
            self._counts[row, :, y : y + side, x : x + side] += 1

    def mean(self, images: Sequence[str | None] = (), precision: str = "fp32") -> Tensor:
        """(rows, L, S, S); 0 where no crop was. A UserError, which names the row's image, if it is NaN or infinite."""
        mean = self._sums / self._counts.clamp(min=1)
        if len(bad := (~mean.sum((1, 2, 3)).isfinite()).nonzero()):  # maps lie in [0, 1]
            image = images[int(bad[0])] if images else None
            raise not_finite(f"The attention maps on {image or 'the target'} are", precision, image)
        return mean

    def peaks(self) -> Tensor:
        """Maxima of the mean over crops and layers, (rows, 2) points (x, y) in pixels."""
        return argmax(self._sums.mean(1) / self._counts[:, 0].clamp(min=1))


@torch.no_grad()
def transfer(
    backbone: FrozenModel,
    crops: Crops,
    image_of: Tensor,
    embeddings: Tensor,
    queries: Sequence[Query],
    settings: PromptSettings,
    draws: Draws,
) -> Tensor:
    """Maps of embeddings on target images, (B, L, S, S): means over heads and crops, never NaN or infinite.

    Crops come one after the other, for later ones depend on what the earlier ones found.

    Args:
        backbone: the model, with the layers that are read.
        crops: of the target images.
        image_of: (B,) int64, for each row the index of its target image.
        embeddings: (B, T, D), one a row.
        queries: for each row the query, with its target, to whom the random draws belong.
        settings, draws: of the method.
    """
    canvas = MapCanvas(len(queries), len(backbone.layers), crops.size, backbone.device)
    timestep, unflipped = settings.transfer_timestep, torch.zeros_like(image_of[:, None])
    for number in range(settings.transfer_crops):
        # Noise first: it is drawn while a GPU still works on the crop before, which the next crop waits for.
        noise = draws.noise(queries, number, crops.latent_shape).to(backbone.device)
        starts = _crop_starts(number, canvas, queries, crops, settings, draws)  # (B, 2)
        latents = crops.latents(torch.cat((image_of[:, None], starts, unflipped), -1))
        noisy = backbone.add_noise(latents, noise, timestep)
        maps = backbone.attention_maps(noisy, timestep, embeddings, token=settings.token, heads=settings.heads)
        canvas.paste(maps, starts, crops.side)
    return canvas.mean([query.target for query in queries], backbone.precision)


def _crop_starts(
    number: int, canvas: MapCanvas, queries: Sequence[Query], crops: Crops, settings: PromptSettings, draws: Draws
) -> Tensor:
    """Corners of the next crops: four at the image's corners first, then round what was found so far."""
    if settings.adaptive_crops:
        size = crops.size
        corners = torch.tensor([(0, 0), (0, size), (size, 0), (size, size)])  # (x, y) in the order of the released code
        points = corners[number].expand(len(queries), 2) if number < len(corners) else canvas.peaks().cpu()
        least, greatest = crops.bounds(points.float(), settings.crop_margin)
    else:
        queries = [Query("", 0, 0, 0, query.target) for query in queries]  # every point's and restart's crops
        least = torch.zeros(len(queries), 2, dtype=torch.int64)
        greatest = least + crops.places - 1
    return crops.corners(draws.crop_starts(queries, number, least, greatest, crops.places))
