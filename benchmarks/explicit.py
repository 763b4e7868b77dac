"""Attention as the released code computes it: every layer forms its matrix, and the UNet runs to its end.

Each of the two can be switched off, to see what it costs.
"""

from contextlib import suppress

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention, AttnProcessor
from torch import Tensor

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.diffusion.attention import choose_heads, cross_attention_paths, resolve_layers, split_heads
from sdcorr.prompt.settings import PromptSettings


class _LastMapRead(Exception):
    """Raised inside the UNet to stop it."""


class _Attend:
    """A diffusers attention processor for one layer of the UNet."""

    def __init__(self, settings: PromptSettings, *, explicit: bool, reads: bool, stop: bool) -> None:
        self.settings = settings
        self.explicit, self.reads, self.stop = explicit, reads, stop
        self.map: Tensor | None = None  # (B, heads that are read, h, w), of the last pass

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        **unused: object,
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key = split_heads(attn.to_q(hidden_states), attn.heads), split_heads(attn.to_k(context), attn.heads)
        shares = _shares(query, key, attn.scale) if self.explicit else None  # (B, heads, N, T)
        if self.reads:
            chosen = choose_heads(self.settings.heads, attn.heads)
            read = shares[:, chosen] if self.explicit else _shares(query[:, chosen], key[:, chosen], attn.scale)
            side = round(read.shape[2] ** 0.5)
            self.map = read[..., self.settings.token].unflatten(-1, (side, side))
            if self.stop:
                raise _LastMapRead
        value = split_heads(attn.to_v(context), attn.heads)  # (B, heads, T, d)
        if self.explicit:
            attended = shares @ value
        else:
            attended = F.scaled_dot_product_attention(query, key, value, scale=attn.scale)
        return attn.to_out[0](attended.transpose(1, 2).flatten(2)) / attn.rescale_output_factor


def _shares(query: Tensor, key: Tensor, scale: float) -> Tensor:
    return (query @ key.transpose(-1, -2) * scale).softmax(-1)


class MapReader:
    """Reads the maps of a model's layers through attention processors of its own.

    The model's processors are replaced, so do not use it elsewhere afterwards.

    Args:
        backbone: the model; if it is truncated, `stop` must be true.
        settings: which heads and which token are read.
        explicit: whether every attention layer, the VAE's too, forms its matrix.
        stop: whether the UNet stops after the last layer that is read.
    """

    def __init__(self, backbone: FrozenDiffusion, settings: PromptSettings, *, explicit: bool, stop: bool) -> None:
        if explicit:
            backbone.vae.set_attn_processor(AttnProcessor())  # diffusers' own that forms the matrix
        self._unet = backbone.unet
        paths = cross_attention_paths(self._unet)  # in order of execution
        read = [layer.paths[0] for layer in resolve_layers(backbone.layers, paths)]  # of one transformer block each
        last = max(read, key=paths.index)
        processors = {
            f"{path}.processor": _Attend(settings, explicit=explicit, reads=path in read, stop=stop and path == last)
            for path in (name.removesuffix(".processor") for name in self._unet.attn_processors)
        }
        self._unet.set_attn_processor(dict(processors))
        self._readers = [processors[f"{path}.processor"] for path in read]

    def read(self, noisy: Tensor, timestep: int, embeddings: Tensor) -> list[Tensor]:
        """Read the cross-attention maps of one token, differentiable in the embeddings.

        Args:
            noisy: (B, C, h, w) latents with noise.
            timestep: of the schedule.
            embeddings: (B, T, D), one for each latent.

        Returns:
            For each of the model's layers (B, heads, h_l, w_l).
        """
        with suppress(_LastMapRead):
            self._unet(noisy, torch.full((), timestep, device=noisy.device), embeddings, return_dict=False)
        maps = [reader.map for reader in self._readers]
        for reader in self._readers:
            reader.map = None  # the graph goes with the loss
        return maps
