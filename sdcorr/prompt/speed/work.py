"""How often the network runs for some source images, before it does: what is ahead of a run.

Steps and crops follow from the settings. How many crops are encoded follows from chance, for a crop that comes again is
not: its expected number is taken, which is within a tenth of what `benchmarks/flops.py` counts.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sdcorr.datasets import SourceUnit
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.speed.pool import crop_positions

_CORNERS = 4  # crops at transfer that are the same for all, at the corners of the target
_AT_BORDERS = 0.3  # of the points at any place, those so near a border that crops are pushed against it


@dataclass(frozen=True)
class Work:
    """How often each part of the network runs, for one query or crop each."""

    steps: int  # forward and backward passes of the optimization
    crops: int  # forward passes at transfer
    encodes: float  # crops through the VAE


def work_of(units: Sequence[SourceUnit], settings: PromptSettings, size: int, source_maps: bool = False) -> Work:
    """The work of the prompt method on some units, if no embedding is known yet.

    Args:
        units: source images with their targets.
        settings: of the method.
        size: S, side of the image that the model sees.
        source_maps: whether maps of the source images are kept too.
    """
    queries = {unit.source: settings.restarts * len(unit.points) for unit in units}
    asked: dict[str, list[int]] = defaultdict(list)  # the points that a target is asked for by each of its sources
    for unit in units:
        for target in unit.targets:
            if target.points:
                asked[target.pair.target].append(len(target.points))
    crops = settings.restarts * settings.transfer_crops * sum(map(sum, asked.values()))
    return Work(
        steps=settings.steps * sum(queries.values()),
        crops=crops + (sum(queries.values()) if source_maps else 0),
        encodes=_encodes({unit.source: len(unit.points) for unit in units}, asked, settings, size)
        + (len(units) if source_maps else 0),
    )


def pool_size(side: int, size: int, settings: PromptSettings) -> int:
    """How many crops a pool has of a picture."""
    return len(crop_positions(size, side, settings.crop_pool)) ** 2


def _encodes(
    sources: Mapping[str, int], targets: Mapping[str, Sequence[int]], settings: PromptSettings, size: int
) -> float:
    """Expected number of distinct crops, given the points of each source and those that each target is asked for."""
    source_side, target_side = settings.optimize_side(size), settings.transfer_side(size)
    total = 0.0
    for key in sources.keys() | targets.keys():
        points, asked = sources.get(key, 0), targets.get(key, ())
        drawn = settings.steps * settings.restarts * (points > 0)
        transferred = settings.transfer_crops * bool(asked)
        found = max(asked, default=0)  # places where the target's maps have maxima: sources ask for the same parts
        if settings.adaptive_crops:
            transferred = max(0, transferred - _CORNERS) * settings.restarts + min(transferred, _CORNERS)
        if not settings.shared_draws:
            drawn *= points
            transferred *= sum(asked) if settings.adaptive_crops else 1
        if source_side == target_side:
            total += _distinct(drawn + transferred, max(points, found), source_side, settings, size)
        else:
            total += _distinct(drawn, points, source_side, settings, size)
            total += _distinct(transferred, found, target_side, settings, size)
    return total


def _distinct(draws: int, points: int, side: int, settings: PromptSettings, size: int) -> float:
    """Expected number of distinct crops of a picture.

    All points share a crop that all can have; points near a border need another one, which starts at that border.
    """
    places = len(crop_positions(size, side, settings.crop_pool)) if settings.crop_pool else size - side + 1
    free, border = places**2, 4 * (places - 1)
    pushed = draws * _AT_BORDERS * (points - 1) if settings.shared_draws and points else 0
    anywhere = free * (1 - (1 - 1 / free) ** draws)
    return min(free, anywhere + (border * (1 - (1 - 1 / border) ** pushed) if border else 0))
