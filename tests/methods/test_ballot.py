"""What a consensus has weighed, of pictures whose transform is known."""

import numpy as np
import pytest
import torch

from sdcorr.methods.ballot import NODES, ballot, warped_grid
from sdcorr.methods.consensus import Choice, Matches, match_cells
from sdcorr.methods.maps import Agreed
from tests.methods.test_consensus import SIZE, texture

EVEN = np.stack(np.meshgrid(np.linspace(0, 1, NODES), np.linspace(0, 1, NODES)), -1)


def test_a_grid_over_the_same_picture_stays() -> None:
    grid = warped_grid(match_cells(texture(), texture(), SIZE, SIZE), SIZE)
    assert np.abs(grid.numpy() - EVEN).max() < 0.02


def test_a_mirrored_one_is_turned_over() -> None:
    grid = warped_grid(match_cells(texture(), texture().flip(-1), SIZE, SIZE), SIZE)
    assert np.abs(grid.numpy() - EVEN * (-1, 1) - (1, 0)).max() < 0.02


def test_it_bends_where_the_object_does() -> None:
    """The lower half is moved to the right by a tenth."""
    source = torch.from_numpy(EVEN.reshape(-1, 2)).float()
    target = source + 0.1 * (source[:, 1:] > 0.5) * torch.tensor([1.0, 0.0])
    grid = warped_grid(Matches(source, target, torch.ones(len(source))), SIZE).numpy()
    assert np.abs(grid[0] - EVEN[0]).max() < 0.04 and np.abs(grid[-1] - EVEN[-1] - (0.1, 0)).max() < 0.04


def test_the_peak_that_was_taken_comes_first() -> None:
    """Shares are 1/4, 1/2, 1/4, and nothing where a map has no fourth and fifth peak; votes turn the order."""
    places = torch.tensor([[[0.1, 0.2], [0.3, 0.4], [0.5, 0.6], [0, 0], [0, 0]]])
    scores = torch.tensor([[1.0, 2.0, 1.0, 0.0, 0.0]]).log()
    votes = torch.tensor([[0.0, -2.0, -1.0, 0.0, 0.0]])
    matches = match_cells(texture(), texture(), SIZE, SIZE)
    choice = Choice(places, scores, votes, votes > 0, trust=0.5, mirrored=0.25)
    found = ballot(Agreed(torch.empty(0), choice, matches, matches), SIZE, (100, 50))
    assert (found.trust, found.mirrored) == (0.5, 0.25)
    assert found.places[0, :3] == pytest.approx(np.array([[10, 10], [50, 30], [30, 20]]), abs=1e-4)
    assert found.shares[0].tolist() == pytest.approx([0.25, 0.25, 0.5, 0])
    assert found.votes[0, :3].tolist() == [0, -1, -2]
    assert found.grid[-1, -1] == pytest.approx([100, 100], abs=2)  # in the target's longer sides
