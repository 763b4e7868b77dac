"""Points move as the pictures do."""

import numpy as np
import pytest
import torch

from sdcorr.errors import UserError
from sdcorr.student.clusters import Clusters, Sampling
from sdcorr.student.labels import read_labels
from sdcorr.student.losses import at_points, grid_centers, losses
from sdcorr.student.warps import Range, draw_warp, moved, warped
from tests.student.made import write_labels

SIDE = 33


def test_a_dot_is_where_its_point_is() -> None:
    rng = np.random.default_rng(3)
    for mirrored in (False, True):
        picture = torch.zeros(1, 3, SIDE, SIDE)
        picture[..., 20, 12] = 1
        warp = draw_warp(rng, Range(turn=40, scale=1.2, shift=0.1), mirrored)
        view = warped(picture, warp[None])[0, 0]
        x, y = moved(np.array([12.5, 20.5]) / SIDE, warp) * SIDE
        rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
        weights = (view / view.sum()).numpy()
        assert abs((weights * columns).sum() - x) < 0.3 and abs((weights * rows).sum() - y) < 0.3
        assert (np.linalg.det(warp[:, :2]) < 0) == mirrored


def test_all_views_of_a_cluster_are_mirrored_or_none(tmp_path, monkeypatch) -> None:
    seen = []
    monkeypatch.setattr(
        "sdcorr.student.clusters.draw_warp", lambda rng, within, mirrored: seen.append(mirrored) or np.eye(2, 3)
    )
    labels = read_labels(write_labels(tmp_path / "l", sources=8))
    views = Clusters(labels, labels.clusters, 32, Sampling(targets=2), 0, Range())
    for index in range(8):
        views[index]
        assert len(set(seen[-4:])) == 1
    assert set(seen) == {True, False}


def test_views_are_mirrored_each_by_itself_or_not_at_all_where_that_is_asked() -> None:
    rng = np.random.default_rng(0)
    assert 0 < Range(mirror="view").mirrored(rng, 100).sum() < 100
    assert not any(Range(mirror="none").mirrored(rng, 2).any() for _ in range(20))
    with pytest.raises(UserError, match="mirror=both is not legal: give cluster, view, none"):
        Range(mirror="both")  # type: ignore[arg-type]


def test_a_view_has_its_points_and_an_epoch_is_always_the_same(tmp_path) -> None:
    labels = read_labels(write_labels(tmp_path / "l"))
    still = Range(turn=0, scale=1, shift=0, light=0)
    sampling = Sampling(targets=2, tracks=6, free=2, queries=64)
    one, again = (Clusters(labels, labels.clusters, 32, sampling, 4, still)[1] for _ in range(2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    other = Clusters(labels, labels.clusters, 32, sampling, 5, still)[1]
    assert not torch.equal(one["points"], other["points"])
    # a pixel of the source is the same pixel at the track's place in every target: textures of 4 x 4 blocks, shifted
    colors = at_points(one["pictures"][None], one["points"][None])[0]  # (V, P, 3) of unit length
    view, track = one["asked"] // 8, one["asked"] % 8
    for into in range(4):
        counted = one["weights"][into] > 0
        assert (view[into][counted] != into).all()
        near = (colors[view[into], track[into]] - colors[into, track[into]]).norm(dim=-1)[counted]
        assert (near < 1e-3).float().mean() > 0.9 and counted.sum() > 10


def test_losses_of_features_that_say_where_they_are() -> None:
    """Features that are one-hot by cell, of two views alike: a point at a cell's center is found there."""
    cells = 4
    features = torch.eye(cells * cells).view(1, 1, cells * cells, cells, cells).expand(1, 2, -1, -1, -1)
    points = grid_centers(cells, cells)[None, [5, 10], None].expand(1, 2, 2, 2)
    asked = torch.tensor([[[2, 3], [0, 1]]])  # of each view, both tracks of the other one
    exact = losses(features, points, asked, torch.ones(1, 2, 2), torch.tensor(0.02), sigma=0.1)
    assert exact.entropy < 1e-4 and exact.distance < 1e-3 and exact.hits == 1
    wrong = losses(features, points, asked.flip(-1), torch.ones(1, 2, 2), torch.tensor(0.02), sigma=0.1)
    assert wrong.hits == 1  # the query and its truth go together
    moved_away = points.clone()
    moved_away[:, :, 1] = grid_centers(cells, cells)[[0, 15]]
    off = losses(features, moved_away, asked, torch.tensor([[[0.0, 0], [1, 0]]]), torch.tensor(0.02), sigma=0.1)
    # track 0 of the first view (cell 5) is looked for in the second, where the label says cell 0: 1 / 0.02 nats
    assert abs(float(off.entropy) - 50) < 0.1 and off.hits == 0
    assert abs(float(off.distance) - 0.25 * 2**0.5) < 1e-3
