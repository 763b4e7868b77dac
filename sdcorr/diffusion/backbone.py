"""The frozen diffusion model: image -> latents -> cross-attention maps of named layers."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Literal

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn

from sdcorr.diffusion.attention import (
    AttentionTap,
    CrossAttention,
    Heads,
    Keep,
    choose_heads,
    cross_attention_layers,
    cross_attention_paths,
    mean_map,
    resolve_layers,
    split_heads,
    token_map,
)
from sdcorr.diffusion.compiled import compile_parts
from sdcorr.diffusion.conditioning import Conditioning
from sdcorr.diffusion.features import find_block, read_outputs
from sdcorr.diffusion.files import ModelFiles, find_model
from sdcorr.diffusion.fingerprint import identity_in_memory, identity_of_files
from sdcorr.diffusion.loading import describe_parts, load_parts
from sdcorr.diffusion.model import FrozenModel
from sdcorr.diffusion.parts import config_of, drop_decoder, pixels_per_latent
from sdcorr.diffusion.precision import Float32Mode, Precision, settle
from sdcorr.diffusion.truncate import drop_unreached


class FrozenDiffusion(FrozenModel):
    """A frozen model with a UNet: Stable Diffusion 1.x, 2.x, SDXL. Its maps are those of cross-attention.

    Attributes are those of `FrozenModel`; `layers` are cross-attentions, or transformer blocks of them.
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
        precision: Precision = "fp32",
        channels_last: bool = False,
        compile: bool = False,
    ) -> None:
        super().__init__()
        paths = cross_attention_paths(unet)
        self.all_layers = tuple(layer.name for layer in cross_attention_layers(paths))
        self._layers = resolve_layers(layers, paths)
        self.layers = tuple(layer.name for layer in self._layers)
        self.tokens = tokens
        self.width = config_of(unet).cross_attention_dim
        self.latent_channels = config_of(unet).in_channels
        self.prediction_type = prediction_type
        self._files: ModelFiles | None = None  # which it was loaded from
        self.image_size = image_size or config_of(unet).sample_size * pixels_per_latent(vae)
        self.latent_size = self.image_size // pixels_per_latent(vae)
        self.register_buffer("alphas_cumprod", alphas_cumprod.float().to(unet.device), persistent=False)
        drop_decoder(vae)
        self.vae, self.unet = vae, unet
        self._conditioning = Conditioning(unet, self.image_size).to(unet.device)
        self.requires_grad_(False).eval()
        self._tap = AttentionTap(unet, self._layers)
        self.precision = precision
        self._float32 = Float32Mode(precision)
        if channels_last:  # the first convolution turns what comes in; not the VAE, whose GroupNorm then errs on CPUs
            unet.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - torch declares other forms
        self._dropped = drop_unreached(unet, self._dry_run) if truncate else ()
        self._compiled = compile
        if compile:
            compile_parts(unet, self._tap.paths)

    @classmethod
    def load(
        cls,
        name: str,
        *,
        layers: Sequence[str] | None = None,
        device: str | torch.device = "cpu",
        precision: Precision | Literal["auto"] = "fp32",
        family: str | None = None,
        revision: str | None = None,
        variant: str | None = None,
        unet: str | None = None,
        tokens: int | None = None,
        image_size: int | None = None,
        truncate: bool = True,
        channels_last: bool = False,
        compile: bool = False,
    ) -> "FrozenDiffusion":
        """Load a model; what cannot be read is refused before any weight of it is read or fetched.

        Args:
            name: hub id, a folder in the diffusers layout, or a single file (.safetensors or .ckpt).
            layers: cross-attention layers to read, as `up_blocks.1.attentions.0`, or patterns; default: the family's.
            device: where the model will live; on "meta" it has shapes and no numbers, and no weights are read.
            precision: of the network: "fp32", "bf16" (weights and activations), "tf32" (float32 whose products a GPU
                rounds to TensorFloat-32), or "auto". Latents, embeddings, the softmax and maps are float32 proper.
            family: of sdcorr/diffusion/families.py, which a single file does not always say.
            revision: branch, tag or commit on the hub.
            variant: of the weights, e.g. "fp16" or "non_ema"; by default the full ones, or those there are.
            unet: weights in place of the UNet's own: a file, or a folder with them.
            tokens: length of a prompt embedding, if not the model's own.
            image_size: side in pixels of the square image, if not the one that the model was trained for.
            truncate: drop what runs after the last of `layers`; changes no map and no gradient.
            channels_last: let all channels of a pixel lie together in the UNet's memory; changes speed, and rounding.
            compile: let torch.compile fuse the UNet's blocks at the first passes; changes speed, and rounding.

        Raises:
            UserError: if the model cannot be read or had, a layer does not exist, or a size does not fit.
        """
        found = find_model(
            name,
            revision=revision,
            variant=variant,
            unet=unet,
            family=family,
            layers=layers,
            image_size=image_size,
            tokens=tokens,
        )
        device = torch.device(device)
        read = describe_parts if device.type == "meta" else load_parts
        parts = read(found, settle(precision, device, found.recognized.large))
        model = cls(**parts, truncate=truncate, channels_last=channels_last, compile=compile)
        model._files = found
        return model.to(device)

    def identity(self) -> dict[str, str]:
        """See `FrozenModel`: of the files that it was loaded from, else of what is in memory."""
        if self._files:
            return identity_of_files(self._files.files, self._files.commit)
        return identity_in_memory({"unet": self.unet, "vae": self.vae}, self.alphas_cumprod)

    def add_noise(self, latents: Tensor, noise: Tensor, timestep: int) -> Tensor:
        """sqrt(a) * latents + sqrt(1 - a) * noise, a being the schedule's cumulative alpha at `timestep`."""
        alpha = self.alphas_cumprod[timestep]
        return alpha.sqrt() * latents + (1 - alpha).sqrt() * noise

    def attention_maps(
        self, noisy: Tensor, timestep: int, embeddings: Tensor, *, token: int = 1, heads: Heads = "last_half"
    ) -> list[Tensor]:
        """See `FrozenModel`: softmax over the tokens, in cross-attention."""

        def keep(attn: CrossAttention, query: Tensor, key: Tensor) -> Tensor:
            chosen = choose_heads(heads, attn.heads)
            query, key = self._float32.way_out(query), self._float32.way_out(key)
            return token_map(query[:, chosen], key[:, chosen], token, attn.scale)

        return [mean_map(blocks) for blocks in self._read(keep, noisy, timestep, embeddings)]

    @torch.no_grad()
    def attention_queries(
        self, noisy: Tensor, timestep: int, embeddings: Tensor, *, heads: Heads = "last_half"
    ) -> list[Tensor]:
        """See `FrozenModel`: for each of `layers` (B, blocks * heads, h_l * w_l, d_l) in the UNet's dtype."""

        def keep(attn: CrossAttention, query: Tensor, key: Tensor) -> Tensor:
            return query[:, choose_heads(heads, attn.heads)].contiguous()  # a view would hold on to all heads

        return [torch.cat(blocks, 1) for blocks in self._read(keep, noisy, timestep, embeddings)]

    def attend(
        self, queries: Sequence[Tensor], embeddings: Tensor, *, token: int = 1, heads: Heads = "last_half"
    ) -> list[Tensor]:
        """See `FrozenModel`: no UNet is run, its layers only make keys of the embeddings."""
        dtype = next(self.unet.parameters()).dtype  # diffusers' own `dtype` looks at every module, which takes longer
        inside = self._float32.way_in(embeddings).to(dtype)

        def read(path: str, query: Tensor) -> Tensor:
            attn: Any = self.unet.get_submodule(path)
            with self._float32:
                key = self._float32.way_out(split_heads(attn.to_k(inside), attn.heads))  # (Q, all heads, T, d)
            return token_map(query, key[:, choose_heads(heads, attn.heads)], token, attn.scale)

        layers = zip(self._layers, queries, strict=True)
        return [mean_map(list(map(read, layer.paths, query.chunk(len(layer.paths), 1)))) for layer, query in layers]

    def features(self, noisy: Tensor, timestep: int, embeddings: Tensor, blocks: Sequence[str]) -> dict[str, Tensor]:
        """See `FrozenModel`."""
        modules = {path: self.block(path) for path in blocks}
        # Compiled parts do not call the hooks by which features are read.
        with torch.compiler.set_stance("force_eager") if self._compiled else nullcontext():
            return read_outputs(modules, lambda: self._forward(noisy, timestep, embeddings))

    def block(self, path: str) -> nn.Module:
        """See `FrozenModel`."""
        return find_block(self.unet, path, self._dropped, self._tap.paths[-1])

    def _read(self, keep: Keep, noisy: Tensor, timestep: int, embeddings: Tensor) -> list[list[Tensor]]:
        return self._tap.read(keep, lambda: self._forward(noisy, timestep, embeddings))

    def _forward(self, noisy: Tensor, timestep: int, embeddings: Tensor) -> None:
        dtype = self.unet.dtype
        time = torch.full((), timestep, device=noisy.device)  # an int would be copied to the device at every call
        inside = self._float32.way_in(embeddings).to(dtype)
        with self._float32:
            self.unet(noisy.to(dtype), time, inside, **self._conditioning(len(noisy), dtype), return_dict=False)

    def _dry_run(self) -> None:
        """The smallest forward pass that reads every layer."""
        side = 2 ** len(config_of(self.unet).block_out_channels)
        noisy = torch.zeros(1, self.latent_channels, side, side, device=self.device)
        with torch.no_grad():
            self.attention_maps(noisy, 0, torch.zeros(1, self.tokens, self.width, device=self.device), token=0)
