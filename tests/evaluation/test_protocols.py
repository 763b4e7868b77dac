import dataclasses

import numpy as np
import pytest

from sdcorr.errors import UserError
from sdcorr.evaluation.protocols import NORMALIZERS, PROTOCOLS, Protocol, protocol_named
from tests.evaluation.fakes import make_pair

STANDARD, HEDLIN = PROTOCOLS["standard"], PROTOCOLS["hedlin"]

# make_pair: source 100 x 50 with box (10, 10, 60, 40); target 80 x 160 with box (5, 20, 45, 120)


class TestStandard:
    def test_length_is_the_longer_side_of_the_target_s_box_in_original_pixels(self):
        assert STANDARD.length("spair", make_pair()) == 100

    def test_length_is_the_key_points_extent_where_there_are_no_boxes(self):
        points = [[10, 20], [40, 25], [30, 90]]
        pair = make_pair(target_points=points, target_box=None)
        assert STANDARD.length("pfwillow", pair) == 70
        hidden = make_pair(target_points=points, target_box=None, visible=[True, True, False])
        assert STANDARD.length("pfwillow", hidden) == 30

    def test_correct_counts_visible_points_in_original_pixels(self):
        pair = make_pair(target_points=[[10, 10], [20, 20], [30, 30]], visible=[True, False, True])
        predicted = np.array([[10, 20], [30, 35.5]])  # 10 and 5.5 pixels off
        correct = STANDARD.correct("spair", pair, predicted, [0.05, 0.1])
        assert correct.tolist() == [[False, True], [False, True]]


class TestHedlin:
    def test_frame_is_a_square_of_512(self):
        assert HEDLIN.to_frame(np.array([[100.0, 50.0]]), (100, 50)).tolist() == [[512, 512]]
        assert HEDLIN.to_frame(np.zeros((1, 2)), (100, 50)).dtype == np.float32

    def test_spair_length_is_the_source_s_box(self):
        assert HEDLIN.length("spair", make_pair()) == pytest.approx(30 * 512 / 50)  # the height, in the square

    def test_pfwillow_length_is_the_greatest_coordinate_and_one(self):
        pair = make_pair(target_points=[[40, 100], [60, 120], [50, 110]])
        assert HEDLIN.length("pfwillow", pair) == pytest.approx(120 * 512 / 160 + 1)
        assert NORMALIZERS["key_points"](HEDLIN, pair) == pytest.approx(20 * 512 / 80)

    def test_cub_length_takes_the_scale_of_x_for_a_height(self):
        assert HEDLIN.length("cub", make_pair()) == pytest.approx(100 * 512 / 80)

    def test_a_pair_without_the_box_is_the_user_s_to_solve(self):
        with pytest.raises(UserError, match="hedlin .* source .* a-b .*standard"):
            HEDLIN.length("spair", make_pair(source_box=None))


class TestChoices:
    def test_comparison_decides_on_the_threshold(self):
        pair = make_pair(points=1, target_points=[[10, 10]])
        on_the_threshold = np.array([[20, 10]])
        assert STANDARD.correct("spair", pair, on_the_threshold, [0.1]).item()
        strict = dataclasses.replace(STANDARD, comparison="<")
        assert not strict.correct("spair", pair, on_the_threshold, [0.1]).item()

    def test_offset_is_added_in_the_frame(self):
        pair = make_pair(points=1, target_points=[[10, 10]])
        indices = Protocol(name="indices", origin="test", normalizer="target_extent", offset=-0.5)
        assert not STANDARD.correct("spair", pair, np.array([[20.4, 10]]), [0.1]).item()
        assert indices.correct("spair", pair, np.array([[20.4, 10]]), [0.1]).item()

    def test_every_preset_names_normalizers_that_exist(self):
        for protocol in PROTOCOLS.values():
            assert {protocol.normalizer, *protocol.normalizers.values()} <= set(NORMALIZERS)

    def test_an_unknown_name_is_answered_with_those_there_are(self):
        assert protocol_named("hedlin") is HEDLIN
        with pytest.raises(UserError, match="'dift'.*hedlin, standard"):
            protocol_named("dift")
