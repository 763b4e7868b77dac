"""Reading cross-attention: which layers, which heads, which token.

diffusers' own seam is used and nothing is patched: a layer that is read gets an attention processor that also hands
its attention queries and keys to the reading under way. Every other layer keeps diffusers' default processor, whose
fused kernel never forms the matrix.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor

from sdcorr.diffusion.precision import matmul_fp32
from sdcorr.errors import UserError

Heads = Literal["last_half", "all"] | Sequence[int]

_STAGES = ("down_blocks", "mid_block", "up_blocks")  # order of execution; the module tree has another one
_FIRST_TRANSFORMER_BLOCK = ".transformer_blocks.0.attn2"


class LastLayerRead(Exception):
    """Raised inside the UNet when the last layer is read: nothing after it is wanted."""


@dataclass
class Reading:
    """One forward pass: what to keep of a layer that is read, and what was kept so far by layer name.

    Attributes:
        keep: (attn, attention query (B, all heads, h*w, d), key (B, all heads, T, d)) -> what is kept of the layer.
        kept: layer -> what `keep` returned.
    """

    keep: Callable[[Attention, Tensor, Tensor], Tensor]
    kept: dict[str, Tensor] = field(default_factory=dict)


class AttentionTap:
    """Attention processors for the layers that are read, and the reading under way (none: they only attend)."""

    def __init__(self, unet: UNet2DConditionModel, layers: Sequence[str]):
        self.reading: Reading | None = None
        processors = unet.attn_processors
        for layer in layers:
            key = f"{module_path(layer)}.processor"
            processors[key] = _TappedAttention(layer, self, is_last=layer == last_layer(layers))
        unet.set_attn_processor(processors)


@dataclass(frozen=True)
class _TappedAttention:
    layer: str
    tap: AttentionTap
    is_last: bool

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        **unused: object,
    ) -> Tensor:
        query = split_heads(attn.to_q(hidden_states), attn.heads)  # (B, heads, h*w, d)
        key = split_heads(attn.to_k(encoder_hidden_states), attn.heads)  # (B, heads, T, d)
        reading = self.tap.reading
        if reading is not None:
            reading.kept[self.layer] = reading.keep(attn, query, key)
            if self.is_last:
                raise LastLayerRead
        value = split_heads(attn.to_v(encoder_hidden_states), attn.heads)
        attended = F.scaled_dot_product_attention(query, key, value, scale=attn.scale)
        output = attn.to_out[0](attended.transpose(1, 2).flatten(2))  # (B, h*w, C)
        return output / attn.rescale_output_factor


def token_map(query: Tensor, key: Tensor, token: int, scale: float) -> Tensor:
    """`token_column` of a square map's positions: (B, H, N, d) and (B, H, T, d) -> (B, H, h, w), h = w = sqrt(N)."""
    column = token_column(query, key, token, scale)
    side = round(column.shape[-1] ** 0.5)  # latents are square
    return column.unflatten(-1, (side, side))


def token_column(query: Tensor, key: Tensor, token: int, scale: float) -> Tensor:
    """The share of attention that one token gets at every position; in float32 at least.

    Args:
        query: (B or 1, H, N, d), attention queries, one row a position.
        key: (B, H, T, d), one row a token.
        token: index of the token, 0 <= token < T.
        scale: factor on the scores, d ** -0.5 as a rule.

    Returns:
        (B, H, N) in [0, 1]: softmax over the T tokens, at `token`.
    """
    dtype = torch.promote_types(query.dtype, torch.float32)
    scores = matmul_fp32(query.to(dtype), (key.to(dtype) * scale).transpose(-1, -2))  # (B, H, N, T)
    return scores.softmax(-1)[..., token]


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, N, heads * d) -> (B, heads, N, d)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def choose_heads(heads: Heads, count: int) -> slice | list[int]:
    """Index of the chosen ones of `count` heads: "all", "last_half" (of 8: 4 to 7), or their numbers.

    Raises:
        UserError: if a number is not below `count`, or a word is unknown.
    """
    if heads == "all":
        return slice(None)
    if heads == "last_half":
        return slice(count // 2, None)
    if isinstance(heads, str) or any(not 0 <= head < count for head in heads):
        raise UserError(
            f"heads={heads!r} cannot be read from a layer of {count} heads: choose 'all', 'last_half' "
            f"or numbers from 0 to {count - 1}."
        )
    return list(heads)


def cross_attention_layers(unet: UNet2DConditionModel) -> list[str]:
    """Names of the cross-attention layers in order of execution.

    A name is the layer's module path; the path's end for a first transformer block (the only one in SD 1.x and
    2.x) is left away: "up_blocks.1.attentions.0".
    """
    paths = [name for name, _ in unet.named_modules() if name.endswith(".attn2")]
    return sorted((path.removesuffix(_FIRST_TRANSFORMER_BLOCK) for path in paths), key=_execution_order)


def resolve_layers(names: Sequence[str], available: Sequence[str]) -> tuple[str, ...]:
    """Each name (module path or short form) as its short form.

    Raises:
        UserError: if a name fits none of the layers there are, or if no layer or one layer twice is asked for.
    """
    layers = tuple(name.removesuffix(_FIRST_TRANSFORMER_BLOCK) for name in names)
    unknown = [name for name, layer in zip(names, layers, strict=True) if layer not in available]
    if unknown:
        raise UserError(
            f"The UNet has no cross-attention layer {', '.join(unknown)}: choose from {', '.join(available)}."
        )
    if not layers or len(set(layers)) < len(layers):
        raise UserError(
            f"layers={list(names)} must name one layer or more, each once: choose from {', '.join(available)}."
        )
    return layers


def last_layer(layers: Sequence[str]) -> str:
    """The layer that is executed last."""
    return max(layers, key=_execution_order)


def module_path(layer: str) -> str:
    """Full path of a layer's attention module in the UNet."""
    return layer if layer.endswith(".attn2") else layer + _FIRST_TRANSFORMER_BLOCK


def _execution_order(layer: str) -> tuple[int, ...]:
    stage = _STAGES.index(layer.split(".")[0])
    return (stage, *(int(number) for number in re.findall(r"\.(\d+)", module_path(layer))))
