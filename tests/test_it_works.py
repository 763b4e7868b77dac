"""Would anyone notice if the method stopped working? The shipped model on a handful of toybox pairs, well above chance.

Breaking the sign of the loss, the token that is read, or the way that crops are mapped back makes this fail.
"""

from dataclasses import replace

import numpy as np
import pytest

from sdcorr.cli import build
from sdcorr.cli.compose import compose
from sdcorr.datasets import SourceUnit, group_by_source
from sdcorr.methods.position import SamePixel
from sdcorr.methods.prompt import Prompt
from sdcorr.run.predict import Method
from sdcorr.scoring.protocols import protocol_named
from sdcorr.toybox.dataset import Toybox

STANDARD = protocol_named("standard")


@pytest.fixture(scope="module")
def world() -> tuple[Toybox, list[SourceUnit]]:
    """Every other class, one source each, three targets."""
    benchmark = Toybox("val")
    units = group_by_source(benchmark.pairs)[::6]
    return benchmark, [replace(unit, targets=unit.targets[:3]) for unit in units]


def answers(method: Method, world: tuple[Toybox, list[SourceUnit]]) -> dict[str, np.ndarray]:
    """Pair -> matched points."""
    benchmark, units = world
    return {pair.id: match.points for unit in units for pair, match in method.match(unit, benchmark.image)}


def share_right(method: Method, world: tuple[Toybox, list[SourceUnit]]) -> float:
    found = answers(method, world)
    pairs = {pair.id: pair for unit in world[1] for pair in unit.pairs}
    right = [STANDARD.correct("toybox", pairs[name], points, [0.1])[:, 0] for name, points in found.items()]
    return float(np.concatenate(right).mean())


def prompt(*overrides: str) -> Prompt:
    """The method as it ships but for its restarts and crops; it finds nothing that an earlier one has optimized."""
    few = ["method.restarts=1", "method.transfer_crops=3", "embeddings=null"]
    cfg = compose("eval", "methods=[prompt]", *few, *overrides)
    (entry,) = build.methods(cfg, Toybox("val"))
    return entry.method


def test_points_are_found_well_above_chance(world) -> None:
    found, chance = share_right(prompt(), world), share_right(SamePixel(None), world)
    assert found > chance + 0.2, f"PCK@0.1 {found:.2f}, same pixel {chance:.2f}"


def test_points_are_found_again_in_their_own_picture(world) -> None:
    benchmark, units = world
    unit = units[0]
    matcher = prompt().matcher
    image = benchmark.image(unit.source)
    embeddings = matcher.optimize(image, unit.points, unit.source)
    maps = matcher.transfer(image, embeddings, unit.points, unit.source, unit.source)
    distances = np.linalg.norm(matcher.localize(maps, image.size).points - unit.points, axis=1)
    assert np.median(distances) < 4 and (distances < 8).mean() >= 0.8, distances.round(1)


def test_result_does_not_depend_on_the_batch_or_on_the_order(world) -> None:
    benchmark, units = world
    unit = replace(units[1], targets=units[1].targets[:2])
    quick = ["method.steps=3", "method.restarts=2", "method.transfer_crops=2"]
    whole = answers(prompt(*quick), (benchmark, [unit]))
    split = answers(prompt(*quick, "method.queries_per_batch=3"), (benchmark, [unit]))
    backwards = answers(prompt(*quick), (benchmark, [replace(unit, targets=unit.targets[::-1])]))
    for name, points in whole.items():
        np.testing.assert_allclose(split[name], points, atol=0.02)
        np.testing.assert_allclose(backwards[name], points, atol=0.02)
