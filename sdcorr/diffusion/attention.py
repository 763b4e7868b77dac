"""Reading cross-attention: which layers, which heads, which token.

diffusers' own seam is used and nothing is patched: a layer that is read gets an attention processor that also hands
its attention queries and keys to the reading under way. Every other layer keeps diffusers' default processor, whose
fused kernel never forms the matrix.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from sdcorr.diffusion.precision import matmul_fp32
from sdcorr.errors import UserError

Heads = Literal["last_half", "all"] | Sequence[int]

_STAGES = ("down_blocks", "mid_block", "up_blocks")  # order of execution; the module tree has another one
_BLOCK = ".transformer_blocks."  # an attention of Stable Diffusion 1.x and 2.x has one of them, of SDXL up to ten


class LastLayerRead(Exception):
    """Raised inside the UNet when the last layer is read: nothing after it is wanted."""


@dataclass(frozen=True)
class Layer:
    """Cross-attention that is read as one map: of one transformer block, or the mean over those of an attention.

    Attributes:
        name: `up_blocks.0.attentions.1`, or `up_blocks.0.attentions.1.transformer_blocks.3` for one of its blocks.
        paths: full paths of the attention modules in the UNet, in order of execution.
    """

    name: str
    paths: tuple[str, ...]


class CrossAttention(Protocol):
    """What is read of an attention of a UNet. diffusers declares that layers may be missing, as in other networks."""

    heads: int
    scale: float
    rescale_output_factor: float
    to_q: nn.Linear
    to_k: nn.Linear
    to_v: nn.Linear
    to_out: nn.ModuleList


# Of (attn, query (B, H, h*w, d), key (B, H, T, d)), all heads.
Keep = Callable[[CrossAttention, Tensor, Tensor], Tensor]


@dataclass
class _Reading:
    """One forward pass: what to keep of an attention that is read, and what was kept so far by its path."""

    keep: Keep
    kept: dict[str, Tensor] = field(default_factory=dict)


class AttentionTap:
    """Attention processors for the layers that are read.

    Args:
        unet: gets the processors.
        layers: that are read.

    Attributes:
        paths: of all attention modules that are read, in order of execution.
    """

    def __init__(self, unet: UNet2DConditionModel, layers: Sequence[Layer]) -> None:
        self.paths = sorted({path for layer in layers for path in layer.paths}, key=_execution_order)
        self.reading: _Reading | None = None  # none: the layers only attend
        self._layers = layers
        processors: dict[str, Any] = dict(unet.attn_processors)
        for path in self.paths:
            processors[f"{path}.processor"] = _TappedAttention(path, self, is_last=path == self.paths[-1])
        unet.set_attn_processor(processors)

    def read(self, keep: Keep, run: Callable[[], object]) -> list[list[Tensor]]:
        """What is kept of each layer, block by block, while the UNet runs up to the last of them.

        Args:
            keep: what to keep of an attention.
            run: calls the UNet once.
        """
        reading = self.reading = _Reading(keep)
        try:
            run()
        except LastLayerRead:
            pass
        finally:
            self.reading = None
        return [[reading.kept[path] for path in layer.paths] for layer in self._layers]


@dataclass(frozen=True)
class _TappedAttention:
    path: str
    tap: AttentionTap
    is_last: bool

    def __call__(
        self,
        attn: CrossAttention,
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
            reading.kept[self.path] = reading.keep(attn, query, key)
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


def mean_map(blocks: Sequence[Tensor]) -> Tensor:
    """The mean of the maps of a layer's transformer blocks, each (B, H, h, w)."""
    return blocks[0] if len(blocks) == 1 else torch.stack(tuple(blocks)).mean(0)


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


def cross_attention_paths(unet: UNet2DConditionModel) -> list[str]:
    """Full paths of the cross-attention modules, in order of execution."""
    return sorted((name for name, _ in unet.named_modules() if name.endswith(".attn2")), key=_execution_order)


def cross_attention_layers(paths: Sequence[str]) -> list[Layer]:
    """The attentions that the modules belong to, in order of execution: each stands for all its transformer blocks."""
    layers: dict[str, list[str]] = {}
    for path in paths:
        layers.setdefault(path.partition(_BLOCK)[0], []).append(path)
    return [Layer(name, tuple(blocks)) for name, blocks in layers.items()]


def resolve_layers(names: Sequence[str], paths: Sequence[str]) -> tuple[Layer, ...]:
    """The layers that names and patterns mean.

    Args:
        names: of attentions, of transformer blocks of an attention, or full paths; `*` stands for any name or number
            between two dots, as in `up_blocks.0.attentions.*`.
        paths: of all cross-attention modules there are, in order of execution.

    Returns:
        The layers, those of a pattern in order of execution.

    Raises:
        UserError: if a name or pattern fits none of the layers there are, or if no layer or one layer twice is meant.
    """
    attentions = cross_attention_layers(paths)
    several = [path for each in attentions if len(each.paths) > 1 for path in each.paths]
    blocks = [Layer(path.removesuffix(".attn2"), (path,)) for path in several]
    known = {layer.name: layer for layer in (*attentions, *blocks)}
    choice = ", ".join(layer.name for layer in attentions)
    found: list[Layer] = []
    for name in names:
        fitting = [layer for short, layer in known.items() if _fits(name, layer, short)]
        if not fitting:
            raise UserError(f"The UNet has no cross-attention layer {name}: choose from {choice}.")
        found += fitting
    if not found or len(set(found)) < len(found):
        raise UserError(f"layers={list(names)} must name one layer or more, each once: choose from {choice}.")
    return tuple(found)


def _fits(name: str, layer: Layer, short: str) -> bool:
    """Whether a name or pattern means a layer; its only block is the attention itself."""
    pattern = re.compile(re.escape(name).replace(r"\*", "[^.]+"))
    only = layer.paths[0] if len(layer.paths) == 1 else short
    return any(map(pattern.fullmatch, {short, only, only.removesuffix(".attn2")}))


def _execution_order(path: str) -> tuple[int, ...]:
    """Where in a forward pass a module of the UNet has its turn, as something that can be compared."""
    stage = _STAGES.index(path.split(".")[0])
    return (stage, *(int(number) for number in re.findall(r"\.(\d+)", path)))
