"""How often the network will run; tests/benchmarks compares it with runs of the library."""

from collections.abc import Sequence

import numpy as np
import pytest

from sdcorr.datasets import Pair, SourceUnit, group_by_source
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.speed.work import Work, pool_size, work_of

SETTINGS = PromptSettings(steps=10, restarts=2, transfer_crops=6)
WHOLE = PromptSettings(steps=10, restarts=2, transfer_crops=1, optimize_crops=False)


def units(points: int, targets: Sequence[str]) -> list[SourceUnit]:
    """A source image "s" with some targets, all points visible in each."""
    places = np.arange(2.0 * points).reshape(points, 2)
    return group_by_source(
        Pair(
            id=target,
            category="c",
            source="s",
            target=target,
            source_size=(64, 64),
            target_size=(64, 64),
            source_points=places,
            target_points=places,
            visible=np.ones(points, dtype=bool),
            names=tuple(map(str, range(points))),
        )
        for target in targets
    )


def test_whole_pictures_are_encoded_once() -> None:
    """3 points x 2 restarts = 6 queries: 60 steps, one pass a query and target, three pictures."""
    assert work_of(units(3, "ab"), WHOLE, 64) == Work(steps=60, crops=12, encodes=3)


def test_maps_of_the_source() -> None:
    assert work_of(units(3, "ab"), WHOLE, 64, source_maps=True) == Work(steps=60, crops=18, encodes=4)


def test_crops_that_come_again_are_encoded_once() -> None:
    """Of 16 crops a picture: the source draws 20, and both targets 4 at the corners and 2 for each of 2 restarts."""
    pooled = PromptSettings(steps=10, restarts=2, transfer_crops=6, crop_pool=4)
    found = work_of(units(1, "ab"), pooled, 512)
    expected = 16 * (1 - (15 / 16) ** 20) + 2 * 16 * (1 - (15 / 16) ** 8)
    assert (found.steps, found.crops) == (20, 24) and found.encodes == pytest.approx(expected)


def test_a_picture_that_is_source_and_target_shares_its_crops() -> None:
    alone = work_of(units(1, "a"), SETTINGS, 512).encodes
    assert work_of(units(1, "s"), SETTINGS, 512).encodes < alone


def test_draws_of_their_own_are_more_crops() -> None:
    """Nearly no crop of 1,296 comes again: 3 points x 20 at the source; at the target 3 x (4 + 2 x 2)."""
    released = PromptSettings(steps=10, restarts=2, transfer_crops=6, shared_draws=False)
    assert work_of(units(3, "a"), released, 512).encodes == pytest.approx(60 + 24, rel=0.03)


def test_a_pool() -> None:
    settings = PromptSettings(crop_pool=4)
    assert pool_size(477, 512, settings) == 16 and pool_size(512, 512, settings) == 1
