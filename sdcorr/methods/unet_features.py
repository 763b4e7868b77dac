"""Nearest neighbor of the frozen UNet's features: the same model as the method's, without optimization.

The way of DIFT (Tang et al. 2023, "Emergent Correspondence from Image Diffusion"): noise the latents once,
read one block's features, average over a few draws of the noise, and compare by cosine. CleanDIFT (Stracke et al. 2025)
does the same with the latents as they are, in a UNet that was tuned for it.

Where this differs from the released evaluation of DIFT on SPair-71k, with the settings of configs/method/dift.yaml: the
latents are the mean that the VAE's encoder gives, not a draw; pictures are scaled bilinearly with antialiasing, not
bicubically; and features are enlarged to the square that the model sees, 768 x 768, not to the picture's own size, and
read between pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sdcorr.datasets import ImageReader, SourceUnit
from sdcorr.diffusion import FrozenModel
from sdcorr.diffusion.flops import encode_flops, feature_flops, feature_rate
from sdcorr.diffusion.precision import Precision
from sdcorr.diffusion.text import TextEncoder, load_text_encoder, text_identity
from sdcorr.errors import UserError
from sdcorr.images import image_to_tensor
from sdcorr.methods.consensus import Consensus
from sdcorr.methods.features import FeatureMethod
from sdcorr.methods.layout import Layout, lay_out
from sdcorr.methods.maps import Features
from sdcorr.methods.peaks import Localization, Peaks
from sdcorr.methods.refine import Refine
from sdcorr.methods.resources import Resources


class UNetFeatures(FeatureMethod):
    """Features of one block of the UNet, of the noisy latents of a squashed picture.

    Args:
        resources: where the frozen model is had from; it is used uncut, for the block may lie beyond the last map.
        block: name of the UNet module whose output is compared, for example "up_blocks.1".
        timestep: of the noise, 0 to 999.
        draws: how many draws of the noise are averaged; 0: the latents stay as they are.
        text: prompt for the model's own text encoder, in which `{category}` stands for the pair's category; null: a
            prompt of zeros, and no text encoder is loaded.
        seed: of the noise; every picture has draws of its own, whatever the order.
        localization, window, temperature: see `Peaks`; cells are pixels of the picture that the model sees.
        consensus: none, dense, dense_flip or joint; see `sdcorr.methods.consensus`.
        refine: none or pixels; see `sdcorr.methods.refine`.

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
        text: str | None = None,
        seed: int = 0,
        localization: Localization = "argmax",
        window: int = 7,
        temperature: float = 0.05,
        consensus: Consensus = "none",
        refine: Refine = "none",
    ) -> None:
        for name, value, least in (("timestep", timestep, 0), ("draws", draws, 0), ("seed", seed, 0)):
            if type(value) is not int or value < least:
                raise UserError(f"{name}={value} of unet_features is not legal: give a whole number from {least}.")
        super().__init__("unet_features", Peaks(localization, window, temperature), consensus, refine)
        self.resources, self.block, self.timestep = resources, block, timestep
        self.draws, self.text, self.seed = draws, text, seed

    @cached_property
    def backbone(self) -> FrozenModel:
        """The frozen model, uncut."""
        return self.resources.backbone(truncate=False)

    @property
    def precision(self) -> Precision:
        """In which the network computes."""
        return self.backbone.precision

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
        if self.text is not None:
            _ = self.prompts
        _ = self.backbone.block(self.block)  # complains if there is none

    def flops(self, units: Sequence[SourceUnit]) -> float:
        """As for every method: a picture is read once, for all draws of the noise."""
        backbone = self.resources.blueprint(truncate=False)
        pictures = {unit.source for unit in units} | {pair.target for unit in units for pair in unit.pairs}
        return len(pictures) * (encode_flops(backbone) + max(1, self.draws) * feature_flops(backbone, self.block))

    def seconds(self, units: Sequence[SourceUnit]) -> float:
        """As for every method: by the reading of features."""
        blueprint = self.resources.blueprint(truncate=False)
        return self.flops(units) / feature_rate(self.backbone, blueprint, self.block)

    @cached_property
    def prompts(self) -> TextEncoder:
        """The model's own text encoder."""
        return load_text_encoder(*self.resources.text_folder(), self.backbone.device)

    def model_identity(self) -> dict[str, Any]:
        """What the model is, with its text encoder if that is used."""
        found = self.resources.model_identity()
        return found if self.text is None else found | text_identity(*self.resources.text_folder())

    def read(self, key: str, image: ImageReader, category: str) -> Features:
        """The features of a picture, averaged over the draws."""
        self.enlarged = self.backbone.image_size
        latents, layout = squashed_latents(self.backbone, image(key))
        return Features(self.features_of(latents, key, category, [self.block])[self.block], layout)

    def features_of(self, latents: Tensor, key: str, category: str, blocks: Sequence[str]) -> dict[str, Tensor]:
        """Block -> (C, h, w) float32, the mean over the draws, of the latents (1, C, h, w) of a picture."""
        prompt = None if self.text is None else self.prompts(self.text.format(category=category))
        return drawn_features(self.backbone, latents, key, blocks, self.timestep, self.draws, self.seed, prompt)


def read_features(
    backbone: FrozenModel, key: str, image: ImageReader, block: str, timestep: int, draws: int = 1, seed: int = 0
) -> Features:
    """What a block of the network makes of a squashed picture under a prompt of zeros.

    Args:
        backbone: the frozen model, with that block.
        key: of the picture; the draws belong to it.
        image: reads a picture by its key.
        block, timestep, draws, seed: as of `UNetFeatures`.

    Raises:
        UserError: if the model has no such block any more.
    """
    latents, layout = squashed_latents(backbone, image(key))
    return Features(drawn_features(backbone, latents, key, [block], timestep, draws, seed)[block], layout)


def squashed_latents(backbone: FrozenModel, picture: Image.Image) -> tuple[Tensor, Layout]:
    """Latents (1, C, h, w) of a picture that is squashed to the model's square, and how it lies there."""
    canvas, layout = lay_out(picture, backbone.image_size, "squash")
    return backbone.encode(image_to_tensor(canvas, backbone.image_size)[None].to(backbone.device)), layout


def drawn_features(
    backbone: FrozenModel,
    latents: Tensor,
    key: str,
    blocks: Sequence[str],
    timestep: int,
    draws: int,
    seed: int,
    prompt: Tensor | None = None,
) -> dict[str, Tensor]:
    """What blocks of the network put out, the mean over draws of the noise.

    Args:
        backbone: the frozen model.
        latents: (1, C, h, w), of one picture.
        key: of the picture; the draws belong to it.
        blocks: module paths.
        timestep: of the noise.
        draws: of the noise; 0: the latents without noise.
        seed: of the draws.
        prompt: (1, N, D); None: zeros.

    Returns:
        Block -> (C, h, w) float32.
    """
    latents = latents.expand(max(1, draws), -1, -1, -1)
    if draws:
        name = f"{seed}/{key}".encode()
        generator = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(name).digest()[:7]))
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        latents = backbone.add_noise(latents, noise, timestep)
    if prompt is None:
        prompt = torch.zeros(1, backbone.tokens, backbone.width, device=backbone.device)
    found = backbone.features(latents, timestep, prompt.expand(len(latents), -1, -1), blocks)
    return {block: features.float().mean(0) for block, features in found.items()}
