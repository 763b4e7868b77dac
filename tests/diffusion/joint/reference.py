"""Joint attention maps computed plainly: diffusers' own transformer, unmodified, and the softmax written out.

What the projections put out is caught by hooks; normalization, rotation and the whole matrix of scores are computed
here, by other formulas than the library's.
"""

from collections.abc import Mapping

import torch
from diffusers import FluxPipeline, FluxTransformer2DModel, SD3Transformer2DModel
from torch import Tensor, nn

Transformer = SD3Transformer2DModel | FluxTransformer2DModel


def plain_maps(
    transformer: Transformer, layers: tuple[str, ...], noisy: Tensor, sigma: float, embeddings: Tensor, token: int
) -> dict[str, Tensor]:
    """Layer -> (B, heads, n, n), with the graph that leads to the embeddings."""
    caught: dict[str, dict[str, Tensor]] = {layer: {} for layer in layers}
    hooks = [
        module.register_forward_hook(lambda _, inputs, output, at=caught[layer], name=name: at.update({name: output}))
        for layer in layers
        for name, module in transformer.get_submodule(layer).named_children()
        if name in ("to_q", "to_k", "add_q_proj", "add_k_proj")
    ]
    call(transformer, noisy, sigma, embeddings)
    for hook in hooks:
        hook.remove()
    is_flux = isinstance(transformer, FluxTransformer2DModel)
    side, text = noisy.shape[-1] // 2, embeddings.shape[1]
    maps = {}
    for layer, outputs in caught.items():
        attn = transformer.get_submodule(layer)
        image_q, _ = _heads(attn, outputs, "q", is_flux, text)
        image_k, text_k = _heads(attn, outputs, "k", is_flux, text)
        if is_flux:  # the text's positions are zero, where a rotation does nothing
            axes = transformer.config.axes_dims_rope
            image_q, image_k = _rotate(image_q, side, axes), _rotate(image_k, side, axes)
        keys = torch.cat((text_k, image_k), 2)
        scores = torch.einsum("bhnd,bhmd->bhnm", image_q, keys) / image_q.shape[-1] ** 0.5
        column = scores.exp()[..., token] / scores.exp().sum(-1)
        maps[layer] = column.unflatten(-1, (side, side))
    return maps


def call(transformer: Transformer, noisy: Tensor, sigma: float, embeddings: Tensor) -> Tensor:
    """The transformer as diffusers' pipelines call it, with an empty pooled text and plain guidance."""
    batch, channels, height, width = noisy.shape
    pooled = torch.zeros(batch, transformer.config.pooled_projection_dim, dtype=noisy.dtype)
    if isinstance(transformer, SD3Transformer2DModel):
        time = torch.full((batch,), sigma * 1000)
        return transformer(noisy, embeddings, pooled, time).sample
    return transformer(
        FluxPipeline._pack_latents(noisy, batch, channels, height, width),
        embeddings,
        pooled,
        torch.full((batch,), sigma),
        FluxPipeline._prepare_latent_image_ids(batch, height // 2, width // 2, noisy.device, noisy.dtype),
        torch.zeros(embeddings.shape[1], 3),
        torch.ones(batch),
    ).sample


def _heads(
    attn: nn.Module, outputs: Mapping[str, Tensor], side: str, is_flux: bool, text_tokens: int
) -> tuple[Tensor, Tensor]:
    """Image's and text's queries or keys, (B, heads, rows, d), normalized."""
    own = _normalize(outputs[f"to_{side}"], attn.heads, getattr(attn, f"norm_{side}"))
    if f"add_{side}_proj" in outputs:
        return own, _normalize(outputs[f"add_{side}_proj"], attn.heads, getattr(attn, f"norm_added_{side}", None))
    assert is_flux  # a single block: text first, in one sequence
    return own[:, :, text_tokens:], own[:, :, :text_tokens]


def _normalize(x: Tensor, heads: int, norm: nn.Module | None) -> Tensor:
    x = torch.stack(x.chunk(heads, -1), 1)  # (B, heads, rows, d)
    if norm is None:
        return x
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * norm.weight


def _rotate(x: Tensor, side: int, axes: tuple[int, ...]) -> Tensor:
    """Pairs of channels as complex numbers, turned by position times frequency, axis by axis (0, row, column)."""
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    positions = (torch.zeros(side * side), row.flatten(), column.flatten())
    angles = torch.cat(
        [
            position[:, None] * 10_000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
            for position, width in zip(positions, axes, strict=True)
        ],
        -1,
    )  # (N, d / 2)
    turned = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous()) * torch.polar(
        torch.ones_like(angles), angles
    )
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)
