"""Methods that give a map over the target for every query point: what can be joined, drawn, or read in another way."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from sdcorr.datasets import ImageReader, Match, Pair, SourceUnit, Target
from sdcorr.errors import UserError
from sdcorr.methods.base import Method
from sdcorr.methods.consensus import GRID, PEAK_GRID, VERSION, Choice, Consensus, Matches, match_cells, weighed_peaks
from sdcorr.methods.evidence import of_choice, of_map, votes, way_back
from sdcorr.methods.layout import Layout
from sdcorr.methods.mirror import Views, seen_mirrored
from sdcorr.methods.refine import Refine, refined

KEPT = 64  # pictures whose features are kept, since a picture is the target of many sources
COSINE_TEMPERATURE = 0.15  # a cosine that is so much greater is e times as likely, where the consensus weighs them


@dataclass(frozen=True, eq=False)
class Features:
    """A picture's features on a grid that covers the canvas of its layout."""

    values: Tensor  # (C, h, w) float32
    layout: Layout

    def pooled(self, side: int) -> Tensor:
        """The features over the picture alone, on at most `side` x `side` cells, (C, h, w)."""
        height, width = (side * -(-each // side) for each in self.values.shape[-2:])  # multiples of `side`
        return F.adaptive_avg_pool2d(self.layout.over_picture(self.values, (height, width)), side)

    @property
    def whole(self) -> Tensor:
        """The features over the picture alone, on as many cells as the canvas has, (C, h, w)."""
        return self.layout.over_picture(self.values, (self.values.shape[-2], self.values.shape[-1]))

    def at(self, points: np.ndarray) -> Tensor:
        """The features at points, (V, C), of (V, 2) pixels of the picture."""
        return features_at(self.values, torch.from_numpy(self.layout.to_grid(points, self.values.shape)).float())


@dataclass(frozen=True)
class MirrorImages:
    """Reads pictures as `image` does, each mirrored left to right."""

    image: ImageReader

    def __call__(self, key: str) -> Image.Image:
        """The mirror image of the picture of that key."""
        return ImageOps.mirror(self.image(key))


@dataclass(frozen=True, eq=False)
class ScoreMaps:
    """How well each place of a target fits the query points that it is asked for."""

    values: Tensor  # (V, h, w), on a grid that covers the canvas of the layout
    layout: Layout  # of the target
    kind: Literal["cosine", "attention", "logarithm"]  # in [-1, 1]; not negative; one more is e times as likely

    def over_picture(self, shape: tuple[int, int]) -> Tensor:
        """The maps stretched over the whole picture and nothing else, `(V, *shape)`, bilinear; padding falls away."""
        return self.layout.over_picture(self.values, shape)

    def log_scores(self, shape: tuple[int, int]) -> Tensor:
        """Scores over the picture that can be added to others, `(V, *shape)`: attention as the log of its share."""
        values = self.over_picture(shape)
        if self.kind != "attention":
            return values
        share = values.clamp(min=0) / values.clamp(min=0).sum((1, 2), keepdim=True).clamp(min=torch.finfo().tiny)
        return share.clamp(min=1e-12).log()

    def near(self, places: Tensor, radius: float) -> Tensor:
        """Which cells are within `radius` of given places, (V, h, w) bool; the nearest cell at least.

        Args:
            places: (V, 2) xy, shares of the target's width and height.
            radius: share of the target's width and height.
        """
        height, width = self.values.shape[-2:]
        size = self.layout.size
        cells = self.layout.to_grid(places.cpu().double().numpy() * size, self.values.shape)
        x0, y0, x1, y1 = self.layout.box
        across = max(radius * (x1 - x0) / self.layout.canvas[0] * width, 0.5)
        down = max(radius * (y1 - y0) / self.layout.canvas[1] * height, 0.5)
        center = torch.from_numpy(cells).to(self.values)
        x = torch.arange(width, device=center.device) + 0.5
        y = torch.arange(height, device=center.device) + 0.5
        near_x = (x - center[:, :1]).abs() <= across  # (V, w)
        near_y = (y - center[:, 1:]).abs() <= down  # (V, h)
        return near_y[:, :, None] & near_x[:, None, :]


@dataclass(frozen=True, eq=False)
class Agreed:
    """What a consensus has come to for a target's V points."""

    near: Tensor  # (V, h, w) bool, on the grid of the maps: the surroundings of the peak that was chosen of each
    choice: Choice  # between the peaks of each map
    matches: Matches  # of the two pictures as they are
    believed: Matches  # those on which it stands: of the mirrored target, where that fits better


def features_at(features: Tensor, cells: Tensor) -> Tensor:
    """Features between cells, bilinear.

    Args:
        features: (C, h, w).
        cells: (P, 2) xy in cells, the center of the first being (0.5, 0.5).

    Returns:
        (P, C).
    """
    sides = torch.tensor([features.shape[-1], features.shape[-2]])
    grid = (cells / sides * 2 - 1).to(features)[None, None]  # (1, 1, P, 2)
    sampled = F.grid_sample(features[None], grid, padding_mode="border", align_corners=False)  # (1, C, 1, P)
    return sampled[0, :, 0].T


class MapMethod(Method):
    """A method whose matches are read from maps over the target.

    Attributes:
        consensus: what else has a say in which peak of a map is the match; see `sdcorr.methods.consensus`.
        refine: what else has a say in where exactly a match lies; see `sdcorr.methods.refine`.
    """

    consensus: Consensus = "none"
    refine: Refine = "none"
    of_consensus: ClassVar[tuple[str, ...]] = ("consensus",)  # settings without an effect where there is none

    @classmethod
    def claimed(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with an effect, and the consensus's version; nothing of what is `none`."""
        told = super().claimed(settings)
        if told.get("refine") == "none":
            del told["refine"]
        if told.get("consensus", "none") == "none":
            return {name: value for name, value in told.items() if name not in cls.of_consensus}
        return told | {"consensus_version": VERSION}

    @abstractmethod
    def maps(self, unit: SourceUnit, image: ImageReader) -> Iterator[tuple[Target, ScoreMaps]]:
        """Yields every target of the unit that asks for a point, with the maps of its points."""

    def surfaces(self, key: str, image: ImageReader, category: str) -> Features:
        """Features of a picture by which its places are told apart: the object from what is behind it, part from part.

        Raises:
            UserError: if the method has none.
        """
        return self.features(key, image, category)

    def features(self, key: str, image: ImageReader, category: str) -> Features:
        """Features of the picture of that key, in a pair of that category, on which the consensus stands.

        Raises:
            UserError: if the method has none, which it may unless it is asked for a consensus.
        """
        raise UserError(f"{type(self).__name__} has no features that a consensus could stand on: give consensus=none.")

    def mirrored_features(self, key: str, image: ImageReader, category: str) -> Features:
        """As `features`, of the picture's mirror image, as it is."""
        return self.features(key, MirrorImages(image), category)

    @property
    def has_features(self) -> bool:
        """Whether `features` gives any; a subclass without a `features` of its own has none."""
        return type(self).features is not MapMethod.features

    def agreed(
        self,
        unit: SourceUnit,
        target: Target,
        maps: ScoreMaps,
        image: ImageReader,
    ) -> Agreed | None:
        """Where the points of a target may be found as far as the consensus goes; None where there is none.

        Args:
            unit: of the source.
            target: that the maps are of.
            maps: of its V points.
            image: reads a picture by its key.
        """
        if self.consensus == "none":
            return None
        pictures = (unit.source, image, unit.pairs[0].category), (target.pair.target, image, target.pair.category)
        source, found = (self.features(*picture).pooled(GRID) for picture in pictures)
        sizes = target.pair.source_size, target.pair.target_size
        cells = match_cells(source, found, *sizes)
        scores = self._as_logs(maps)
        points = torch.from_numpy(unit.points[list(target.points)] / max(sizes[0])).to(scores)
        mirrored = None
        if self.consensus == "dense_flip":
            ours, theirs = (self._views(*each, size) for each, size in zip(pictures, sizes, strict=True))
            mirrored = seen_mirrored(ours, theirs, cells)
        choice = weighed_peaks(scores, points, cells, sizes[1], joint=self.consensus == "joint", mirrored=mirrored)
        believed = mirrored.matches if mirrored and mirrored.log_odds > 0 else cells
        return Agreed(maps.near(choice.taken, 1.5 / PEAK_GRID), choice, cells, believed)

    @cached_property
    def _views(self) -> Callable[[str, ImageReader, str, tuple[int, int]], Views]:
        """A picture and its mirror image, by what `features` takes and the picture's size; kept for its other pairs."""

        def views(key: str, image: ImageReader, category: str, size: tuple[int, int]) -> Views:
            both = self.features(key, image, category), self.mirrored_features(key, image, category)
            straight, mirrored = (each.pooled(GRID) for each in both)
            return Views(straight, mirrored, size)

        return lru_cache(maxsize=KEPT)(views)

    def exact(self, pair: Pair, match: Match, image: ImageReader) -> Match:
        """A match of that pair as `refine` has it."""
        if self.refine == "none" or not len(match.points):
            return match
        points = refined(image(pair.source), image(pair.target), pair.query_points, match.points)
        return replace(match, points=points)

    def evidence(
        self,
        unit: SourceUnit,
        target: Target,
        maps: ScoreMaps,
        points: np.ndarray,
        image: ImageReader,
        agreed: Agreed | None = None,
    ) -> dict[str, np.ndarray]:
        """What the matches of a target leave behind; see `sdcorr.methods.evidence`.

        Args:
            unit: of the source.
            target: that the maps are of.
            maps: of its V points.
            points: (V, 2) the matches, pixels of the target.
            image: reads a picture by its key.
            agreed: what the consensus has come to, if there is one.

        Returns:
            By name (V,) each; nothing of maps in which places are struck out.
        """
        if not maps.values.isfinite().all():
            return {}
        scores = self._as_logs(maps)
        sizes = target.pair.source_size, target.pair.target_size
        asked = unit.points[list(target.points)]
        queries, places = (torch.from_numpy(at).to(scores) for at in (asked / sizes[0], points / sizes[1]))
        left = of_map(scores, places, sizes[1]) | (of_choice(agreed.choice) if agreed else {})
        if self.has_features:
            source = self.features(unit.source, image, unit.pairs[0].category)
            found = self.features(target.pair.target, image, target.pair.category)
            left |= way_back(source.whole, source.at(asked), found.at(points), queries, sizes[0])
            # Next to an optimization this costs nothing; next to cosines it would cost half as much again.
            if agreed or maps.kind != "cosine":
                cells = agreed.matches if agreed else match_cells(source.pooled(GRID), found.pooled(GRID), *sizes)
                in_sides = torch.from_numpy(asked / max(sizes[0])).to(scores)
                left["votes"] = votes(scores, places, in_sides, cells, sizes[1])
        return {name: values.cpu().double().numpy() for name, values in left.items()}

    def _as_logs(self, maps: ScoreMaps) -> Tensor:
        """Maps on the grid of peaks, (V, h, w), in units of a logarithm."""
        scores = maps.log_scores((PEAK_GRID, PEAK_GRID))
        return scores / COSINE_TEMPERATURE if maps.kind == "cosine" else scores
