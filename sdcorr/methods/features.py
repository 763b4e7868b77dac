"""Nearest neighbors of a network's features: what all methods that compare features share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sdcorr.datasets import ImageReader, Match, Pair, SourceUnit, Target
from sdcorr.diffusion.precision import Precision
from sdcorr.errors import UserError
from sdcorr.finite import check_finite
from sdcorr.methods.consensus import Consensus, check_consensus
from sdcorr.methods.layout import Layout
from sdcorr.methods.maps import KEPT, Features, MapMethod, ScoreMaps, features_at
from sdcorr.methods.peaks import Peaks, returning
from sdcorr.methods.refine import Refine, check_refine

CHANNELS_AT_ONCE = 64  # bounds the memory of features at full image size: 64 MB at 512 x 512 pixels


class FeatureMethod(MapMethod):
    """The place in the target whose features have the greatest cosine with those of the query point.

    A subclass reads the features of a picture. The confidence is the cosine, 0 if negative.
    """

    def __init__(
        self,
        name: str,
        peaks: Peaks,
        consensus: Consensus = "none",
        refine: Refine = "none",
        enlarged: int | None = None,
    ) -> None:
        """
        Args:
            name: of the method, for what is said of its settings.
            peaks: how a point is read from a map.
            consensus: what else has a say; see `sdcorr.methods.consensus`.
            refine: where exactly a match lies; see `sdcorr.methods.refine`.
            enlarged: side of the square, in pixels, that maps are enlarged to before; None: the features' own grid.

        Raises:
            UserError: if a setting is not legal.
        """
        peaks.check(name)
        check_consensus(name, consensus)
        check_refine(name, refine)
        if consensus != "none" and peaks.localization == "mutual":
            raise UserError(f"localization=mutual of {name} leaves a consensus no peaks to choose from: give one.")
        self.peaks, self.consensus, self.refine, self.enlarged = peaks, consensus, refine, enlarged
        self._kept = lru_cache(maxsize=KEPT)(self._read_finite)

    @property
    def precision(self) -> Precision:
        """In which the network computes."""
        return "fp32"

    @abstractmethod
    def read(self, key: str, image: ImageReader, category: str) -> Features:
        """The features of the picture of that key, in a pair of that category; its random draws belong to the key."""

    def read_pictures(self, pictures: Sequence[Image.Image]) -> list[Features]:
        """The features of RGB pictures of no data set; random draws are the same for all, and nothing is kept.

        Raises:
            UserError: if there is NaN or infinity in them.
        """
        return [self._read_finite("picture", lambda key, each=each: each, "") for each in pictures]

    def _read_finite(self, key: str, image: ImageReader, category: str) -> Features:
        """As `read`; raises UserError if there is NaN or infinity in them, so that these are not kept."""
        found = self.read(key, image, category)
        check_finite([found.values], f"The features of {key} are", self.precision, key)
        return found

    def match(self, unit: SourceUnit, image: ImageReader) -> Iterator[tuple[Pair, Match]]:
        """Yields every pair of the unit with its match."""
        for target, maps in self.maps(unit, image):
            inside = None if _covers(maps.layout) else maps.layout.inside(maps.values.shape)
            agreed = self.agreed(unit, target, maps, image)
            cells, scores = self.peaks.find(maps.values, inside, agreed.near if agreed else None)
            points = maps.layout.from_grid(cells, maps.values.shape)
            left = self.evidence(unit, target, maps, points, image, agreed)
            yield target.pair, self.exact(target.pair, Match(points, scores.clip(0, 1), evidence=left), image)

    def features(self, key: str, image: ImageReader, category: str) -> Features:
        """The features of the picture of that key."""
        return self._kept(key, image, category)

    def maps(self, unit: SourceUnit, image: ImageReader) -> Iterator[tuple[Target, ScoreMaps]]:
        """Yields every target of the unit with the cosines of its query points all over it."""
        source = self._kept(unit.source, image, unit.pairs[0].category)
        cells = source.layout.to_grid(unit.points, source.values.shape)
        queries = features_at(source.values, torch.from_numpy(cells).float())  # (P, C)
        self.source_done()
        for target in unit.targets:
            features = self._kept(target.pair.target, image, target.pair.category)
            shape = (self.enlarged, self.enlarged) if self.enlarged else tuple(features.values.shape[-2:])
            asked = list(target.points)
            maps = cosine_maps(queries[asked], features.values, shape)
            if self.peaks.localization == "mutual":
                on_grid = _enlarge(features.values, shape)
                maps = returning(maps, on_grid, source.values, torch.from_numpy(cells[asked]), self.peaks.window)
            yield target, ScoreMaps(maps, features.layout, "cosine")


def cosine_maps(queries: Tensor, features: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Cosines of queries with features enlarged bilinearly, but never all of them at once.

    The scalar product is linear, so it is taken first and enlarged after; only the norm needs the enlarged features.

    Args:
        queries: (V, C).
        features: (C, h, w) of the target.
        shape: (H, W) of the maps.

    Returns:
        (V, H, W) in [-1, 1], to rounding.
    """
    products = _enlarge(torch.einsum("vc,chw->vhw", F.normalize(queries, dim=1), features), shape)
    squares = torch.zeros(shape, device=features.device)
    for part in features.split(CHANNELS_AT_ONCE):
        squares += _enlarge(part, shape).square().sum(0)
    return products / squares.sqrt().clamp(min=1e-12)


def _enlarge(maps: Tensor, shape: tuple[int, ...]) -> Tensor:
    if tuple(maps.shape[-2:]) == tuple(shape):
        return maps
    return F.interpolate(maps[None], size=shape, mode="bilinear", align_corners=False)[0]


def _covers(layout: Layout) -> bool:
    return layout.box == (0, 0, *layout.canvas)
