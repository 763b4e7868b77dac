"""What the places of a picture are told apart by where no point is asked for: its attention queries, read once."""

from __future__ import annotations

import math

import torch

from sdcorr.datasets import ImageReader
from sdcorr.diffusion import FrozenDiffusion
from sdcorr.methods.maps import Features
from sdcorr.methods.unet_features import squashed_latents
from sdcorr.prompt import PromptMatcher
from sdcorr.prompt.randomness import Query


@torch.no_grad()
def attention_surface(matcher: PromptMatcher, key: str, image: ImageReader) -> Features | None:
    """The attention queries of a whole picture, of the finest layer that is read at a target.

    Args:
        matcher: the method, with a model.
        key: of the picture.
        image: reads a picture by its key.

    Returns:
        (heads * d, h, w), under an embedding of zeros, of several finest layers the last; None for a model with joint
        attention, whose queries are its own affair.
    """
    reader, settings = matcher.reader, matcher.settings
    if not isinstance(reader, FrozenDiffusion):
        return None
    latents, layout = squashed_latents(reader, image(key))
    noise = matcher.draws.noise([Query(key, 0.0, 0.0, 0)], 0, tuple(latents.shape[1:])).to(latents)
    noisy = reader.add_noise(latents, noise, settings.transfer_timestep)
    zeros = torch.zeros(1, reader.tokens, reader.width, device=reader.device)
    layers = reader.attention_queries(noisy, settings.transfer_timestep, zeros, heads=settings.heads)
    finest = max(reversed(layers), key=lambda layer: layer.shape[-2])  # (1, heads, h * w, d)
    side = math.isqrt(finest.shape[-2])
    return Features(finest[0].transpose(1, 2).reshape(-1, side, side).float(), layout)
