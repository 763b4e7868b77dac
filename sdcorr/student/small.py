"""The small student: a residual network of its own, a picture to features on a grid, a few milliseconds on a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn

from sdcorr.errors import UserError


class SmallStudent(nn.Module):
    """Down to an eighth of the picture's side and up again to half of it, with attention where the grid is coarsest.

    Detail comes from the fine levels, and the whole, on which left and right hang, from the attention.

    Args:
        side: of the square picture that it sees, pixels; a multiple of 8.
        widths: channels at a half, a quarter and an eighth of the side.
        blocks: residual blocks at each level, on the way down (but at the finest) and on the way up.
        channels: of the features.

    Attributes:
        side: see above.
        stride: pixels of the picture per cell.

    Raises:
        UserError: if `side` is no multiple of 8 or `widths` are not three.
    """

    stride = 2

    def __init__(
        self, side: int = 64, widths: Sequence[int] = (24, 64, 128), blocks: int = 1, channels: int = 64
    ) -> None:
        super().__init__()
        if side % 8 or len(widths) != 3:
            raise UserError(f"side={side}, widths={list(widths)}: give a multiple of 8, and three numbers of channels.")
        self.side = side
        fine, middle, coarse = widths
        self.stem = nn.Sequential(nn.Conv2d(3, fine, 5, 2, 2, bias=False), BatchNorm(fine), nn.SiLU())
        self.to_middle = _step_down(fine, middle)
        self.middle = _level(middle, blocks)
        self.to_coarse = _step_down(middle, coarse)
        self.coarse = nn.Sequential(_level(coarse, blocks), Attention(coarse), _level(coarse, blocks))
        self.from_coarse = nn.Conv2d(coarse, middle, 1)
        self.middle_up = _level(middle, blocks)
        self.from_middle = nn.Conv2d(middle, fine, 1)
        self.fine_up = _level(fine, blocks)
        self.head = nn.Conv2d(fine, channels, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Features of pictures.

        Args:
            pixels: (B, 3, side, side) RGB in [0, 1].

        Returns:
            (B, C, side / 2, side / 2), of unit length at every cell.
        """
        fine = self.stem(pixels * 2 - 1)
        middle = self.middle(self.to_middle(fine))
        coarse = self.coarse(self.to_coarse(middle))
        middle = self.middle_up(middle + _twice(self.from_coarse(coarse)))
        fine = self.fine_up(fine + _twice(self.from_middle(middle)))
        return F.normalize(self.head(fine).float(), dim=1)


class BatchNorm(nn.BatchNorm2d):
    """That of torch; where several processes share a batch, by the mean and variance of the whole of it.

    torch's own SyncBatchNorm does so on GPUs alone.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        if not (self.training and distributed.is_available() and distributed.is_initialized()):
            return super().forward(input)
        values = input.float()
        count = torch.tensor(float(values[:, 0].numel()), device=values.device)
        distributed.all_reduce(count)
        mean = _over_all(values.sum((0, 2, 3))) / count  # (C,)
        away = values - mean[:, None, None]
        variance = _over_all(away.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            known = [cast(Tensor, each) for each in (self.num_batches_tracked, self.running_mean, self.running_var)]
            known[0].add_(1)
            known[1].lerp_(mean, cast(float, self.momentum))
            known[2].lerp_(variance * count / (count - 1), cast(float, self.momentum))
        scale = self.weight / (variance + self.eps).sqrt()
        return (away * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)


class _Sum(torch.autograd.Function):
    """The sum over all processes; each has a share in what all make of it."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradients[0])


def _over_all(values: Tensor) -> Tensor:
    return cast(Tensor, _Sum.apply(values))


class Residual(nn.Module):
    """Two 3 x 3 convolutions, added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.first_norm = BatchNorm(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second_norm = BatchNorm(width)
        nn.init.zeros_(self.second_norm.weight)  # it begins as the identity

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        inner = F.silu(self.first_norm(self.first(x)))
        return F.silu(x + self.second_norm(self.second(inner)))


class Attention(nn.Module):
    """Self-attention of a grid's cells with one another, added to what came in."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(1, width)
        self.project = nn.Conv2d(width, 3 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        batch, width, height, across = x.shape
        parts = self.project(self.norm(x)).reshape(batch, 3, self.heads, width // self.heads, height * across)
        query, key, value = parts.transpose(-1, -2).unbind(1)  # (B, heads, h * w, C / heads) each
        found = F.scaled_dot_product_attention(query, key, value).transpose(-1, -2)
        return x + self.out(found.reshape(batch, width, height, across))


def _level(width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(Residual(width) for _ in range(blocks)))


def _step_down(inner: int, outer: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inner, outer, 3, 2, 1, bias=False), BatchNorm(outer), nn.SiLU())


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
