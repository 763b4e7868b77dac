"""PCK with a dagger by hand: make_pair's target box is 40 x 100, so 0.1 is 10 pixels."""

import numpy as np
import pytest

from sdcorr.datasets import Match
from sdcorr.report import tables
from sdcorr.scoring.arrays import Arrays, collect
from sdcorr.scoring.metrics.pck_dagger import METRIC
from sdcorr.scoring.protocols import PROTOCOLS
from sdcorr.scoring.score import score
from sdcorr.scoring.summary import flatten
from tests.run.fakes import make_pair
from tests.scoring.fakes import record

POINTS = [[20, 20], [26, 20], [60, 60]]
FOUND = [
    [24, 20],  # 4 from its own and 2 from the second: correct, but not nearest
    [25, 20],  # 1 from its own: correct and nearest
    [75, 60],  # nearest, but 15 away
]


def values(*pairs):
    arrays = collect([record([(pair, Match(np.array(found), np.ones(len(found))))]) for pair, found in pairs])
    return METRIC.of_points(arrays, PROTOCOLS["standard"], [0.01, 0.1]).tolist()


def test_correct_and_nearest():
    assert values((make_pair("a-b", target_points=POINTS), FOUND)) == [[False, False], [True, True], [False, False]]


def test_key_points_of_other_pairs_and_those_not_asked_for_are_no_rivals():
    hidden = make_pair("a-b", target_points=POINTS, visible=[True, False, True])
    other = make_pair("a-c", points=1, target_points=[[24, 20]])
    assert values((hidden, [FOUND[0], FOUND[2]]), (other, [[26, 20]])) == [[False, True], [False, False], [False, True]]


def test_as_near_as_another_counts():
    pair = make_pair("a-b", points=2, target_points=[[20, 20], [26, 20]])
    assert values((pair, [[23, 20], [23, 20]])) == [[False, True], [False, True]]


def test_nearest_is_measured_in_the_frame_of_the_protocol():
    """In hedlin's square of 512 the target's x is stretched by 6.4 and y by 3.2."""
    pair = make_pair("a-b", points=2, target_points=[[20, 20], [26, 20]], source_box=(0, 0, 100, 50))
    found = np.array([[22, 20], [24, 26.5]])  # the second is 6.8 (2 and 6.5) from its own, and nearest in both
    tilted = make_pair("a-c", points=2, target_points=[[20, 20], [24, 26]], source_box=(0, 0, 100, 50))
    at = np.array([[23, 21], [24, 26]])  # of the first: (3, 1) is shorter than (1, 5), in the frame 19.5 and 17.2
    for name, right in (("dift", [True, True]), ("hedlin", [False, True])):
        assert METRIC.of_points(Arrays.of("spair", [(tilted, at)]), PROTOCOLS[name], [0.5])[:, 0].tolist() == right
        assert METRIC.of_points(Arrays.of("spair", [(pair, found)]), PROTOCOLS[name], [0.5]).all()


def test_in_the_summary_and_in_a_table_at_the_main_threshold():
    pair = make_pair("a-b", target_points=POINTS)
    arrays = collect([record([(pair, Match(np.array(FOUND), np.ones(3)))])])
    scores = score({"m": arrays}, "m", PROTOCOLS["standard"], samples=10)
    summary = flatten(scores)
    assert summary["pck_dagger@0.10/per_point"] == pytest.approx(1 / 3)
    assert summary["pck@0.10/per_point"] == pytest.approx(2 / 3)
    assert not any("PCK\N{DAGGER}" in column.title for column in tables.methods(scores)[0].columns)
    further = tables.further(scores)
    assert further is not None
    shown = {column.title: cell for column, cell in zip(further.columns, further.rows[0].cells, strict=True)}
    assert list(shown)[:3] == ["method", "PCK\N{DAGGER}@0.10 per point", "PCK\N{DAGGER}@0.10 per image"]
    assert shown["PCK\N{DAGGER}@0.10 per point"].text == "33.3"
