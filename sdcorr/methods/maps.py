"""Methods that give a map over the target for every query point: what can be joined, drawn, or read in another way."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sdcorr.datasets import ImageReader, SourceUnit, Target
from sdcorr.methods.base import Method
from sdcorr.methods.layout import Layout


@dataclass(frozen=True, eq=False)
class ScoreMaps:
    """How well each place of a target fits the query points that it is asked for."""

    values: Tensor  # (V, h, w), on a grid that covers the canvas of the layout
    layout: Layout  # of the target
    kind: Literal["cosine", "attention"]  # cosines in [-1, 1]; or attention, not negative

    def over_picture(self, shape: tuple[int, int]) -> Tensor:
        """The maps stretched over the whole picture and nothing else, (V, *shape), bilinear; padding falls away."""
        height, width = shape
        x = (torch.arange(width) + 0.5) / width
        y = (torch.arange(height) + 0.5) / height
        x0, y0, x1, y1 = self.layout.box
        x = (x0 + x * (x1 - x0)) / self.layout.canvas[0] * 2 - 1
        y = (y0 + y * (y1 - y0)) / self.layout.canvas[1] * 2 - 1
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None].to(self.values)  # (1, h, w, 2)
        return F.grid_sample(self.values[None], grid, padding_mode="border", align_corners=False)[0]

    def log_scores(self, shape: tuple[int, int]) -> Tensor:
        """Scores over the picture that can be added to others, (V, *shape): cosines; the log of attention's share."""
        values = self.over_picture(shape)
        if self.kind == "cosine":
            return values
        share = values.clamp(min=0) / values.clamp(min=0).sum((1, 2), keepdim=True).clamp(min=torch.finfo().tiny)
        return share.clamp(min=1e-12).log()


class MapMethod(Method):
    """A method whose matches are read from maps over the target."""

    @abstractmethod
    def maps(self, unit: SourceUnit, image: ImageReader) -> Iterator[tuple[Target, ScoreMaps]]:
        """Yields every target of the unit that asks for a point, with the maps of its points."""
