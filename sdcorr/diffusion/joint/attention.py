"""Reading joint attention: image and text tokens attend to one another in one softmax.

The counterpart of a cross-attention map is the part of that softmax where image queries meet the key of one text
token. Image keys stand in its denominator beside the text's, and they are thousands: the matrix is never whole in
memory, neither forward nor backward.

As in `attention`, diffusers' own seam is used: every joint layer up to the last one that is read gets a processor that
computes what diffusers' own does, and shows what it computes to the pass under way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import apply_rotary_emb
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sdcorr.diffusion.attention import LastLayerRead, split_heads, token_column
from sdcorr.diffusion.precision import matmul_fp32
from sdcorr.errors import UserError

_STACKS = ("transformer_blocks", "single_transformer_blocks")  # in order of execution
_SCORES_AT_ONCE = 2**25  # numbers, 128 MB: all of Stable Diffusion 3's at 512 px, for one query
_Rope = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class TokenOrder:
    """Where the two kinds of tokens are in the joint sequence."""

    text_first: bool
    text_tokens: int

    def image(self, length: int) -> slice:
        """Rows of the image tokens in a sequence of `length` tokens."""
        return slice(self.text_tokens, length) if self.text_first else slice(0, length - self.text_tokens)

    def text(self, length: int) -> slice:
        """Rows of the text tokens in a sequence of `length` tokens."""
        return slice(0, self.text_tokens) if self.text_first else slice(length - self.text_tokens, length)

    def join(self, image: Tensor, text: Tensor) -> Tensor:
        """(..., N, d) and (..., T, d) -> (..., N + T, d)."""
        return torch.cat((text, image) if self.text_first else (image, text), -2)


class JointPass:
    """One pass through the joint layers: sees the scores' two sides at each, and may add keys and values."""

    def see(self, layer: str, query: Tensor, key: Tensor) -> None:
        """Look at a layer.

        Args:
            layer: its name.
            query: (B, heads, rows, d), normalized and rotated as the model does.
            key: (B, heads, rows, d), likewise.
        """

    def extend(self, layer: str, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """What the layer's queries attend to, (B, heads, rows, d) each: its own keys and values, if need be others."""
        return key, value


@dataclass
class JointTap:
    """The attention processors of a transformer's joint layers, and the pass under way (none: they only attend).

    Attributes:
        text_first: whether text tokens come before image tokens.
        now: the pass under way.
    """

    text_first: bool
    now: JointPass | None = field(default=None, init=False)

    def install(self, transformer: nn.Module, layers: Sequence[str]) -> None:
        """Put processors into `layers`, of which the last leaves the transformer when a pass has seen it."""
        for layer in layers:
            attn: Any = transformer.get_submodule(layer)
            attn.set_processor(_TappedJointAttention(layer, self, is_last=layer == layers[-1]))


@dataclass(frozen=True)
class _TappedJointAttention:
    layer: str
    tap: JointTap
    is_last: bool

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: _Rope | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Both kinds of tokens attend to both.

        Args:
            attn: the layer, diffusers' `Attention` or `FluxAttention`.
            hidden_states: (B, N, C) image tokens; (B, T + N, C) text and image where there is no other input.
            encoder_hidden_states: (B, T, C) text tokens.
            attention_mask: none, in these models.
            image_rotary_emb: cosines and sines (T + N, d) of FLUX's positions.

        Returns:
            Image tokens and text tokens; in one where they came in one.
        """
        query = _rotated(self._projected(attn, "q", hidden_states, encoder_hidden_states), image_rotary_emb)
        key = _rotated(self._projected(attn, "k", hidden_states, encoder_hidden_states), image_rotary_emb)
        if self.tap.now is not None:
            self.tap.now.see(self.layer, query, key)
            if self.is_last:
                raise LastLayerRead
        value = self._projected(attn, "v", hidden_states, encoder_hidden_states)
        if self.tap.now is not None:
            key, value = self.tap.now.extend(self.layer, key, value)
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)  # (B, rows, C)
        if encoder_hidden_states is None:
            return attended
        order = TokenOrder(self.tap.text_first, encoder_hidden_states.shape[1])
        length = attended.shape[1]
        image = attn.to_out[1](attn.to_out[0](attended[:, order.image(length)].contiguous()))
        text = attended[:, order.text(length)].contiguous()  # a product with a view would copy the weights instead
        return image, text if attn.context_pre_only else attn.to_add_out(text)

    def _projected(self, attn: Any, side: str, hidden: Tensor, text: Tensor | None) -> Tensor:
        """Queries (q), keys (k) or values (v) of all tokens, (B, heads, rows, d), normalized if the model does so."""
        own = _normalized(attn, f"norm_{side}", split_heads(getattr(attn, f"to_{side}")(hidden), attn.heads))
        if text is None:
            return own
        added = split_heads(getattr(attn, f"add_{side}_proj")(text), attn.heads)
        return TokenOrder(self.tap.text_first, text.shape[1]).join(own, _normalized(attn, f"norm_added_{side}", added))


def _normalized(attn: Any, norm: str, x: Tensor) -> Tensor:
    module = getattr(attn, norm, None)
    return x if module is None else module(x)


def _rotated(x: Tensor, rope: _Rope | None) -> Tensor:
    if rope is None:
        return x
    rotated: Any = apply_rotary_emb(x, rope)  # pyright: ignore[reportArgumentType] - diffusers annotates another rope
    return rotated


def joint_column(query: Tensor, key: Tensor, token: int) -> Tensor:
    """The share of attention that one token gets from every image position, among image and text tokens.

    The rows of the softmax are computed some at a time and again in the backward pass, so that memory grows with the
    number of tokens and not with its square.

    Args:
        query: (B, H, N, d), attention queries of the image.
        key: (B, H, N + T, d), keys of all tokens.
        token: row of the token in `key`.

    Returns:
        (B, H, N) float32 in [0, 1]: softmax over all tokens, at `token`.
    """
    scale = query.shape[-1] ** -0.5
    rows = max(1, _SCORES_AT_ONCE // (key.shape[:3].numel()))
    columns = [
        checkpoint(_own_column, part, key, token, scale, use_reentrant=False, preserve_rng_state=False)
        for part in query.split(rows, -2)
    ]
    return torch.cat(columns, -1)


def _own_column(query: Tensor, key: Tensor, token: int, scale: float) -> Tensor:
    return token_column(query, key, token, scale).clone()  # a view would hold on to the softmax of these rows


def image_share(query: Tensor, key: Tensor) -> Tensor:
    """What the image's own keys put into the softmax's denominator, as a logarithm; without gradient.

    Args:
        query: (B, H, N, d), attention queries of the image.
        key: (B, H, N, d), keys of the image.

    Returns:
        (B, H, N) float32: log of the sum over the image's keys of exp(score).
    """
    dtype = torch.promote_types(query.dtype, torch.float32)
    scaled = (key.to(dtype) * query.shape[-1] ** -0.5).mT
    rows = max(1, _SCORES_AT_ONCE // (key.shape[:3].numel()))
    return torch.cat([matmul_fp32(part.to(dtype), scaled).logsumexp(-1) for part in query.split(rows, -2)], -1)


def text_column(query: Tensor, key: Tensor, share: Tensor, token: int) -> Tensor:
    """`joint_column`, where the image's own scores are known by their sum.

    Args:
        query: (B or 1, H, N, d), attention queries of the image.
        key: (B, H, T, d), keys of the text.
        share: (B or 1, H, N), as `image_share` gives it.
        token: index of the token, 0 <= token < T.

    Returns:
        (B, H, N) in [0, 1].
    """
    dtype = torch.promote_types(query.dtype, torch.float32)
    scores = matmul_fp32(query.to(dtype), (key.to(dtype) * query.shape[-1] ** -0.5).mT)  # (B, H, N, T)
    share = share.to(dtype).expand(scores.shape[:-1])[..., None]
    return torch.cat((scores, share), -1).softmax(-1)[..., token]


def square(column: Tensor) -> Tensor:
    """(..., n * n) positions, row by row -> (..., n, n)."""
    side = round(column.shape[-1] ** 0.5)  # latents are square
    return column.unflatten(-1, (side, side))


def joint_layers(transformer: nn.Module) -> list[str]:
    """Module paths of the joint attention layers in order of execution, e.g. "transformer_blocks.7.attn".

    The second attention of some of Stable Diffusion 3.5's blocks (attn2) has no text in it and is none of them.
    """
    blocks: Mapping[str, nn.ModuleList] = {name: getattr(transformer, name, nn.ModuleList()) for name in _STACKS}
    return [f"{stack}.{index}.attn" for stack, items in blocks.items() for index in range(len(items))]


def resolve_joint_layers(names: Sequence[str], available: Sequence[str]) -> tuple[str, ...]:
    """Names and patterns ("transformer_blocks.[789].attn", "single_transformer_blocks.*.attn") as module paths.

    Args:
        names: in the order wanted; the layers of a pattern are in order of execution.
        available: what `joint_layers` found.

    Raises:
        UserError: if a name fits no layer, or if no layer or one layer twice is asked for.
    """
    found = {name: [layer for layer in available if fnmatchcase(layer, name)] for name in names}
    if unknown := [name for name, layers in found.items() if not layers]:
        raise UserError(
            f"The transformer has no joint attention layer {', '.join(unknown)}: choose from {_ranges(available)}; "
            "`*` stands for every number."
        )
    layers = tuple(layer for name in names for layer in found[name])
    if not layers or len(set(layers)) < len(layers):
        raise UserError(
            f"layers={list(names)} must name one layer or more, each once: choose from {_ranges(available)}."
        )
    return layers


def _ranges(layers: Sequence[str]) -> str:
    """The first and the last of each stack: dozens of names would hide the sentence."""
    stacks = [[layer for layer in layers if layer.startswith(f"{stack}.")] for stack in _STACKS]
    return ", ".join(stack[0] if len(stack) == 1 else f"{stack[0]} to {stack[-1]}" for stack in stacks if stack)
