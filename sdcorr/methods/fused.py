"""Two methods as one: the sum of their scores at every place of the target.

The prompt's maps know the place and a network's features know the layout. What is added is the log of the attention's
share at a place, and a cosine times `weight`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sdcorr.configuration import class_named
from sdcorr.datasets import ImageReader, Match, Pair, SourceUnit, Target
from sdcorr.errors import UserError
from sdcorr.methods.base import Method
from sdcorr.methods.consensus import Consensus, check_consensus
from sdcorr.methods.layout import Layout
from sdcorr.methods.maps import Features, MapMethod, ScoreMaps
from sdcorr.methods.peaks import Localization, Peaks
from sdcorr.methods.refine import Refine, check_refine
from sdcorr.methods.resources import Resources


class Fused(MapMethod):
    """The place where the first method's score and `weight` times the second's are greatest together.

    Args:
        resources: what both may draw on.
        parts: the settings of the two methods, each with `_target_`, and `model` where that is another; in a
            configuration, two entries as in `methods`.
        weight: of the second one's score.
        grid: cells a side of the grid, stretched over the picture, that both are brought to.
        localization, window, temperature: see `Peaks`; cells of that grid.
        consensus: on the features of the second; see `sdcorr.methods.consensus`. Those of the parts are none.
        refine: none or pixels; see `sdcorr.methods.refine`. Those of the parts are none.

    Raises:
        UserError: if a setting is not legal, or a part gives no maps.
    """

    def __init__(
        self,
        resources: Resources,
        parts: Sequence[Mapping[str, Any]],
        weight: float,
        grid: int,
        localization: Localization = "argmax",
        window: int = 7,
        temperature: float = 0.05,
        consensus: Consensus = "none",
        refine: Refine = "none",
    ) -> None:
        if len(parts) != 2:
            raise UserError(f"fused joins two methods, not {len(parts)}: give parts=[prompt,unet_features], say.")
        if not isinstance(weight, int | float) or isinstance(weight, bool) or weight < 0:
            raise UserError(f"weight={weight} of fused is not legal: give a number from 0.")
        if type(grid) is not int or grid < 1:
            raise UserError(f"grid={grid} of fused is not legal: give a whole number from 1.")
        if localization == "mutual":
            raise UserError("localization=mutual of fused is not legal: it needs one network's features.")
        self.peaks = Peaks(localization, window, temperature)
        self.peaks.check("fused")
        check_consensus("fused", consensus)
        check_refine("fused", refine)
        self.weight, self.grid, self.consensus, self.refine = weight, grid, consensus, refine
        self.resources = resources
        self.parts = [_made(resources, part) for part in parts]
        if any(part.consensus != "none" for part in self.parts):
            raise UserError("The consensus of fused is its own: give consensus=dense beside parts, not in one of them.")
        if any(part.refine != "none" for part in self.parts):
            raise UserError("The refinement of fused is its own: give refine=pixels beside parts, not in one of them.")

    @classmethod
    def claimed(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with an effect, those of the parts as well; `model_identity` has what their models are."""
        told = super().claimed(settings)
        parts = [(part, class_named(part["_target_"], Method, "parts")) for part in told["parts"]]
        claimed = [kind.claimed(part) if issubclass(kind, MapMethod) else part for part, kind in parts]
        return told | {"parts": [{key: value for key, value in part.items() if key != "model"} for part in claimed]}

    def prepare(self) -> None:
        """Prepares both."""
        for part in self.parts:
            part.prepare()

    def model_identity(self) -> Mapping[str, Any] | None:
        """What decides the part that networks have in either."""
        return {name: part.model_identity() for name, part in zip(("first", "second"), self.parts, strict=True)}

    def flops(self, units: Sequence[SourceUnit]) -> float:
        """Of both."""
        return sum(part.flops(units) for part in self.parts)

    def seconds(self, units: Sequence[SourceUnit]) -> float:
        """Of both."""
        return sum(part.seconds(units) for part in self.parts)

    @property
    def found(self) -> int:
        """How many results of earlier runs both have used."""
        return sum(part.found for part in self.parts)

    def match(self, unit: SourceUnit, image: ImageReader) -> Iterator[tuple[Pair, Match]]:
        """Yields every pair of the unit with its match.

        The confidence is the share of the scores' softmax that lies within an eighth of the picture of the match.
        """
        for target, maps in self.maps(unit, image):
            agreed = self.agreed(unit, target, maps, image)
            cells, _ = self.peaks.find(maps.values, near=agreed.near if agreed else None)
            share = maps.values.flatten(1).softmax(1).view_as(maps.values)
            sure = near(share, torch.from_numpy(cells), self.grid / 8).sum((1, 2)).clamp(0, 1)
            points = maps.layout.from_grid(cells, maps.values.shape)
            left = self.evidence(unit, target, maps, points, image, agreed)
            match = Match(points, sure.cpu().double().numpy(), evidence=left)
            yield target.pair, self.exact(target.pair, match, image)

    def maps(self, unit: SourceUnit, image: ImageReader) -> Iterator[tuple[Target, ScoreMaps]]:
        """Yields every target of the unit with the sums of both scores, on a grid over the picture."""
        first, second = (part.maps(unit, image) for part in self.parts)
        shape = (self.grid, self.grid)
        waiting = {target.pair.id: maps for target, maps in second}
        for target, maps in first:
            total = maps.log_scores(shape) + self.weight * waiting.pop(target.pair.id).log_scores(shape)
            size = target.pair.target_size
            yield target, ScoreMaps(total, Layout(size, size, (0, 0, *size)), "logarithm")

    @property
    def has_features(self) -> bool:
        """Whether the second part has any."""
        return self.parts[1].has_features

    def surfaces(self, key: str, image: ImageReader, category: str) -> Features:
        """Those of the first part."""
        return self.parts[0].surfaces(key, image, category)

    def features(self, key: str, image: ImageReader, category: str) -> Features:
        """Those of the second part."""
        return self.parts[1].features(key, image, category)


def near(maps: Tensor, cells: Tensor, radius: float) -> Tensor:
    """Maps (V, h, w) with zeros farther than `radius` cells from their points (V, 2)."""
    x = torch.arange(maps.shape[-1], device=maps.device) + 0.5
    y = torch.arange(maps.shape[-2], device=maps.device) + 0.5
    cells = cells.to(x)
    squares = (x - cells[:, :1]).square()[:, None, :] + (y - cells[:, 1:]).square()[:, :, None]
    return maps * (squares <= radius**2)


def _made(resources: Resources, settings: Mapping[str, Any]) -> MapMethod:
    told = dict(settings)
    kind: type[Method] = class_named(told.pop("_target_"), Method, "parts")
    if model := told.pop("model", None):
        resources = resources.on(model)
    if not issubclass(kind, MapMethod):
        raise UserError(f"{kind.__name__} gives no maps, so that it cannot be fused: choose another part.")
    return kind(resources, **told)
