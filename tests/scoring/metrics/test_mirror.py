"""Mirror hits by hand: make_pair's target box is 40 x 100, so 0.1 is 10 pixels."""

import numpy as np
import pytest

from sdcorr.datasets import Match
from sdcorr.scoring.arrays import collect
from sdcorr.scoring.metrics.mirror import METRIC
from sdcorr.scoring.protocols import PROTOCOLS
from sdcorr.scoring.score import score
from sdcorr.scoring.summary import flatten
from tests.run.fakes import make_pair
from tests.scoring.fakes import record

NAMES = ["left eye", "nose", "right eye", "left ear"]
POINTS = [[20, 20], [40, 40], [60, 20], [20, 0]]
FOUND = [
    [59, 21],  # the left eye on the right one: a mirror hit
    [60, 20],  # the nose there: wrong, but it has no counterpart
    [61, 20],  # right
    [60, 0],  # the left ear where no right ear is asked for
]


def arrays_of(found=FOUND, names=NAMES, points=POINTS, **about):
    pair = make_pair("a-b", names=names, target_points=points, points=len(names), **about)
    return collect([record([(pair, Match(np.array(found), np.ones(len(found))))])])


def test_a_miss_on_the_counterpart():
    values = METRIC.of_points(arrays_of(), PROTOCOLS["standard"], [0.01, 0.1])
    assert values.tolist() == [[0, 1], [0, 0], [0, 0], [0, 0]]


def test_near_both_is_right():
    arrays = arrays_of([[25, 20], [29, 20]], NAMES[::2], [[20, 20], [30, 20]])
    assert METRIC.of_points(arrays, PROTOCOLS["standard"], [0.1]).tolist() == [[0], [0]]


def test_spair_s_numbers_have_counterparts_by_the_category():
    found, points = [[60, 60], [0, 0]], [[20, 20], [60, 60]]
    arrays = arrays_of(found, ["4", "5"], points, category="aeroplane")
    assert METRIC.of_points(arrays, PROTOCOLS["standard"], [0.1]).tolist() == [[1], [0]]
    for category, numbers, counterparts in (
        ("aeroplane", "45", [1, 0]),
        ("cow", "54", [1, 0]),
        ("boat", "45", [-1, -1]),
    ):
        assert arrays_of(found, list(numbers), points, category=category).counterparts.tolist() == counterparts


def test_a_counterpart_that_is_not_visible_is_none():
    arrays = arrays_of(FOUND[:2] + FOUND[3:], visible=[True, True, False, True])
    assert arrays.counterparts.tolist() == [-1, -1, -1]


def test_without_any_counterpart_there_is_no_score():
    scores = score({"m": arrays_of(names=["a", "b", "c", "d"])}, "m", PROTOCOLS["standard"], samples=5)
    assert not any(name.startswith("mirror") or "both_sides" in name for name in flatten(scores))


def test_the_fraction_of_all_points_and_of_those_with_a_counterpart():
    summary = flatten(score({"m": arrays_of()}, "m", PROTOCOLS["standard"], samples=5))
    assert summary["mirror@0.10/per_point"] == 1 / 4 and summary["pck@0.10/per_point"] == 1 / 4
    assert summary["mirror@0.10/per_point/both_sides"] == 1 / 2 == summary["pck@0.10/per_point/both_sides"]
    assert summary["mirror@0.01/per_point"] == 0 == pytest.approx(summary["mirror@0.05/per_point"] - 1 / 4)
