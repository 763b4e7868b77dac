import numpy as np
import pytest
import torch

from sdcorr.scoring.pck import pck_name, point_distances, within


class TestFunctions:
    @pytest.mark.parametrize("kind", [np.array, torch.tensor])
    def test_hand_computed(self, kind):
        distances = point_distances(
            kind([[3.0, 4.0], [1.0, 1.0], [0.0, 2.0]]), kind([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
        )
        assert distances.tolist() == [5, 0, 2]
        assert within(distances, 50.0, 0.1).tolist() == [True, True, True]
        assert within(distances, 50.0, 0.1, "<").tolist() == [False, True, True]
        assert within(distances, 20.0, 0.1).tolist() == [False, True, True]

    def test_a_normalizer_for_each_point(self):
        assert within(np.array([5.0, 5.0]), np.array([50.0, 49.0]), 0.1).tolist() == [True, False]

    def test_the_precision_of_the_inputs_is_kept(self):
        distance = np.array([51.2], dtype=np.float32)  # the nearest number is a little more than 51.2
        assert within(distance, np.float32(512), 0.1).tolist() == [True]
        assert within(distance.astype(np.float64), np.float64(512), 0.1).tolist() == [False]

    def test_names(self):
        assert [pck_name(alpha) for alpha in (0.01, 0.1, 0.125, 1)] == ["pck@0.01", "pck@0.10", "pck@0.125", "pck@1.00"]
