"""Points on the object, found by what pictures show at their borders and what they do not."""

import numpy as np
import pytest
import torch

from sdcorr.labels.points import GRID, Parts, at_border, choose_points

LEFT, RIGHT = np.s_[8:20, 4:12], np.s_[8:20, 20:28]  # rows, columns of two parts of an object


def picture(seed: int) -> torch.Tensor:
    """Noise about one direction, and an object of two parts of other directions; (3, GRID, GRID)."""
    features = 0.05 * torch.randn(3, GRID, GRID, generator=torch.Generator().manual_seed(seed))
    features[0] += 1
    for part, channel in ((LEFT, 1), (RIGHT, 2)):
        features[(slice(None), *part)] += torch.eye(3)[channel][:, None, None] * 3
    return features


@pytest.fixture(scope="module")
def parts():
    return Parts.of([picture(seed) for seed in range(4)])


def test_the_border_is_two_cells_wide():
    border = at_border().view(GRID, GRID)
    assert border.sum() == GRID**2 - (GRID - 4) ** 2
    assert border[1, 5] and not border[2, 2]


def test_background_has_no_cluster_and_parts_have_different_ones(parts):
    clusters = parts.clusters(picture(9)).reshape(GRID, GRID)
    on_object = np.zeros((GRID, GRID), bool)
    on_object[LEFT] = on_object[RIGHT] = True
    assert (clusters[~on_object] >= 0).mean() < 0.01
    assert (clusters[on_object] >= 0).mean() > 0.3  # the half of each cluster that is most unlike the border
    assert not set(clusters[LEFT].ravel()) & set(clusters[RIGHT].ravel()) - {-1}


def test_distance_is_measured_in_that_of_nearly_all_of_the_border(parts):
    distances = parts.distances(picture(9)).reshape(GRID, GRID)
    border = at_border().view(GRID, GRID).numpy()
    assert (distances[border] < 1).mean() == pytest.approx(0.99, abs=0.01)
    assert distances[LEFT].min() > 3


def test_points_are_in_pixels_spread_over_the_parts_and_the_same_every_time(parts):
    features = picture(9)
    chosen = [
        choose_points(parts.clusters(features), parts.distances(features), (320, 160), 8, "key") for _ in range(2)
    ]
    assert np.array_equal(*chosen)
    points = chosen[0]
    assert points.shape == (8, 2)
    column, row = (points / (10, 5)).T  # in cells
    assert ((row >= 8) & (row <= 20)).all()
    assert {"left" if x < 16 else "right" for x in column} == {"left", "right"}
    apart = np.linalg.norm(points[:, None] - points, axis=-1)[np.triu_indices(8, 1)]
    assert apart.min() > 10


def test_the_rarest_cluster_has_the_first_turn_and_gives_its_most_unlike_cell():
    clusters, distances = np.full(GRID * GRID, -1), np.ones(GRID * GRID)
    clusters[:5], clusters[600:603] = 0, 1
    distances[601] = 9
    points = choose_points(clusters, distances, (GRID, GRID), 3, "key")
    assert np.floor(points[0]).tolist() == [601 % GRID, 601 // GRID]
    assert np.floor(points[1, 1]) == 0  # then the other
    assert np.abs(points - np.floor(points) - 0.5).max() <= 0.25


def test_there_are_no_more_points_than_cells():
    clusters = np.full(GRID * GRID, -1)
    clusters[[3, 40]] = 0
    assert len(choose_points(clusters, np.ones(GRID * GRID), (64, 64), 16, "key")) == 2
    clusters[:] = -1
    assert choose_points(clusters, np.ones(GRID * GRID), (64, 64), 16, "key").shape == (0, 2)
