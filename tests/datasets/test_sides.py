"""Which key-points look alike."""

import numpy as np
import pytest
import yaml

from sdcorr.datasets import Match, scorable
from sdcorr.datasets.ap10k import POINTS
from sdcorr.datasets.sides import FILE, sides
from sdcorr.datasets.spair import CATEGORIES
from sdcorr.scoring.arrays import Arrays
from sdcorr.scoring.parts import BOTH_SIDES, GEOMETRY_AWARE, GROUPS
from tests.run.fakes import make_pair

TABLE = yaml.safe_load(FILE.read_text())


def of(dataset, category="cat"):
    return sides(dataset, make_pair(category=category))


def test_every_category_of_spair_is_there():
    assert sorted(TABLE["spair"]) == sorted(CATEGORIES)


@pytest.mark.parametrize("category", CATEGORIES)
def test_spair_s_table_makes_sense(category):
    told = TABLE["spair"][category]
    for groups in told.values():
        numbers = [number for group in groups for number in group]
        assert len(set(numbers)) == len(numbers) and set(numbers) <= set(range(30))
        assert all(len(group) > 1 for group in groups)
    assert all(len(group) == 2 for group in told["mirrored"])
    found = of("spair", category)
    groups = {
        found.group[str(one)] == found.group[str(two)] for one, two in told["mirrored"] if str(one) in found.group
    }
    assert groups == {True}  # left and right look alike, where the part has a group at all


def test_counterparts_go_both_ways():
    bus = of("spair", "bus")
    assert (bus.counterpart("10"), bus.counterpart("20"), bus.counterpart("4")) == ("20", "10", None)
    assert of("ap10k").counterpart("left hip") == "right hip" and of("cub").counterpart("right eye") == "left eye"
    assert of("cub").counterpart("left") is None and of("pfwillow").counterpart("3") is None


def test_groups_of_ap10k_are_of_its_own_names():
    assert set(of("ap10k").group) <= set(POINTS) and of("ap10k").group["left knee"] == of("ap10k").group["right elbow"]
    assert "left eye" not in of("ap10k").group and not of("cub").group


COW = ["2", "3", "9", "11", "13"]  # a cow's ears, two hooves that are no pair, and another point


def told(dataset="spair", **changes):
    """Which points of a cow are geometry-aware, and which have both sides."""
    pair = make_pair(**({"names": COW, "points": 5, "category": "cow", "target_alone": ()} | changes))
    groups = Arrays.of(dataset, [(pair, pair.true_points)]).groups
    return [groups[:, GROUPS.index(part)].tolist() for part in (GEOMETRY_AWARE, BOTH_SIDES)]


def test_geometry_aware_and_both_sides_are_told_by_what_both_show():
    assert told() == [[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]]
    assert told(visible=[True, False, True, False, True]) == [[0, 0, 0], [0, 0, 0]]


def test_geometry_aware_is_what_has_a_like_in_the_target_whether_or_not_the_source_shows_it():
    """By hand, after GeoAware-SC's released code: two of the group seen in the target, and one of them in both."""
    ear_and_hoof = {"visible": [True, False, True, False, True]}
    assert told(**ear_and_hoof, target_alone=["3"]) == [[1, 0, 0], [0, 0, 0]]  # the other ear is there
    assert told(**ear_and_hoof, target_alone=["10", "12"]) == [[0, 1, 0], [0, 0, 0]]  # two more hooves are
    assert told(**ear_and_hoof, target_alone=["19", "20"]) == [
        [0, 0, 0],
        [0, 0, 0],
    ]  # no horn is asked for


def test_points_that_are_asked_for_and_hidden_change_nothing():
    hidden = {"visible": [True, False, True, False, True], "hidden": [False, True, False, True, False]}
    pair = make_pair(names=COW, points=5, category="cow", target_alone=["3"], **hidden)
    known, _ = scorable(pair, Match(np.zeros((5, 2)), np.zeros(5)))
    assert Arrays.of("spair", [(known, known.true_points)]).groups[:, GROUPS.index(GEOMETRY_AWARE)].tolist() == [
        1,
        0,
        0,
    ]


def test_there_is_no_such_subset_where_nobody_knows_what_targets_show():
    assert told(target_alone=None) == [[0, 0, 0, 0, 0], [1, 1, 0, 0, 0]]
