"""What a frozen diffusion model is to a method: image -> latents -> attention maps of named layers.

`FrozenDiffusion` is one with a UNet, `sdcorr.diffusion.joint.JointDiffusion` one with joint attention.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from sdcorr.diffusion.attention import Heads
from sdcorr.diffusion.parts import standard_latents
from sdcorr.diffusion.precision import Float32Mode, Precision


class FrozenModel(nn.Module, ABC):
    """VAE encoder and network of a latent diffusion model, without text encoder, decoder or sampling loop.

    All that a method needs to know of the model (tokens, widths, sizes, scaling) is read from it.

    Attributes:
        layers: names of the layers that are read, in the order of their maps.
        all_layers: the attentions that there were before anything was cut, in order of execution.
        tokens: T, length of a prompt embedding.
        width: D, width of a prompt embedding.
        image_size: S, side in pixels of the square image.
        latent_size: side of the latents, S over the VAE's factor.
        latent_channels: C of the latents.
        precision: in which the network computes: "fp32", "tf32" or "bf16".
        prediction_type: what the network was trained to predict: "epsilon", "v_prediction", "sample" or
            "flow_prediction", noise minus latents.
        alphas_cumprod: (N,) the share of the latents in a noisy latent's power at each timestep.
    """

    layers: tuple[str, ...]
    all_layers: tuple[str, ...]
    tokens: int
    width: int
    image_size: int
    latent_size: int
    latent_channels: int
    precision: Precision
    prediction_type: str
    alphas_cumprod: Tensor
    vae: AutoencoderKL
    _float32: Float32Mode

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return self.alphas_cumprod.device

    @abstractmethod
    def identity(self) -> dict[str, str]:
        """What the model is wherever it came from: digests by part, see `sdcorr.diffusion.fingerprint.identity`."""

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """The VAE's mean latents, scaled as the network expects them.

        Args:
            images: (B, 3, S, S) in [0, 1].

        Returns:
            (B, C, S / factor, S / factor) float32.
        """
        pixels = (images.to(self.device) * 2 - 1).to(self.vae.dtype)
        with self._float32:
            encoded: Any = self.vae.encode(pixels)
        return standard_latents(encoded.latent_dist.mean.float(), self.vae)

    @abstractmethod
    def add_noise(self, latents: Tensor, noise: Tensor, timestep: int) -> Tensor:
        """Latents as they are at a timestep of the model's schedule.

        Args:
            latents: (B, C, h, w).
            noise: of the same shape, standard normal.
            timestep: 0 <= timestep < N.
        """

    @abstractmethod
    def attention_maps(
        self, noisy: Tensor, timestep: int, embeddings: Tensor, *, token: int = 1, heads: Heads = "last_half"
    ) -> list[Tensor]:
        """Attention maps of one token, differentiable in the embeddings.

        Args:
            noisy: (B, C, h, w) latents with noise.
            timestep: of the schedule, 0 <= timestep < N.
            embeddings: (B, T, D) prompt embeddings, one per latent.
            token: index of the token whose map is read.
            heads: "last_half" (the released code), "all", or their numbers.

        Returns:
            For each of `layers` (B, heads, h_l, w_l) float32 in [0, 1]: the token's share of the softmax.

        Raises:
            UserError: if a layer has not the heads that are asked for.
        """

    @abstractmethod
    def attention_queries(
        self, noisy: Tensor, timestep: int, embeddings: Tensor, *, heads: Heads = "last_half"
    ) -> list[Tensor]:
        """The picture's side of the maps, read once under `embeddings`: what `attend` compares with tokens.

        Args:
            noisy: (B, C, h, w) latents with noise.
            timestep: of the schedule.
            embeddings: (B, T, D) prompt embeddings, one per latent; layers before a layer put them into its queries.
            heads: "last_half", "all", or their numbers.

        Returns:
            Tensors with one row per latent, without gradient; which ones is the model's own affair.

        Raises:
            UserError: if a layer has not the heads that are asked for.
        """

    @abstractmethod
    def attend(
        self, queries: Sequence[Tensor], embeddings: Tensor, *, token: int = 1, heads: Heads = "last_half"
    ) -> list[Tensor]:
        """Maps of one token in pictures that were read once, differentiable in the embeddings; quick.

        With the embeddings that the attention queries were read with, these are `attention_maps`; with others they
        are not, for an embedding also changes the picture's side of the layers after the first.

        Args:
            queries: what `attention_queries` returned for the same heads; B = 1 serves every embedding.
            embeddings: (Q, T, D) prompt embeddings, Q = B unless B is 1.
            token: index of the token whose map is read.
            heads: "last_half", "all", or their numbers.

        Returns:
            For each of `layers` (Q, heads, h_l, w_l) float32 in [0, 1].

        Raises:
            UserError: if a layer has not the heads that are asked for.
        """

    @abstractmethod
    def features(self, noisy: Tensor, timestep: int, embeddings: Tensor, blocks: Sequence[str]) -> dict[str, Tensor]:
        """What blocks of the network put out, for methods that compare features.

        Args:
            noisy: (B, C, h, w) latents with noise.
            timestep: of the schedule.
            embeddings: (B, T, D) prompt embeddings.
            blocks: module paths in the network, such as "up_blocks.1" or "transformer_blocks.9".

        Returns:
            Block -> (B, channels, h_b, w_b) float32.

        Raises:
            UserError: if a block does not exist, or was dropped by truncation.
        """

    @abstractmethod
    def block(self, path: str) -> nn.Module:
        """A block of the network that still has all its weights.

        Args:
            path: module path in the network.

        Raises:
            UserError: if there is no such block, or it was dropped, whole or in part.
        """
