"""Nearest neighbor of any frozen vision network's features: DINOv2, DINOv3, ViT, ConvNeXt, ResNet, Swin, a callable."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sdcorr.datasets import ImageReader, SourceUnit
from sdcorr.diffusion.flops import rate
from sdcorr.errors import UserError
from sdcorr.images import to_tensor
from sdcorr.methods.consensus import Consensus
from sdcorr.methods.features import FeatureMethod
from sdcorr.methods.layout import Fit, check_fit, lay_out
from sdcorr.methods.maps import Features
from sdcorr.methods.peaks import Localization, Peaks
from sdcorr.methods.refine import Refine
from sdcorr.methods.resources import Resources
from sdcorr.vision import Network, load_network


class Vision(FeatureMethod):
    """Features of some layers of a network, each of unit length, joined on one grid.

    Args:
        resources: where the device is had from.
        network: hub id, path of a folder, or `package.module:callable`; see `sdcorr.vision.load_network`.
        revision: branch, tag or commit on the hub.
        layers: numbers of the hidden states that are read, from the end where negative; 0 is the embedding.
        side: of the picture that the network sees, pixels: both sides for `squash` and `pad`, the longer for `aspect`.
        fit: how the picture is laid out: `squash`, `pad` or `aspect`.
        grid: cells of the longer side of the grid that all layers are brought to; None: the finest layer's own.
        mean, std: of the pixels, for each channel; None: the model's own.
        localization, window, temperature: see `Peaks`; cells of the grid.
        consensus: none, dense, dense_flip or joint; see `sdcorr.methods.consensus`.
        refine: none or pixels; see `sdcorr.methods.refine`.

    Raises:
        UserError: if a setting is not legal.
    """

    def __init__(
        self,
        resources: Resources,
        network: str,
        layers: Sequence[int],
        side: int,
        fit: Fit = "squash",
        grid: int | None = None,
        revision: str | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        localization: Localization = "argmax",
        window: int = 7,
        temperature: float = 0.05,
        consensus: Consensus = "none",
        refine: Refine = "none",
    ) -> None:
        for name, value in (("side", side), ("grid", grid)):
            if not (value is None and name == "grid") and (type(value) is not int or value < 1):
                raise UserError(f"{name}={value} of vision is not legal: give a whole number from 1.")
        if not network or not isinstance(network, str):
            raise UserError("vision needs method.network=...: a hub id, a folder, or package.module:callable.")
        several = isinstance(layers, list | tuple) and len(layers) > 0
        if not several or any(type(layer) is not int for layer in layers):
            raise UserError(f"layers={layers} of vision is not legal: give numbers of hidden states, such as [-1].")
        for name, value in (("mean", mean), ("std", std)):
            three = isinstance(value, list | tuple) and len(value) == 3
            if value is not None and not (three and all(type(each) in (int, float) for each in value)):
                raise UserError(f"{name}={value} of vision is not legal: give three numbers, or null.")
        check_fit("vision", fit)
        super().__init__("vision", Peaks(localization, window, temperature), consensus, refine)
        self.device = resources.device
        self.layers, self.side, self.grid = tuple(layers), side, grid
        self.fit: Fit = fit
        self._asked: dict[str, Any] = {"name": network, "revision": revision, "mean": mean, "std": std}

    @cached_property
    def network(self) -> Network:
        """The frozen network."""
        return load_network(**self._asked).to(self.device)

    def prepare(self) -> None:
        """Loads the network.

        Raises:
            UserError: if it cannot be had, or is no network for pictures.
        """
        _ = self.network

    def flops(self, units: Sequence[SourceUnit]) -> float:
        """As for every method: a picture is read once, and all are taken for as large as the first."""
        pictures = {unit.source for unit in units} | {pair.target for unit in units for pair in unit.pairs}
        return len(pictures) * self.network.flops(self._canvas(units))

    def seconds(self, units: Sequence[SourceUnit]) -> float:
        """As for every method: by the reading of a black picture."""
        network, (width, height) = self.network, self._canvas(units)
        pixels = torch.zeros(1, 3, height, width, device=self.device)
        pace = rate(lambda: network(pixels, self.layers), network.flops((width, height)), self.device)
        return self.flops(units) / pace

    def model_identity(self) -> Mapping[str, Any]:
        """What the network is."""
        return self.network.identity

    def read(self, key: str, image: ImageReader, category: str) -> Features:
        """The features of a picture, every layer's of unit length at each cell."""
        canvas, layout = lay_out(image(key), self.side, self.fit, self.network.stride)
        pixels = to_tensor(canvas)[None].to(self.device)
        maps = self.network(pixels, self.layers)
        return Features(join(maps, self._shape(maps, layout.canvas))[0], layout)

    def _canvas(self, units: Sequence[SourceUnit]) -> tuple[int, int]:
        """(width, height) in pixels in which the network sees the first of the pictures."""
        first = Image.new("RGB", units[0].pairs[0].source_size)
        return lay_out(first, self.side, self.fit, self.network.stride)[1].canvas

    def _shape(self, maps: Sequence[Tensor], canvas: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of the grid."""
        if self.grid is None:
            height, width = max((each.shape[-2:] for each in maps), key=math.prod)
            return height, width
        width, height = (max(1, round(self.grid * side / max(canvas))) for side in canvas)
        return height, width


def join(maps: Sequence[Tensor], shape: tuple[int, int]) -> Tensor:
    """Feature maps of several layers as one: each brought to one grid bilinearly, of unit length there, side by side.

    Args:
        maps: of each layer (B, C_l, h_l, w_l).
        shape: (h, w) of the grid.

    Returns:
        (B, sum of C_l, h, w).
    """
    on_grid = [
        each if each.shape[-2:] == shape else F.interpolate(each, shape, mode="bilinear", align_corners=False)
        for each in maps
    ]
    return torch.cat([F.normalize(each, dim=1) for each in on_grid], dim=1)
