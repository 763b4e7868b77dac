"""From maps to points, with values computed by hand."""

import numpy as np
import pytest
import torch

from sdcorr.errors import UserError
from sdcorr.methods.peaks import Peaks, argmax, returning, window_soft_argmax


class TestArgmax:
    def test_centers_of_cells(self) -> None:
        maps = torch.zeros(2, 3, 4)
        maps[0, 2, 1], maps[1, 0, 3] = 0.5, 0.25
        cells, scores = argmax(maps)
        assert cells.tolist() == [[1.5, 2.5], [3.5, 0.5]] and scores.tolist() == [0.5, 0.25]

    def test_padding_is_never_found(self) -> None:
        maps = torch.tensor([[[9.0, 1.0], [2.0, 3.0]]])
        inside = torch.tensor([[False, True], [True, False]])
        cells, scores = Peaks().find(maps, inside)
        assert cells.tolist() == [[0.5, 1.5]] and scores.tolist() == [2.0]


class TestWindowSoftArgmax:
    def test_two_equal_neighbors_meet_in_the_middle(self) -> None:
        maps = torch.full((1, 1, 5), -100.0)
        maps[0, 0, 1] = maps[0, 0, 2] = 1.0
        assert window_soft_argmax(maps, 1, 1.0)[0].tolist() == pytest.approx([2.0, 0.5])

    def test_weights_are_a_softmax(self) -> None:
        """Scores ln 3 and 0 at temperature 1 weigh 3 to 1."""
        maps = torch.full((1, 1, 4), -torch.inf)
        maps[0, 0, 0], maps[0, 0, 1] = np.log(3), 0.0
        assert window_soft_argmax(maps, 1, 1.0)[0, 0].item() == pytest.approx(0.75 * 0.5 + 0.25 * 1.5)

    def test_what_is_outside_the_window_does_not_pull(self) -> None:
        maps = torch.zeros(1, 9, 9)
        maps[0, 1, 1], maps[0, 8, 8] = 1.0, 0.99
        near = window_soft_argmax(maps, 1, 0.05)
        assert near[0].tolist() == pytest.approx([1.5, 1.5])

    def test_a_cold_one_is_the_argmax(self) -> None:
        maps = torch.rand(3, 6, 7, generator=torch.Generator().manual_seed(0))
        assert torch.allclose(window_soft_argmax(maps, 7, 1e-4), argmax(maps)[0], atol=1e-3)


class TestReturning:
    """Three cells in a row; the features of the target are those of the source, the last two swapped."""

    source = torch.eye(3)[:, None, :]  # (C, 1, 3): one channel per cell
    target = source[..., [0, 2, 1]]

    def test_only_cells_whose_way_back_ends_at_the_query_point_stay(self) -> None:
        maps = torch.tensor([[[0.9, 0.5, 0.8]]])
        kept = returning(maps, self.target, self.source, torch.tensor([[1.5, 0.5]]), window=0)
        assert kept.tolist() == [[[-np.inf, -np.inf, pytest.approx(0.8)]]]  # the target's third is the source's second

    def test_a_map_of_which_none_would_be_left_stays(self) -> None:
        maps, nowhere = torch.rand(1, 1, 3), torch.tensor([[30.0, 0.5]])
        assert returning(maps, self.target, self.source, nowhere, window=0).equal(maps)

    def test_a_window_lets_neighbors_in(self) -> None:
        maps = torch.ones(1, 1, 3)
        kept = returning(maps, self.target, self.source, torch.tensor([[0.5, 0.5]]), window=1)
        assert torch.isfinite(kept).tolist() == [[[True, False, True]]]


@pytest.mark.parametrize(
    "settings, complaint",
    [
        ({"localization": "max"}, "localization=max of vision.*window_soft_argmax"),
        ({"window": -1}, "window=-1 of vision"),
        ({"temperature": 0}, "temperature=0 of vision"),
    ],
)
def test_a_setting_that_is_not_legal(settings, complaint) -> None:
    with pytest.raises(UserError, match=complaint):
        Peaks(**settings).check("vision")
