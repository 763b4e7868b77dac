"""The computations that are compared: as released, with savings added one by one, and the library."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from measure import Work, watched
from problem import DATASET, Answer, picture
from released import Released, Savings, Visit
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from sdcorr.datasets.base import Match, SourceUnit
from sdcorr.diffusion import FrozenDiffusion
from sdcorr.diffusion.precision import Precision
from sdcorr.methods.prompt_units import match_unit
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.speed import FastMatcher

_NAMES = {
    "truncate": "UNet stops at the last map",
    "fused": "fused attention",
    "native_maps": "loss on the maps' own grids",
    "encode_once": "VAE once a crop",
    "once_per_source": "optimized once a source point",
    "shared_latents": "latents shared by all points",
    "one_batch": "all queries in one batch",
}


@dataclass(frozen=True)
class Bar:
    """One bar of the plot: the computation as released with some savings, or the library."""

    name: str
    savings: Savings | None  # None: the library
    precision: Precision = "fp32"

    @property
    def parts(self) -> bool:
        """Whether the work consists of equal parts, one per target and point."""
        return self.savings is not None and not self.savings.once_per_source and not self.savings.one_batch

    @property
    def truncated(self) -> bool:
        """Whether the UNet stops at the last map."""
        return self.savings is None or self.savings.truncate


LIBRARY = Bar("the library", None)
AS_RELEASED = Bar("as released", Savings())


def ladder(precisions: Sequence[Precision] = ()) -> list[Bar]:
    """List all bars: as released, the savings switched on one after the other, the library, and it at `precisions`."""
    bars, savings = [AS_RELEASED], Savings()
    for field, name in _NAMES.items():
        savings = replace(savings, **{field: True})
        bars.append(Bar(f"+ {name}", savings))
    return [*bars, LIBRARY, *(Bar(f"{LIBRARY.name}, {p}", None, p) for p in precisions)]


def sampled(visits: Sequence[Visit], sample: int) -> list[Visit]:
    """Choose `sample` of the visits, evenly spread; all of them if it is 0."""
    if not 0 < sample < len(visits):
        return list(visits)
    return [visits[index * len(visits) // sample] for index in range(sample)]


def solve(
    bar: Bar, backbone: FrozenDiffusion, settings: PromptSettings, unit: SourceUnit, sample: int, work: Work
) -> tuple[Answer, float]:
    """Do a bar's work.

    Args:
        bar: which computation.
        backbone: loaded for it.
        settings: of the method.
        unit: source, points and targets to match.
        sample: how many of the bar's equal parts to do, if it has any; 0: all.
        work: counts what the network does.

    Returns:
        The answer, and how many times as much work the whole is.
    """
    if bar.savings is None:
        with watched(backbone, work):
            return solve_by_library(backbone, settings, unit), 1.0
    solver = Released(backbone, settings, DATASET, bar.savings, work)
    everything = solver.visits(unit)
    chosen = sampled(everything, sample if bar.parts else 0)
    return solver.match(unit, picture, chosen), len(everything) / len(chosen)


def solve_by_library(backbone: FrozenDiffusion, settings: PromptSettings, unit: SourceUnit) -> Answer:
    """Match a unit with the library, and keep its embeddings and maps."""
    embeddings: list[Tensor] = []
    found: list[Tensor] = []

    class Matcher(FastMatcher):
        def optimize(self, *args: Any, **options: Any) -> Tensor:
            embeddings.append(super().optimize(*args, **options))
            return embeddings[-1]

        def localize(self, maps: Tensor, size: tuple[int, int], near: Tensor | None = None) -> Match:
            found.append(maps.mean(1).cpu())  # (P, S, S)
            return super().localize(maps, size, near)

    matches = list(match_unit(Matcher(backbone, settings, DATASET), unit, picture))
    of_points = embeddings[0].cpu()  # (P, R, T, D)
    keys = [(pair.target, point) for pair, _ in matches for point in range(len(unit.points))]
    return Answer(
        {("", point): of_points[point] for point in range(len(unit.points))},
        dict(zip(keys, torch.cat(found), strict=True)),
        dict(zip(keys, torch.cat([torch.tensor(match.points) for _, match in matches]), strict=True)),
    )


def passes(bar: Bar, settings: PromptSettings, unit: SourceUnit, sample: int) -> int:
    """Count the forward passes of the UNet, of one query each, in a bar's work."""
    points, targets = len(unit.points), len(unit.targets)
    optimized = points if bar.savings is None or bar.savings.once_per_source else points * targets
    share = min(1.0, sample / (points * targets)) if bar.parts and sample else 1.0
    crops = points * targets * settings.transfer_crops
    return round(settings.restarts * (optimized * settings.steps + crops) * share)


class progress(Progress):
    """A progress bar on the terminal for the work that it hands out."""

    def __init__(self, name: str, total: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        super().__init__(*columns, console=Console(stderr=True))
        self._task = self.add_task(name, total=total)

    def __enter__(self) -> Work:
        super().__enter__()
        work = Work(lambda: self.update(self._task, completed=work.passes))
        return work
