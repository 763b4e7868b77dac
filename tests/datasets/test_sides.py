"""Which key-points look alike."""

import pytest
import yaml

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


def test_geometry_aware_and_both_sides_are_told_by_what_is_asked_for():
    names = ["2", "3", "9", "11", "13"]  # a cow's ears, two hooves that are no pair, and another point
    pair = make_pair(names=names, points=5, category="cow")
    groups = Arrays.of("spair", [(pair, pair.true_points)]).groups
    assert groups[:, GROUPS.index(GEOMETRY_AWARE)].tolist() == [1, 1, 1, 1, 0]
    assert groups[:, GROUPS.index(BOTH_SIDES)].tolist() == [1, 1, 0, 0, 0]
    alone = make_pair(names=names, points=5, category="cow", visible=[True, False, True, False, True])
    assert not Arrays.of("spair", [(alone, alone.true_points)]).groups[:, 3:].any()
