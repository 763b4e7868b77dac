import numpy as np
import pytest
import torch

from sdcorr.scoring.averages import averages


class TestAverages:
    # cats: 9 of 10 and 0 of 2 points right; a bus: 1 of 1; dogs: none were asked for
    SUMS = ([[9.0], [1.0], [0.0]], [12, 1, 0], [[0.9], [1.0], [0.0]], [2, 1, 0])
    EXPECTED = [10 / 13, 1.9 / 3, (2 * 9 / 12 + 1) / 3, (9 / 12 + 1) / 2, (0.45 + 1) / 2]

    @pytest.mark.parametrize("kind", [np.array, torch.tensor])
    def test_hand_computed(self, kind):
        values = averages(*(kind(sums) for sums in self.SUMS))
        assert [round(float(value[0]), 6) for value in values] == [round(value, 6) for value in self.EXPECTED]

    def test_many_at_once(self):
        once = [np.array(sums) for sums in self.SUMS]
        values = averages(*(np.stack([sums, 2 * sums]) for sums in once))
        assert all(value.shape == (2, 1) and value[0] == pytest.approx(value[1]) for value in values)
