"""The frozen diffusion model: image -> latents -> cross-attention maps of named layers."""

import re
from collections.abc import Sequence
from typing import Literal

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn

from sdcorr.diffusion.attention import (
    AttentionTap,
    Heads,
    LastMapRead,
    Reading,
    cross_attention_layers,
    last_layer,
    resolve_layers,
)
from sdcorr.diffusion.loading import load_parts
from sdcorr.diffusion.truncate import drop_unreached
from sdcorr.errors import UserError

Precision = Literal["fp32", "bf16"]  # no fp16: the embedding's gradient, about 1e-6, would underflow
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class _BlockReached(Exception):
    """Raised inside the UNet when the last wanted feature block has run."""


class FrozenDiffusion(nn.Module):
    """VAE encoder and UNet of a latent diffusion model, without text encoder, decoder or sampling loop.

    All that the method needs to know of the model (tokens, widths, sizes, scaling) is read from it.

    Attributes:
        layers: names of the cross-attention layers that are read, in the order of their maps.
        tokens: T, length of a prompt embedding.
        width: D, width of a prompt embedding.
        image_size: S, side in pixels of the square image.
        latent_size: side of the latents, S over the VAE's factor.
        latent_channels: C of the latents.
        prediction_type: what the UNet was trained to predict: "epsilon", "v_prediction" or "sample".
    """

    def __init__(
        self,
        vae: AutoencoderKL,
        unet: UNet2DConditionModel,
        *,
        layers: Sequence[str],
        alphas_cumprod: Tensor,
        prediction_type: str,
        tokens: int,
        image_size: int | None = None,
        truncate: bool = True,
    ):
        super().__init__()
        self.layers = resolve_layers(layers, cross_attention_layers(unet))
        self.tokens = tokens
        self.width: int = unet.config.cross_attention_dim
        self.latent_channels: int = unet.config.in_channels
        self.prediction_type = prediction_type
        factor = 2 ** (len(vae.config.block_out_channels) - 1)
        self.image_size = image_size or unet.config.sample_size * factor
        if self.image_size % factor:
            raise UserError(f"image_size={image_size} must be a multiple of {factor}, the VAE's pixels per latent.")
        self.latent_size = self.image_size // factor
        self.register_buffer("alphas_cumprod", alphas_cumprod.float(), persistent=False)
        vae.decoder = vae.post_quant_conv = None
        self.vae, self.unet = vae, unet
        self.requires_grad_(False).eval()
        self._tap = AttentionTap(unet, self.layers)
        self._dropped = drop_unreached(unet, self._dry_run) if truncate else ()

    @classmethod
    def load(
        cls,
        name: str,
        *,
        layers: Sequence[str],
        device: str | torch.device = "cpu",
        precision: Precision = "fp32",
        revision: str | None = None,
        tokens: int | None = None,
        image_size: int | None = None,
        truncate: bool = True,
    ) -> "FrozenDiffusion":
        """Load a model from the Hugging Face hub, or from a folder in the diffusers layout.

        Args:
            name: hub id, or path of a folder with vae/ and unet/; scheduler/, tokenizer/ and text_encoder/ are
                looked at if they are there (Stable Diffusion's schedule and 77 tokens if not).
            layers: cross-attention layers to read, e.g. "up_blocks.1.attentions.0".
            device: where the model will live.
            precision: of weights and activations; latents, embeddings and maps are float32 in any case.
            revision: branch, tag or commit on the hub.
            tokens: length of a prompt embedding, if not the model's own.
            image_size: side in pixels of the square image, if not the one that the model was trained for.
            truncate: drop what runs after the last of `layers`; changes no map and no gradient.

        Raises:
            UserError: if the weights cannot be had, a layer does not exist, or a size does not fit.
        """
        if precision not in _DTYPES:
            raise UserError(f"precision={precision!r} is unknown: choose from {', '.join(_DTYPES)}.")
        vae, unet, schedule, own_tokens = load_parts(name, revision, _DTYPES[precision])
        model = cls(
            vae,
            unet,
            layers=layers,
            alphas_cumprod=schedule.alphas_cumprod,
            prediction_type=schedule.config.prediction_type,
            tokens=tokens or own_tokens,
            image_size=image_size,
            truncate=truncate,
        )
        return model.to(device)

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return self.alphas_cumprod.device

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """The VAE's mean latents, scaled as the UNet expects them.

        Args:
            images: (B, 3, S, S) in [0, 1].

        Returns:
            (B, C, S / factor, S / factor) float32.
        """
        pixels = (images.to(self.device) * 2 - 1).to(self.vae.dtype)
        mean = self.vae.encode(pixels).latent_dist.mean.float()
        return (mean - (self.vae.config.shift_factor or 0.0)) * self.vae.config.scaling_factor

    def add_noise(self, latents: Tensor, noise: Tensor, timestep: int) -> Tensor:
        """sqrt(a) * latents + sqrt(1 - a) * noise, a being the schedule's cumulative alpha at `timestep`."""
        alpha = self.alphas_cumprod[timestep]
        return alpha.sqrt() * latents + (1 - alpha).sqrt() * noise

    def attention_maps(
        self, noisy: Tensor, timestep: int, embeddings: Tensor, *, token: int = 1, heads: Heads = "last_half"
    ) -> list[Tensor]:
        """Cross-attention maps of one token, differentiable in the embeddings.

        Args:
            noisy: (B, C, h, w) latents with noise.
            timestep: of the schedule, 0 <= timestep < 1000 for Stable Diffusion.
            embeddings: (B, T, D) prompt embeddings, one a latent.
            token: index of the token whose map is read.
            heads: "last_half" (the released code), "all", or their numbers.

        Returns:
            For each of `layers` (B, heads, h_l, w_l) float32 in [0, 1], softmax over the tokens.

        Raises:
            UserError: if a layer has not the heads that are asked for.
        """
        reading = self._tap.reading = Reading(token, heads)
        try:
            self._forward(noisy, timestep, embeddings)
        except LastMapRead:
            pass
        finally:
            self._tap.reading = None
        return [reading.maps[layer] for layer in self.layers]

    @torch.no_grad()
    def features(self, noisy: Tensor, timestep: int, embeddings: Tensor, blocks: Sequence[str]) -> dict[str, Tensor]:
        """What UNet modules put out, e.g. of "up_blocks.1", for methods that compare features.

        Args:
            noisy: (B, C, h, w) latents with noise.
            timestep: of the schedule.
            embeddings: (B, T, D) prompt embeddings.
            blocks: module paths in the UNet.

        Returns:
            Block -> (B, channels, h_b, w_b) float32.

        Raises:
            UserError: if a block does not exist, or was dropped by truncation.
        """
        features: dict[str, Tensor] = {}

        def keep(block: str, output: Tensor | tuple[Tensor, ...]) -> None:
            features[block] = (output[0] if isinstance(output, tuple) else output).float()
            if len(features) == len(set(blocks)):
                raise _BlockReached

        hooks = [
            self._block(block).register_forward_hook(lambda module, inputs, output, block=block: keep(block, output))
            for block in dict.fromkeys(blocks)
        ]
        try:
            self._forward(noisy, timestep, embeddings)
        except _BlockReached:
            pass
        finally:
            for hook in hooks:
                hook.remove()
        return features

    def _forward(self, noisy: Tensor, timestep: int, embeddings: Tensor) -> None:
        dtype = self.unet.dtype
        time = torch.full((), timestep, device=noisy.device)  # an int would be copied to the device at every call
        self.unet(noisy.to(dtype), time, embeddings.to(dtype), return_dict=False)

    def _dry_run(self) -> None:
        """The smallest forward pass that reads every layer."""
        side = 2 ** len(self.unet.config.block_out_channels)
        noisy = torch.zeros(1, self.latent_channels, side, side, device=self.device)
        with torch.no_grad():
            self.attention_maps(noisy, 0, torch.zeros(1, self.tokens, self.width, device=self.device), token=0)

    def _block(self, block: str) -> nn.Module:
        """A module of the UNet that still has all its weights."""
        modules = dict(self.unet.named_modules())
        if block not in modules:
            blocks = [name for name in modules if re.fullmatch(r"(down|up)_blocks\.\d+|mid_block", name)]
            raise UserError(f"The UNet has no block {block!r}: choose e.g. from {', '.join(blocks)}.")
        if any(_is_within(path, block) or _is_within(block, path) for path in self._dropped):
            raise UserError(
                f"Block {block!r} was dropped, for it runs after {last_layer(self.layers)!r}, the last layer that is "
                "read: load the model with truncate=False."
            )
        return modules[block]


def _is_within(path: str, module: str) -> bool:
    return f"{path}.".startswith(f"{module}.")
