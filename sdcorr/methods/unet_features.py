"""Nearest neighbor of the frozen UNet's features: the same model as the method's, without optimization.

The way of DIFT (Tang et al. 2023, "Emergent Correspondence from Image Diffusion"): noise the latents once,
read one block's features, average over a few draws of the noise, and compare by cosine. The prompt is all
zeros, since no text encoder is loaded and no category is told.
"""

import hashlib
from collections.abc import Iterator
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from sdcorr.datasets import ImageReader, Match, Pair, SourceUnit
from sdcorr.diffusion.backbone import FrozenDiffusion
from sdcorr.errors import UserError
from sdcorr.images import image_to_tensor
from sdcorr.methods.image_patches import peaks, scale_between

CHANNELS_AT_ONCE = 64  # bounds the memory of features at full image size: 64 MB at 512 x 512 pixels


class UNetFeatures:
    """The place in the target whose features have the greatest cosine with those of the query point.

    Args:
        backbone: the frozen model, loaded with the block (`truncate=False` if it lies beyond the last map).
        block: name of the UNet module whose output is compared, for example "up_blocks.1".
        timestep: of the noise, 0 to 999.
        draws: how many draws of the noise are averaged.
        seed: of the noise; every image has draws of its own, whatever the order.
        cached: how many images' features are kept, since an image is the target of many sources.

    Raises:
        UserError: if the model has no such timestep.
    """

    name = "unet_features"

    def __init__(
        self,
        backbone: FrozenDiffusion,
        block: str,
        timestep: int,
        draws: int = 8,
        seed: int = 0,
        cached: int = 64,
    ) -> None:
        if timestep >= len(backbone.alphas_cumprod):
            raise UserError(
                f"baselines.unet_features.timestep={timestep} is not in this model: give 0 to "
                f"{len(backbone.alphas_cumprod) - 1}."
            )
        self.backbone, self.block, self.timestep = backbone, block, timestep
        self.draws, self.seed = draws, seed
        self._features = lru_cache(maxsize=cached)(self._read_features)

    def match(self, unit: SourceUnit, image: ImageReader) -> Iterator[tuple[Pair, Match]]:
        """Yields every pair of the unit with its match; the confidence is the cosine, 0 if negative."""
        side = self.backbone.image_size
        source_size = unit.targets[0].pair.source_size
        points = torch.from_numpy(unit.points / source_size).float()  # (P, 2) in [0, 1]
        queries = features_at(self._features(unit.source, image), points)  # (P, C)
        for target in unit.targets:
            features = self._features(target.pair.target, image)
            maps = cosine_maps(queries[list(target.points)], features, side)  # (V, S, S)
            cells, cosine = peaks(maps)
            matched = cells / scale_between(target.pair.target_size, maps.shape)
            yield target.pair, Match(matched, cosine.clip(0, 1))

    def _read_features(self, key: str, image: ImageReader) -> Tensor:
        """The features of an image, averaged over the draws, (C, h, w)."""
        backbone = self.backbone
        latents = backbone.encode(image_to_tensor(image(key), backbone.image_size)[None].to(backbone.device))
        latents = latents.expand(self.draws, -1, -1, -1)
        name = f"{self.seed}/{key}".encode()
        generator = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(name).digest()[:7]))
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        prompt = torch.zeros(self.draws, backbone.tokens, backbone.width, device=backbone.device)
        noisy = backbone.add_noise(latents, noise, self.timestep)
        return backbone.features(noisy, self.timestep, prompt, [self.block])[self.block].float().mean(0)


def features_at(features: Tensor, points: Tensor) -> Tensor:
    """Features between cells, bilinear.

    Args:
        features: (C, h, w) of an image squashed to a square.
        points: (P, 2) xy as fractions of the image's sides, in [0, 1].

    Returns:
        (P, C).
    """
    grid = (points * 2 - 1).to(features)[None, None]  # (1, 1, P, 2)
    sampled = F.grid_sample(features[None], grid, padding_mode="border", align_corners=False)  # (1, C, 1, P)
    return sampled[0, :, 0].T


def cosine_maps(queries: Tensor, features: Tensor, side: int) -> Tensor:
    """Cosines of queries with features enlarged to the image, bilinear, but never all of them at once.

    The scalar product is linear, so it is taken first and enlarged after; only the norm needs the enlarged
    features.

    Args:
        queries: (V, C).
        features: (C, h, w) of the target.
        side: of the maps, S pixels.

    Returns:
        (V, S, S) in [-1, 1], to rounding.
    """

    def enlarge(maps: Tensor) -> Tensor:
        return F.interpolate(maps[None], size=(side, side), mode="bilinear", align_corners=False)[0]

    products = enlarge(torch.einsum("vc,chw->vhw", F.normalize(queries, dim=1), features))
    squares = sum(enlarge(part).square().sum(0) for part in features.split(CHANNELS_AT_ONCE))  # (S, S)
    return products / squares.sqrt().clamp(min=1e-12)
