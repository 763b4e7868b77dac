"""A student over a frozen backbone: a few convolutions that turn its features into ones that match."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdcorr.student.backbone import frozen_network


class Adapter(nn.Module):
    """Reads layers of a frozen vision network, brings them to one grid, and adapts them.

    At first it leaves the backbone's features as they are: turned at random, which leaves every cosine what it was, or
    projected where `channels` are fewer than the layers have. So training begins from their own nearest neighbor;
    DIY-SC (Duenkel et al. 2025) adapts SD+DINO so.

    Args:
        network: hub id, path of a folder, or `package.module:callable`; see `sdcorr.vision.load_network`.
        layers: numbers of the hidden states that are read.
        side: of the square picture that it sees, pixels.
        grid: cells a side of its features.
        channels: of the features.
        revision: branch, tag or commit on the hub.
        mean, std: of the pixels, for each channel; None: the model's own.

    Raises:
        UserError: if the backbone cannot be had, or has no such layer.
    """

    def __init__(
        self,
        network: str,
        layers: Sequence[int],
        side: int,
        grid: int,
        channels: int = 256,
        revision: str | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.side, self.grid, self.layers = side, grid, tuple(layers)
        self.backbone = frozen_network(network, revision, mean, std)
        self.identity: dict[str, Any] = dict(self.backbone.identity)
        self.project = nn.Conv2d(self._width(), channels, 1)
        nn.init.orthogonal_(self.project.weight)
        nn.init.zeros_(torch.as_tensor(self.project.bias))
        out = nn.Conv2d(channels, channels, 1, bias=False)
        nn.init.zeros_(out.weight)
        across = nn.Conv2d(channels, channels, 3, padding=1, groups=8)
        self.mix = nn.Sequential(nn.GroupNorm(8, channels), across, nn.SiLU(), out)

    @torch.no_grad()
    def _width(self) -> int:
        """Channels of all layers together."""
        return sum(each.shape[1] for each in self.backbone(torch.zeros(1, 3, self.side, self.side), self.layers))

    def train(self, mode: bool = True) -> Adapter:
        """As ever, but for the backbone, which is never trained."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, side, side) RGB in [0, 1] -> (B, C, grid, grid), of unit length at every cell."""
        maps = self.backbone(pixels, self.layers)
        shape = (self.grid, self.grid)
        on_grid = [F.normalize(F.interpolate(each, shape, mode="bilinear"), dim=1) for each in maps]
        joined = self.project(torch.cat(on_grid, dim=1))
        return F.normalize((joined + self.mix(joined)).float(), dim=1)
