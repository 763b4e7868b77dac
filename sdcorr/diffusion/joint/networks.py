"""How the joint transformers are called: Stable Diffusion 3 and 3.5, FLUX.1.

Neither gets a text encoder. The prompt embedding takes the place of the encoders' token sequence. Both also want one
pooled vector of the whole text, which goes into every modulation beside the time: it is zero, so that the prompt
embedding is all that is said. There is no guidance either, as in the released code.
"""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from diffusers import FluxTransformer2DModel, SD3Transformer2DModel
from torch import Tensor

_PLAIN_GUIDANCE = 1.0  # what FLUX.1-dev, distilled from guided sampling, is told: guidance of 1 is none


class JointNetwork(ABC):
    """A joint transformer with its calling conventions; it owns nothing.

    Attributes:
        text_first: whether text tokens come before image tokens in the joint sequence.
        patch: side in latents of the square that becomes one image token.
        latent_channels: C of the latents.
        most_tokens: of one side of the picture, if position embeddings end somewhere.
    """

    text_first: bool
    patch: int
    latent_channels: int
    most_tokens: int | None = None

    def __init__(self, transformer: SD3Transformer2DModel | FluxTransformer2DModel):
        self._transformer = transformer

    @abstractmethod
    def run(self, noisy: Tensor, sigma: Tensor, prompt: Tensor) -> None:
        """One forward pass, for what its layers do.

        Args:
            noisy: (B, C, h, w) latents with noise.
            sigma: scalar, the share of noise.
            prompt: (B, T, D) prompt embeddings.
        """

    @abstractmethod
    def modulation(self, sigma: Tensor, batch: int) -> Tensor:
        """What every block is modulated by: the time's embedding and the (empty) pooled text's, (B, inner width)."""

    @abstractmethod
    def run_text(self, prompt: Tensor, modulation: Tensor) -> None:
        """A forward pass of the text tokens alone: the image has no tokens, and layers must bring its keys and values.

        Args:
            prompt: (B, T, D) prompt embeddings.
            modulation: (B, inner width), as `modulation` gives it.
        """

    def _pooled(self, batch: int) -> Tensor:
        """The pooled text that nobody wrote."""
        transformer = self._transformer
        width = transformer.config["pooled_projection_dim"]
        return torch.zeros(batch, width, dtype=transformer.dtype, device=transformer.device)


class SD3Network(JointNetwork):
    """Stable Diffusion 3 and 3.5: image tokens first; learned positions, cut out of the middle of a larger grid."""

    text_first = False

    def __init__(self, transformer: SD3Transformer2DModel):
        super().__init__(transformer)
        self.patch: int = transformer.config["patch_size"]
        self.latent_channels: int = transformer.config["in_channels"]
        self.most_tokens: int | None = transformer.config["pos_embed_max_size"]

    def run(self, noisy: Tensor, sigma: Tensor, prompt: Tensor) -> None:
        """One forward pass."""
        self._transformer(
            hidden_states=noisy,
            encoder_hidden_states=prompt,
            pooled_projections=self._pooled(len(noisy)),
            timestep=_thousandths(sigma, len(noisy)),
            return_dict=False,
        )

    def modulation(self, sigma: Tensor, batch: int) -> Tensor:
        """Embedded time and pooled text."""
        return self._transformer.time_text_embed(_thousandths(sigma, batch), self._pooled(batch))

    def run_text(self, prompt: Tensor, modulation: Tensor) -> None:
        """The text's half of every block."""
        text = self._transformer.context_embedder(prompt)
        image = text.new_zeros(len(text), 0, self._transformer.inner_dim)
        for block in self._transformer.transformer_blocks:
            text, image = block(hidden_states=image, encoder_hidden_states=text, temb=modulation)


class FluxNetwork(JointNetwork):
    """FLUX.1: text tokens first; 2 x 2 latents packed into a token; rotary positions, the text's all zero."""

    text_first = True
    patch = 2

    def __init__(self, transformer: FluxTransformer2DModel):
        super().__init__(transformer)
        self.latent_channels: int = transformer.config["in_channels"] // self.patch**2

    def run(self, noisy: Tensor, sigma: Tensor, prompt: Tensor) -> None:
        """One forward pass."""
        batch, _, height, width = noisy.shape
        self._transformer(
            hidden_states=pack(noisy),
            encoder_hidden_states=prompt,
            pooled_projections=self._pooled(batch),
            timestep=sigma.expand(batch),  # times 1,000 inside
            img_ids=grid_positions(height // self.patch, width // self.patch, noisy.device),
            txt_ids=torch.zeros(prompt.shape[1], 3, device=prompt.device),
            guidance=self._guidance(batch),
            return_dict=False,
        )

    def modulation(self, sigma: Tensor, batch: int) -> Tensor:
        """Embedded time, guidance if the model asks for it, and pooled text; rounded where the transformer rounds."""
        transformer = self._transformer
        time = sigma.expand(batch).to(transformer.dtype) * 1000
        guidance = self._guidance(batch)
        said = () if guidance is None else (guidance.to(transformer.dtype) * 1000,)
        return transformer.time_text_embed(time, *said, self._pooled(batch))

    def run_text(self, prompt: Tensor, modulation: Tensor) -> None:
        """The text's half of every double block, and the text's rows of every single one."""
        transformer = self._transformer
        text = transformer.context_embedder(prompt)
        image = text.new_zeros(len(text), 0, transformer.inner_dim)
        rope = transformer.pos_embed(torch.zeros(prompt.shape[1], 3, device=prompt.device))
        for block in (*transformer.transformer_blocks, *transformer.single_transformer_blocks):
            text, image = block(hidden_states=image, encoder_hidden_states=text, temb=modulation, image_rotary_emb=rope)

    def _guidance(self, batch: int) -> Tensor | None:
        transformer = self._transformer
        if not transformer.config["guidance_embeds"]:
            return None
        return torch.full((batch,), _PLAIN_GUIDANCE, device=transformer.device)


def joint_network(transformer: SD3Transformer2DModel | FluxTransformer2DModel) -> JointNetwork:
    """The calling conventions of a transformer."""
    return SD3Network(transformer) if isinstance(transformer, SD3Transformer2DModel) else FluxNetwork(transformer)


def pack(latents: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, h/2 * w/2, C * 4): squares of 2 x 2 latents, row by row; in a token, channels outermost."""
    return F.pixel_unshuffle(latents, 2).flatten(2).mT.contiguous()


def grid_positions(rows: int, columns: int, device: torch.device) -> Tensor:
    """FLUX's positions of a picture's tokens, (rows * columns, 3): 0, row, column."""
    row = torch.arange(rows, device=device).repeat_interleave(columns)
    column = torch.arange(columns, device=device).repeat(rows)
    return torch.stack((torch.zeros_like(row), row, column), -1).float()


def _thousandths(sigma: Tensor, batch: int) -> Tensor:
    """The share of noise as Stable Diffusion 3 is told it, (B,): sigma times 1,000."""
    return (sigma * 1000).expand(batch)
