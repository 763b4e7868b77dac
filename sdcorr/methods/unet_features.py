"""Nearest neighbor of the frozen UNet's features: the same model as the method's, without optimization.

The way of DIFT (Tang et al. 2023, "Emergent Correspondence from Image Diffusion"): noise the latents once,
read one block's features, average over a few draws of the noise, and compare by cosine. The prompt is all
zeros, since no text encoder is loaded and no category is told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

import torch

from sdcorr.datasets import ImageReader, SourceUnit
from sdcorr.diffusion import FrozenModel
from sdcorr.diffusion.flops import encode_flops, feature_flops
from sdcorr.errors import UserError
from sdcorr.images import image_to_tensor
from sdcorr.methods.consensus import Consensus
from sdcorr.methods.features import FeatureMethod
from sdcorr.methods.layout import lay_out
from sdcorr.methods.maps import Features
from sdcorr.methods.peaks import Localization, Peaks
from sdcorr.methods.resources import Resources


class UNetFeatures(FeatureMethod):
    """Features of one block of the UNet, of the noisy latents of a squashed picture.

    Args:
        resources: where the frozen model is had from; it is used uncut, for the block may lie beyond the last map.
        block: name of the UNet module whose output is compared, for example "up_blocks.1".
        timestep: of the noise, 0 to 999.
        draws: how many draws of the noise are averaged.
        seed: of the noise; every picture has draws of its own, whatever the order.
        localization, window, temperature: see `Peaks`; cells are pixels of the picture that the model sees.
        consensus: none, dense or joint; see `sdcorr.methods.consensus`.

    Raises:
        UserError: if a setting is not legal.
    """

    reads_model = True

    def __init__(
        self,
        resources: Resources,
        block: str,
        timestep: int,
        draws: int = 8,
        seed: int = 0,
        localization: Localization = "argmax",
        window: int = 7,
        temperature: float = 0.05,
        consensus: Consensus = "none",
    ) -> None:
        for name, value, least in (("timestep", timestep, 0), ("draws", draws, 1), ("seed", seed, 0)):
            if type(value) is not int or value < least:
                raise UserError(f"{name}={value} of unet_features is not legal: give a whole number from {least}.")
        super().__init__("unet_features", Peaks(localization, window, temperature), consensus)
        self.resources, self.block, self.timestep = resources, block, timestep
        self.draws, self.seed = draws, seed

    @cached_property
    def backbone(self) -> FrozenModel:
        """The frozen model, uncut."""
        return self.resources.backbone(truncate=False)

    def prepare(self) -> None:
        """Loads the model.

        Raises:
            UserError: if the model cannot be had, or has no such block or timestep.
        """
        if self.timestep >= len(self.backbone.alphas_cumprod):
            raise UserError(
                f"timestep={self.timestep} of unet_features is not in this model: give 0 to "
                f"{len(self.backbone.alphas_cumprod) - 1}."
            )
        _ = self.backbone.block(self.block)  # complains if there is none

    def flops(self, units: Sequence[SourceUnit]) -> float:
        """As for every method: a picture is read once, for all draws of the noise."""
        backbone = self.resources.blueprint(truncate=False)
        pictures = {unit.source for unit in units} | {pair.target for unit in units for pair in unit.pairs}
        return len(pictures) * (encode_flops(backbone) + self.draws * feature_flops(backbone, self.block))

    def read(self, key: str, image: ImageReader) -> Features:
        """The features of a picture, averaged over the draws."""
        self.enlarged = self.backbone.image_size
        return read_features(self.backbone, key, image, self.block, self.timestep, self.draws, self.seed)


def read_features(
    backbone: FrozenModel, key: str, image: ImageReader, block: str, timestep: int, draws: int = 1, seed: int = 0
) -> Features:
    """What a block of the UNet makes of a squashed picture, averaged over draws of the noise.

    Args:
        backbone: the frozen model, with that block.
        key: of the picture; the draws belong to it.
        image: reads a picture by its key.
        block, timestep, draws, seed: as of `UNetFeatures`.

    Raises:
        UserError: if the model has no such block any more.
    """
    canvas, layout = lay_out(image(key), backbone.image_size, "squash")
    latents = backbone.encode(image_to_tensor(canvas, backbone.image_size)[None].to(backbone.device))
    latents = latents.expand(draws, -1, -1, -1)
    name = f"{seed}/{key}".encode()
    generator = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(name).digest()[:7]))
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    prompt = torch.zeros(draws, backbone.tokens, backbone.width, device=backbone.device)
    noisy = backbone.add_noise(latents, noise, timestep)
    features = backbone.features(noisy, timestep, prompt, [block])[block]  # (draws, C, h, w)
    return Features(features.float().mean(0), layout)
