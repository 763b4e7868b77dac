import numpy as np
import pytest

from sdcorr.datasets import group_by_source
from sdcorr.errors import UserError
from sdcorr.methods.position import SameBoxPosition, SamePixel, move_between_boxes
from tests.run.fakes import make_pair


def unread(key):
    raise AssertionError("a rule needs no picture")


def matched(method, *pairs):
    (unit,) = group_by_source(pairs)
    return dict(zip([pair.id for pair in pairs], [match for _, match in method.match(unit, unread)], strict=True))


def test_move_between_boxes():
    points = np.array([[10.0, 20.0], [30.0, 60.0], [20.0, 30.0]])
    moved = move_between_boxes(points, (10, 20, 30, 60), (0, 0, 100, 10))
    assert moved.tolist() == [[0, 0], [100, 10], [50, 2.5]]


class TestSamePixel:
    def test_the_same_share_of_the_image(self):  # 100 x 50 to 80 x 160
        pair = make_pair("a-b", points=2, source_points=[[50, 25], [100, 10]])
        assert matched(SamePixel(None), pair)["a-b"].points.tolist() == [[40, 80], [80, 32]]

    def test_visible_points_of_every_target(self):
        first = make_pair("a-b", points=2, source_points=[[50, 25], [100, 10]], visible=[False, True])
        second = make_pair("a-c", points=1, source_points=[[50, 25]], target_size=(10, 10))
        matches = matched(SamePixel(None), first, second)
        assert matches["a-b"].points.tolist() == [[80, 32]] and matches["a-c"].points.tolist() == [[5, 5]]
        assert matches["a-b"].confidence.tolist() == [1]


class TestSameBoxPosition:
    def test_the_same_share_of_the_box(self):  # (10, 10, 60, 40) to (5, 20, 45, 120)
        pair = make_pair("a-b", points=2, source_points=[[35, 25], [60, 10]])
        assert matched(SameBoxPosition(None), pair)["a-b"].points.tolist() == [[25, 70], [45, 20]]

    @pytest.mark.parametrize("box", ["source_box", "target_box"])
    def test_boxes_are_needed(self, box):
        with pytest.raises(UserError, match="same_box_position needs boxes and pair a-b has none"):
            matched(SameBoxPosition(None), make_pair("a-b", **{box: None}))
