"""Features of Stable Diffusion and of DINOv2 side by side: "A Tale of Two Features" (Zhang et al. 2023).

Three levels of the UNet's way up are reduced to 256 components each by one PCA of both pictures of a pair, brought to
60 x 60 cells and normalized together; DINOv2's tokens are normalized beside them, and the nearest neighbor is taken.

Where this differs from the released code (sd-dino): **the prompt of the UNet is zeros.** There, ODISE gives it an
embedding of the picture that was fine-tuned for panoptic segmentation, which is worth a point (GeoAware-SC, zero-shot
and per point: 69.6 with it, 68.6 without). Pictures are scaled bilinearly, not by Lanczos; every picture has noise of
its own; principal components are exact, not of a random low rank; and a match never lies in the padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sdcorr.datasets import ImageReader, Match, Pair, SourceUnit, Target
from sdcorr.errors import UserError
from sdcorr.finite import check_finite
from sdcorr.images import image_to_tensor
from sdcorr.methods.consensus import Consensus, check_consensus
from sdcorr.methods.features import cosine_maps
from sdcorr.methods.layout import Layout, lay_out
from sdcorr.methods.maps import KEPT, Features, MapMethod, ScoreMaps
from sdcorr.methods.peaks import Localization, Peaks
from sdcorr.methods.refine import Refine, check_refine
from sdcorr.methods.resources import Resources
from sdcorr.methods.unet_features import UNetFeatures
from sdcorr.methods.vision import Vision


class SDDino(MapMethod):
    """Nearest neighbor among joined features of a UNet and of a vision network, of pictures padded to a square.

    Args:
        resources: where the frozen diffusion model is had from; its `image_size` is the side of the padded picture.
        blocks: modules of the UNet, from coarse to fine.
        timestep: of the noise.
        components: that each block is reduced to; of fewer channels all are kept.
        network: of the vision network, see `sdcorr.vision.load_network`.
        layer: of its hidden states.
        side: of the padded picture that it sees, pixels.
        grid: cells a side of the joined features.
        weight: of the UNet's part, from 0 to 1; the other has the rest.
        seed: of the noise.
        localization, window, temperature: see `Peaks`; cells of the grid.
        consensus: see `sdcorr.methods.consensus`; it stands on DINOv2's tokens.
        refine: see `sdcorr.methods.refine`.

    Raises:
        UserError: if a setting is not legal.
    """

    reads_model = True

    def __init__(
        self,
        resources: Resources,
        blocks: Sequence[str],
        timestep: int,
        components: int,
        network: str,
        layer: int,
        side: int,
        grid: int,
        weight: float = 0.5,
        seed: int = 0,
        localization: Localization = "argmax",
        window: int = 7,
        temperature: float = 0.05,
        consensus: Consensus = "none",
        refine: Refine = "none",
    ) -> None:
        for name, value in (("components", components), ("grid", grid)):
            if type(value) is not int or value < 1:
                raise UserError(f"{name}={value} of sd_dino is not legal: give a whole number from 1.")
        if not isinstance(weight, int | float) or not 0 <= weight <= 1:
            raise UserError(f"weight={weight} of sd_dino is not legal: give a number from 0 to 1.")
        if localization == "mutual":
            raise UserError("localization=mutual of sd_dino is not legal: give argmax or window_soft_argmax.")
        self.peaks = Peaks(localization, window, temperature)
        self.peaks.check("sd_dino")
        check_consensus("sd_dino", consensus)
        check_refine("sd_dino", refine)
        self.consensus, self.refine = consensus, refine
        self.resources, self.blocks = resources, tuple(blocks)
        self.components, self.grid, self.weight = components, grid, weight
        self.unet = UNetFeatures(resources, self.blocks[-1], timestep, draws=1, seed=seed)
        self.dino = Vision(resources, network, [layer], side, fit="pad", grid=grid)
        self._kept = lru_cache(maxsize=KEPT)(self._read)

    def model_identity(self) -> Mapping[str, Any]:
        """What both networks are."""
        return {"unet": self.resources.model_identity(), "vision": self.dino.model_identity()}

    def prepare(self) -> None:
        """Loads both networks.

        Raises:
            UserError: if one cannot be had, or has no such block or timestep.
        """
        self.unet.prepare()
        self.dino.prepare()
        backbone = self.unet.backbone
        for block in self.blocks:
            _ = backbone.block(block)

    def flops(self, units: Sequence[SourceUnit]) -> float:
        """Of both networks, to the last of the blocks."""
        return self.unet.flops(units) + self.dino.flops(units)

    def seconds(self, units: Sequence[SourceUnit]) -> float:
        """Of both networks."""
        return self.unet.seconds(units) + self.dino.seconds(units)

    def match(self, unit: SourceUnit, image: ImageReader) -> Iterator[tuple[Pair, Match]]:
        """Yields every pair of the unit with its match; the confidence is the cosine, 0 if negative."""
        for target, maps in self.maps(unit, image):
            agreed, inside = self.agreed(unit, target, maps, image), maps.layout.inside(maps.values.shape)
            cells, scores = self.peaks.find(maps.values, inside, agreed.near if agreed else None)
            points = maps.layout.from_grid(cells, maps.values.shape)
            left = self.evidence(unit, target, maps, points, image, agreed)
            match = Match(points, scores.clip(0, 1), evidence=left)
            yield target.pair, self.exact(target.pair, match, image)

    def features(self, key: str, image: ImageReader, category: str) -> Features:
        """DINOv2's tokens: the UNet's components are of a pair, not of a picture."""
        _, tokens, layout = self._kept(key, image, category)
        return Features(tokens, layout)

    def maps(self, unit: SourceUnit, image: ImageReader) -> Iterator[tuple[Target, ScoreMaps]]:
        """Yields every target of the unit with the cosines of its query points all over it."""
        levels, tokens, layout = self._kept(unit.source, image, unit.pairs[0].category)
        shape = (self.grid, self.grid)
        cells = np.clip(layout.to_grid(unit.points, shape).astype(int), 0, self.grid - 1)  # (P, 2)
        self.source_done()
        for target in unit.targets:
            there = self._kept(target.pair.target, image, target.pair.category)
            ours, theirs = reduce_together(levels, there[0], self.components, shape)
            source, values = self._joined(ours, tokens), self._joined(theirs, there[1])
            x, y = cells[list(target.points)].T
            maps = cosine_maps(source[:, y, x].T, values, shape)
            yield target, ScoreMaps(maps, there[2], "cosine")

    def _read(self, key: str, image: ImageReader, category: str) -> tuple[list[Tensor], Tensor, Layout]:
        """The blocks' features (C, h, w) each, the tokens (C, grid, grid), and where the picture lies on the square."""
        side = self.unet.backbone.image_size
        canvas, _ = lay_out(image(key), side, "pad")
        latents = self.unet.backbone.encode(image_to_tensor(canvas, side)[None].to(self.unet.backbone.device))
        found = self.unet.features_of(latents, key, category, self.blocks)
        tokens = self.dino.read(key, image, category)
        levels = [found[block] for block in self.blocks]
        check_finite([*levels, tokens.values], f"The features of {key} are", self.unet.precision, key)
        return levels, tokens.values, tokens.layout

    def _joined(self, unet: Tensor, tokens: Tensor) -> Tensor:
        """Both of unit length side by side, weighted, (C, grid, grid)."""
        return torch.cat([F.normalize(unet, dim=0) * self.weight, F.normalize(tokens, dim=0) * (1 - self.weight)])


def reduce_together(
    ours: Sequence[Tensor], theirs: Sequence[Tensor], components: int, shape: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """The principal components of two pictures' features, found of both together, level by level.

    Args:
        ours: (C_l, h_l, w_l) of every level.
        theirs: likewise.
        components: kept of each level, if it has as many channels.
        shape: (h, w) that the components are brought to, bilinearly.

    Returns:
        Of each picture (the sum of the levels' components, h, w).
    """
    reduced: tuple[list[Tensor], list[Tensor]] = ([], [])
    for first, second in zip(ours, theirs, strict=True):
        cells = torch.cat([first.flatten(1), second.flatten(1)], dim=1).T  # (h * w twice, C)
        centered = cells - cells.mean(0)
        _, axes = torch.linalg.eigh(centered.T @ centered)  # (C, C), the smallest first
        parts = centered @ axes[:, -min(components, axes.shape[1]) :]
        for kept, part, of in zip(reduced, parts.split(first[0].numel()), (first, second), strict=True):
            grid = part.T.unflatten(1, of.shape[1:])
            kept.append(F.interpolate(grid[None], shape, mode="bilinear", align_corners=False)[0])
    return torch.cat(reduced[0]), torch.cat(reduced[1])
