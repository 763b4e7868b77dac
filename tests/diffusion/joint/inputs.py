"""What the small models are given, and what is asked of their maps."""

from pathlib import Path

import torch

from sdcorr.diffusion.joint import JointDiffusion
from tests.diffusion.joint.models import WIDTH

TOKENS = 7
TIMESTEP = 140
Inputs = tuple[torch.Tensor, int, torch.Tensor]


def load(folder: Path, layers: tuple[str, ...] = ("*",), **options: object) -> JointDiffusion:
    return JointDiffusion.load(str(folder), layers=layers, tokens=TOKENS, **options)


def random_inputs(batch: int = 2, tokens: int = TOKENS) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    noisy = torch.randn(batch, 16, 16, 16, generator=generator)
    return noisy, TIMESTEP, torch.randn(batch, tokens, WIDTH, generator=generator)


def weighted(maps: list[torch.Tensor]) -> torch.Tensor:
    """A number that every cell of every map is part of."""
    return sum((m * torch.linspace(-1, 1, m.numel()).view_as(m)).sum() for m in maps)


def maps_and_gradient(model: JointDiffusion, **options: object) -> tuple[list[torch.Tensor], torch.Tensor]:
    noisy, timestep, embeddings = random_inputs()
    maps = model.attention_maps(noisy, timestep, embeddings.requires_grad_(), **{"heads": "all"} | options)
    return maps, torch.autograd.grad(weighted(maps), embeddings)[0]
