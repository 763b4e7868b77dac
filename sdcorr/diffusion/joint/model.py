"""Frozen models with joint attention: Stable Diffusion 3 and 3.5, FLUX.1. Image -> latents -> maps of named layers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler
from torch import Tensor, nn

from sdcorr.diffusion.attention import Heads, LastLayerRead
from sdcorr.diffusion.features import read_outputs
from sdcorr.diffusion.fingerprint import identity_in_memory
from sdcorr.diffusion.joint.attention import (
    JointPass,
    JointTap,
    TokenOrder,
    joint_layers,
    resolve_joint_layers,
    square,
)
from sdcorr.diffusion.joint.loading import JointTransformer, describe_joint_parts, load_joint_parts
from sdcorr.diffusion.joint.networks import joint_network
from sdcorr.diffusion.joint.noise import flow_sigmas
from sdcorr.diffusion.joint.passes import ImagePass, MapPass, TextPass
from sdcorr.diffusion.model import FrozenModel
from sdcorr.diffusion.parts import drop_decoder, pixels_per_latent
from sdcorr.diffusion.precision import Float32Mode, Precision, weights_dtype
from sdcorr.diffusion.truncate import drop_unreached
from sdcorr.errors import UserError

# Length of a prompt embedding. The models were trained with 333 (Stable Diffusion 3) or 512 (FLUX.1) tokens, most of
# them padding behind a short text; text tokens have no positions in these models. Here every token is optimized, and
# each one lengthens every attention.
PROMPT_TOKENS = 77


class JointDiffusion(FrozenModel):
    """VAE encoder and joint transformer of a flow-matching model: what `FrozenDiffusion` is for UNets.

    The map of a text token is the softmax of the image's queries over the keys of all tokens, image and text, at that
    token. Unlike in a UNet, the text changes from block to block and sees the picture on its way. Attributes that are
    not listed are as in `FrozenModel`.

    Attributes:
        layers: module paths of the joint attention layers that are read, in the order of their maps.
        tokens: T, length of a prompt embedding; 77 if not said.
        latent_size: side of the latents, S over the VAE's factor; a map has fewer cells, one for each image token.
        sigmas: (N,) the share of noise at each timestep, see `flow_sigmas`.
        alphas_cumprod: (N,) what a diffusion schedule calls by this name; where it is equal, models of both kinds have
            equal noise.
    """

    sigmas: Tensor

    def __init__(
        self,
        vae: AutoencoderKL,
        transformer: JointTransformer,
        *,
        layers: Sequence[str],
        scheduler: FlowMatchEulerDiscreteScheduler,
        tokens: int | None = None,
        image_size: int | None = None,
        truncate: bool = True,
        precision: Precision = "fp32",
    ) -> None:
        super().__init__()
        self.all_layers = tuple(joint_layers(transformer))
        self.layers = resolve_joint_layers(layers, self.all_layers)
        self._network = joint_network(transformer)
        self.tokens = tokens or PROMPT_TOKENS
        self.width = transformer.config["joint_attention_dim"]
        self.latent_channels = self._network.latent_channels
        self.prediction_type = "flow_prediction"
        self.image_size = image_size or vae.config["sample_size"]
        self.latent_size = self._latent_side(pixels_per_latent(vae))
        sigmas = flow_sigmas(scheduler.config, (self.latent_size // self._network.patch) ** 2)
        self.register_buffer("sigmas", sigmas.to(transformer.device), persistent=False)
        signal, noise = (1 - self.sigmas).square(), self.sigmas.square()
        self.register_buffer("alphas_cumprod", signal / (signal + noise), persistent=False)
        drop_decoder(vae)
        self.vae, self.transformer = vae, transformer
        self.requires_grad_(False).eval()
        executed = self.all_layers[: max(map(self.all_layers.index, self.layers)) + 1]
        self._tap = JointTap(self._network.text_first)
        self._tap.install(transformer, executed)
        self._earlier = executed[:-1]
        self.precision = precision
        self._float32 = Float32Mode(precision)
        self._truncated = truncate
        if truncate:
            drop_unreached(transformer, self._smallest_pass)

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
        channels_last: bool = False,
        compile: bool = False,
    ) -> "JointDiffusion":
        """Load a model from a folder in the diffusers layout, or from the Hugging Face hub.

        Args:
            name: path of a folder with transformer/, vae/ and scheduler/, or hub id. Text encoders are not looked at.
            layers: joint attention layers to read, by module path ("transformer_blocks.7.attn") or pattern
                ("transformer_blocks.[789].attn").
            device: where the model will live; on "meta" it has shapes and no numbers, and no weights are read.
            precision: of the network, see `FrozenDiffusion.load`.
            revision: branch, tag or commit on the hub.
            tokens: length of a prompt embedding, 77 if not said.
            image_size: side in pixels of the square image, if not the one that the model was trained for.
            truncate: drop what runs after the last of `layers`; changes no map and no gradient.
            channels_last: without effect.
            compile: must be False.

        Raises:
            UserError: if the model is of another kind, its weights cannot be had, a layer or the precision does not
                exist, or a size does not fit.
        """
        if compile:
            raise UserError("model.compile=true works for UNets only: give model.compile=false for this transformer.")
        dtype, blank = weights_dtype(precision), torch.device(device).type == "meta"
        parts = describe_joint_parts(name, revision) if blank else load_joint_parts(name, revision, dtype)
        model = cls(
            parts.vae,
            parts.transformer,
            layers=layers,
            scheduler=parts.scheduler,
            tokens=tokens,
            image_size=image_size,
            truncate=truncate,
            precision=precision,
        )
        return model.to(device)

    def identity(self) -> dict[str, str]:
        """See `FrozenModel`: of what is in memory."""
        return identity_in_memory({"transformer": self.transformer, "vae": self.vae}, self.alphas_cumprod)

    def add_noise(self, latents: Tensor, noise: Tensor, timestep: int) -> Tensor:
        """See `FrozenModel`: (1 - sigma) * latents + sigma * noise, sigma being the schedule's at `timestep`."""
        sigma = self.sigmas[timestep]
        return (1 - sigma) * latents + sigma * noise

    def attention_maps(
        self, noisy: Tensor, timestep: int, embeddings: Tensor, *, token: int = 1, heads: Heads = "last_half"
    ) -> list[Tensor]:
        """See `FrozenModel`: maps (B, heads, h / patch, w / patch), softmax over all image and text tokens.

        The timestep is 0 to 999; the transformer is told its sigma.
        """
        reading = MapPass(self.layers, self._order(embeddings), token, heads, self._float32)
        with self._during(reading):
            self._run(noisy, timestep, embeddings)
        return [reading.maps[layer] for layer in self.layers]

    @torch.no_grad()
    def attention_queries(
        self, noisy: Tensor, timestep: int, embeddings: Tensor, *, heads: Heads = "last_half"
    ) -> list[Tensor]:
        """See `FrozenModel`.

        Returns:
            Tensors with one row per latent: the modulation; for each of `layers` attention queries (B, heads, N, d) and
            the image's share of the softmax (B, heads, N); for each layer before the last of them the image's keys and
            values (B, all heads, N, d), since the text attends to them on its way.
        """
        reading = ImagePass(self.layers, self._order(embeddings), heads)
        with self._during(reading):
            self._run(noisy, timestep, embeddings)
        with self._float32:
            modulation = self._network.modulation(self.sigmas[timestep], len(noisy))
        read = [part for layer in self.layers for part in reading.read[layer]]
        return [modulation, *read, *(part for layer in self._earlier for part in reading.seen[layer])]

    def attend(
        self, queries: Sequence[Tensor], embeddings: Tensor, *, token: int = 1, heads: Heads = "last_half"
    ) -> list[Tensor]:
        """See `FrozenModel`: maps (Q, heads, n, n).

        Only text tokens go through the transformer; they attend to the image's keys and values as these were read. With
        other embeddings than those of that reading, the image tokens would have seen other text.
        """
        modulation, rest = queries[0], list(queries[1:])
        pairs = list(zip(rest[::2], rest[1::2], strict=True))
        read = dict(zip(self.layers, pairs, strict=False))
        seen = dict(zip(self._earlier, pairs[len(self.layers) :], strict=True))
        reading = TextPass(read, seen, self._order(embeddings), token, heads, self._float32)
        inside = self._float32.way_in(embeddings).to(self.transformer.dtype)
        with self._during(reading), self._float32:
            self._network.run_text(inside, modulation.expand(len(embeddings), -1))
        return [reading.maps[layer] for layer in self.layers]

    @torch.no_grad()
    def features(self, noisy: Tensor, timestep: int, embeddings: Tensor, blocks: Sequence[str]) -> dict[str, Tensor]:
        """See `FrozenModel`: the image tokens that blocks put out, (B, channels, n, n)."""
        modules = {path: self.block(path) for path in blocks}
        outputs = read_outputs(modules, lambda: self._run(noisy, timestep, embeddings), part=-1)  # text, image
        return {block: square(tokens.mT) for block, tokens in outputs.items()}

    def block(self, path: str) -> nn.Module:
        """See `FrozenModel`."""
        layer = f"{path}.attn"
        if layer not in self.all_layers:
            first, last = (self.all_layers[index].removesuffix(".attn") for index in (0, -1))
            raise UserError(f"The transformer has no block {path!r}: choose from {first} to {last}.")
        if self._truncated and layer not in self._earlier:
            raise UserError(
                f"Block {path!r} was dropped, whole or in part, for the last layer that is read is in it or before "
                "it: load the model with truncate=False."
            )
        return self.transformer.get_submodule(path)

    def _run(self, noisy: Tensor, timestep: int, embeddings: Tensor) -> None:
        inside = self._float32.way_in(embeddings).to(self.transformer.dtype)
        with self._float32:
            self._network.run(noisy.to(inside.dtype), self.sigmas[timestep], inside)

    @contextmanager
    def _during(self, reading: JointPass) -> Iterator[None]:
        """What `reading` sees; it ends when the last layer is read."""
        self._tap.now = reading
        try:
            with suppress(LastLayerRead):
                yield
        finally:
            self._tap.now = None

    def _order(self, embeddings: Tensor) -> TokenOrder:
        return TokenOrder(self._network.text_first, embeddings.shape[1])

    def _smallest_pass(self) -> None:
        """The smallest forward pass that reads every layer."""
        side = self._network.patch
        noisy = torch.zeros(1, self.latent_channels, side, side, device=self.device)
        with torch.no_grad():
            self.attention_maps(noisy, 0, torch.zeros(1, 1, self.width, device=self.device), token=0)

    def _latent_side(self, factor: int) -> int:
        """Side of the latents; raises UserError if the picture does not become whole tokens, or too many."""
        network, side = self._network, self.image_size
        token = factor * network.patch  # pixels of an image token
        if side % token:
            raise UserError(f"image_size={side} must be a multiple of {token}, the pixels of an image token.")
        if network.most_tokens and side > (most := network.most_tokens * token):
            raise UserError(f"image_size={side} is too large: this model has positions for {most} pixels.")
        return side // factor
