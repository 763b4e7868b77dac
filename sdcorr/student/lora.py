"""Students that are a frozen network itself, with low-rank additions to its attention (LoRA, Hu et al. 2021).

Where an adapter turns features that are there into others, additions change how they come about. They are few: a rank
of 8 adds 1 to 4 % to a network, and they alone are trained and written to disk. At first they add nothing, so that
training begins from the network's own nearest neighbor.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.errors import UserError
from sdcorr.student.backbone import frozen_network
from sdcorr.toybox.anatomy import MODEL_FOLDER


class LowRank(nn.Module):
    """What is added to a linear map of `given` to `made` channels: a map through `rank` channels, zero at first."""

    def __init__(self, given: int, made: int, rank: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(given, rank, bias=False), nn.Linear(rank, made, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, values: Tensor) -> Tensor:
        """(..., given) -> (..., made)."""
        return self.up(self.down(values))


class LoraStudent(nn.Module, ABC):
    """A frozen network whose linear maps of some names have low-rank additions.

    Args:
        backbone: the network; it is frozen here, and no part of what is trained or kept.
        identity: what it is.
        modules: regular expression that a whole path in the network has to match.
        rank: of the additions.
        side: of the square picture that it sees, pixels.
        grid: cells a side of its features.

    Raises:
        UserError: if no linear map has such a path, or the rank is not legal.
    """

    def __init__(
        self, backbone: nn.Module, identity: dict[str, Any], *, modules: str, rank: int, side: int, grid: int
    ) -> None:
        super().__init__()
        if type(rank) is not int or rank < 1:
            raise UserError(f"student.network.rank={rank} is not legal: give a whole number from 1.")
        self.backbone, self.identity, self.side, self.grid = backbone.requires_grad_(False).eval(), identity, side, grid
        linear = {path: each for path, each in backbone.named_modules() if isinstance(each, nn.Linear)}
        chosen = {path: each for path, each in linear.items() if re.fullmatch(modules, path)}
        if not chosen:
            some = ", ".join(list(linear)[:3]) or "none"
            raise UserError(
                f"No linear map of the network is named {modules} (there are {some}): give another pattern."
            )
        self.paths = tuple(chosen)
        self.added = nn.ModuleList(LowRank(each.in_features, each.out_features, rank) for each in chosen.values())
        for each, addition in zip(chosen.values(), self.added, strict=True):
            each.register_forward_hook(partial(_add, addition))

    def train(self, mode: bool = True) -> LoraStudent:
        """As ever, but for the backbone, which stays as it is used."""
        super().train(mode)
        self.backbone.eval()
        return self

    @abstractmethod
    def maps(self, pixels: Tensor) -> Sequence[Tensor]:
        """(B, 3, side, side) RGB in [0, 1] -> feature maps (B, C, h, w), differentiable in the additions."""

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, side, side) RGB in [0, 1] -> (B, C, grid, grid), of unit length at every cell."""
        shape = (self.grid, self.grid)
        found = [F.normalize(F.interpolate(each.float(), shape, mode="bilinear"), dim=1) for each in self.maps(pixels)]
        return F.normalize(torch.cat(found, dim=1), dim=1)


class VisionLora(LoraStudent):
    """Additions to a vision network, as the `vision` method reads it: DINOv2 and whatever else transformers has.

    Args:
        network, revision, mean, std: see `sdcorr.vision.load_network`.
        layers: numbers of the hidden states that are read.
        side, grid, rank, modules: see `LoraStudent`.

    Raises:
        UserError: if the network cannot be had, or has no such layer or linear map.
    """

    def __init__(
        self,
        network: str,
        layers: Sequence[int],
        side: int,
        grid: int,
        rank: int,
        modules: str,
        revision: str | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        backbone = frozen_network(network, revision, mean, std)
        super().__init__(backbone, dict(backbone.identity), modules=modules, rank=rank, side=side, grid=grid)
        self.layers = tuple(layers)

    def maps(self, pixels: Tensor) -> Sequence[Tensor]:
        """The hidden states of the layers."""
        return self.backbone(pixels, self.layers)


class UNetLora(LoraStudent):
    """Additions to the UNet of a diffusion model, whose features of clean latents are read in one pass.

    CleanDIFT (Stracke et al. 2025) tunes a whole UNet to give its noisy features without noise; here additions learn
    what matches.

    Args:
        model: hub id or folder of a diffusion model with a UNet; `toybox`: the one that ships.
        block: UNet module whose output is read.
        timestep: that the UNet is told; nothing is added to the latents.
        side: of the square picture that it sees, pixels; as the model was trained.
        grid, rank, modules: see `LoraStudent`; paths begin in the UNet.

    Raises:
        UserError: if the model cannot be had, or has no such block, timestep or linear map.
    """

    def __init__(self, model: str, block: str, timestep: int, side: int, grid: int, rank: int, modules: str) -> None:
        name = str(MODEL_FOLDER) if model == "toybox" else model
        backbone = FrozenDiffusion.load(name, image_size=side, truncate=False)
        if type(timestep) is not int or not 0 <= timestep < len(backbone.alphas_cumprod):
            last = len(backbone.alphas_cumprod) - 1
            raise UserError(f"student.network.timestep={timestep} is not in this model: give 0 to {last}.")
        backbone.block(block)  # complains if there is none
        super().__init__(
            backbone, backbone.identity(), modules=rf"unet\.(?:{modules})", rank=rank, side=side, grid=grid
        )
        self.block, self.timestep = block, timestep

    def maps(self, pixels: Tensor) -> Sequence[Tensor]:
        """The block's output."""
        model = self.backbone
        assert isinstance(model, FrozenDiffusion)
        latents = model.encode(pixels)
        prompt = torch.zeros(len(latents), model.tokens, model.width, device=latents.device)
        return [model.features(latents, self.timestep, prompt, [self.block])[self.block]]


def _add(addition: nn.Module, module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> Tensor:
    return made + addition(given[0])
