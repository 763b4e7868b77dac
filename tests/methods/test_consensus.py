"""The consensus on pictures whose right answer is known: an L of three marks, turned over or not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from sdcorr.datasets import group_by_source
from sdcorr.errors import UserError
from sdcorr.methods.consensus import GRID, VERSION, Matches, match_cells, peaks, trust_in, votes_for, weighed_peaks
from sdcorr.methods.features import FeatureMethod
from sdcorr.methods.layout import Layout
from sdcorr.methods.maps import Features, ScoreMaps
from sdcorr.methods.peaks import Peaks
from sdcorr.methods.prompt import Prompt
from sdcorr.methods.unet_features import UNetFeatures
from tests.run.fakes import make_pair

SIZE = (160, 160)
LEFT, RIGHT = (0.2, 0.4), (0.8, 0.4)  # two parts that look the same


def texture(seed: int = 0) -> torch.Tensor:
    """A picture's features, every cell unlike all others."""
    return torch.randn(24, GRID, GRID, generator=torch.Generator().manual_seed(seed))


def two_peaks(left: float, right: float, side: int = 64) -> torch.Tensor:
    """A map with a bump at LEFT and one at RIGHT, of these heights."""
    center = (torch.arange(side) + 0.5) / side
    x, y = torch.meshgrid(center, center, indexing="xy")
    bumps = [h * torch.exp(-((x - px) ** 2 + (y - py) ** 2) / 0.005) for h, (px, py) in ((left, LEFT), (right, RIGHT))]
    return sum(bumps, torch.zeros(side, side))


def choose(source: torch.Tensor, target: torch.Tensor, maps: list[torch.Tensor], points, **how) -> list:
    matches = match_cells(source, target, SIZE, SIZE)
    found = weighed_peaks(torch.stack(maps), torch.tensor(points), matches, SIZE, **how).taken
    return [[round(each, 1) for each in point] for point in found.tolist()]


class TestDense:
    def test_the_same_picture_keeps_its_sides(self) -> None:
        found = choose(texture(), texture(), [two_peaks(1, 1.2), two_peaks(1.2, 1)], [LEFT, RIGHT])
        assert found == [[0.2, 0.4], [0.8, 0.4]]  # against both maps' greater peaks

    def test_a_mirrored_picture_changes_them(self) -> None:
        found = choose(texture(), texture().flip(-1), [two_peaks(1.2, 1), two_peaks(1, 1.2)], [LEFT, RIGHT])
        assert found == [[0.8, 0.4], [0.2, 0.4]]

    def test_a_map_that_is_sure_is_left_alone(self) -> None:
        """The least share of the votes is 0.03, whose logarithm is -3.5."""
        assert choose(texture(), texture(), [two_peaks(1, 5)], [LEFT]) == [[0.8, 0.4]]

    def test_matches_without_weight_change_nothing(self) -> None:
        flat = torch.ones(24, GRID, GRID)
        matches = replace(match_cells(flat, flat, SIZE, SIZE), weights=torch.zeros(3 * GRID**2))
        votes = votes_for(matches, torch.tensor([LEFT]), torch.tensor([[LEFT, RIGHT]]))
        assert (votes == 1).all()
        found = weighed_peaks(two_peaks(1, 1.2)[None], torch.tensor([LEFT]), matches, SIZE).taken
        assert found[0, 0].item() == pytest.approx(RIGHT[0], abs=0.02)

    def test_an_unexplained_pair_changes_nothing(self) -> None:
        """Cells of two pictures of noise match by chance, in no order."""
        assert trust_in(match_cells(texture(), texture(1), SIZE, SIZE), SIZE) == 0
        assert trust_in(match_cells(texture(), texture(), SIZE, SIZE), SIZE) == 1
        for maps in (two_peaks(1, 1.01), two_peaks(1.01, 1)):
            found = choose(texture(), texture(1), [maps], [LEFT])
            assert found == [[0.8 if maps[:, 32:].max() > maps[:, :32].max() else 0.2, 0.4]]

    def test_other_points_change_nothing(self) -> None:
        maps, points = [two_peaks(1, 1.2), two_peaks(1.2, 1), two_peaks(0.5, 3)], [LEFT, RIGHT, (0.5, 0.9)]
        matches = match_cells(texture(), texture().flip(-1), SIZE, SIZE)
        together = weighed_peaks(torch.stack(maps), torch.tensor(points), matches, SIZE).taken
        for number in range(3):
            alone = weighed_peaks(maps[number][None], torch.tensor(points[number : number + 1]), matches, SIZE).taken
            assert (alone[0] == together[number]).all()

    def test_aspect_ratios_are_heeded(self) -> None:
        """A wide picture that was turned by a quarter is out of reach; its own stretched self is not."""
        matches = match_cells(texture(), texture(), (200, 100), (200, 100))
        assert matches.source.amax(0).tolist() == pytest.approx([1 - 1 / 32, 0.5 - 1 / 64])
        strong = matches.weights > 0.5
        assert strong.sum() > GRID and (matches.source[strong] == matches.target[strong]).all()


class TestJoint:
    def test_a_sure_point_pulls_an_unsure_one_along(self) -> None:
        """No match says anything: the second point, sure of the place below the left, is what decides."""
        nothing = Matches(torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1))
        below = two_peaks(1, 1.2).roll(26, 0) + 5 * two_peaks(1, 0).roll(26, 0)
        maps = torch.stack((two_peaks(1, 1.2), below))
        points = torch.tensor([LEFT, (0.2, 0.4 + 26 / 64)])
        dense = weighed_peaks(maps, points, nothing, SIZE).taken
        joint = weighed_peaks(maps, points, nothing, SIZE, joint=True).taken
        assert dense[0, 0] > 0.5 and joint[0, 0] < 0.5

    def test_a_lone_point_is_as_under_dense(self) -> None:
        maps, point = two_peaks(1, 1.2)[None], torch.tensor([LEFT])
        matches = match_cells(texture(), texture(), SIZE, SIZE)
        assert (
            weighed_peaks(maps, point, matches, SIZE).taken
            == weighed_peaks(maps, point, matches, SIZE, joint=True).taken
        ).all()


def test_peaks_are_local_maxima() -> None:
    cells, values = peaks(two_peaks(1, 0.5)[None])
    assert cells[0, :2].tolist() == [[12.5, 25.5], [51.5, 25.5]]
    assert values[0, :2].tolist() == pytest.approx([1, 0.5], abs=0.02)


class Drawn(FeatureMethod):
    """Features that are given, by the picture's key."""

    def __init__(self, pictures, **settings):
        super().__init__("drawn", Peaks(), **settings)
        self.pictures = pictures

    def read(self, key, image, category) -> Features:
        return Features(self.pictures[key], Layout(SIZE, (GRID, GRID), (0, 0, GRID, GRID)))


class TestMethod:
    def found(self, consensus: str) -> np.ndarray:
        """A query point at LEFT, whose features stand a little stronger at RIGHT of the same picture."""
        source = texture()
        target = source.clone()
        row, left, right = 6, 3, 12
        target[:, row, right] = source[:, row, left]
        target[:, row, left] = 0.9 * source[:, row, left] + 0.2 * texture(1)[:, 0, 0]
        pair = make_pair("a-b", points=1, source_size=SIZE, target_size=SIZE, source_points=[[35, 65]])
        (unit,) = group_by_source([pair])
        method = Drawn({"a": source, "b": target}, consensus=consensus)
        ((_, match),) = method.match(unit, {"a": Image.new("RGB", SIZE)}.__getitem__)
        return match.points

    def test_it_is_a_stage_of_every_method_with_maps(self) -> None:
        assert self.found("none").tolist() == [[125, 65]]
        assert self.found("dense").tolist() == [[35, 65]]

    def test_none_claims_what_was_claimed_before(self) -> None:
        told = {"steps": 3, "consensus": "none", "consensus_block": "up_blocks.1", "consensus_timestep": 261}
        assert Prompt.claimed(told) == {"steps": 3}
        assert Prompt.claimed(told | {"consensus": "dense"}) == told | {
            "consensus": "dense",
            "consensus_version": VERSION,
        }
        assert UNetFeatures.claimed({"block": "up_blocks.1", "consensus": "none"}) == {"block": "up_blocks.1"}

    def test_no_such_consensus(self) -> None:
        with pytest.raises(UserError, match="consensus=all of drawn is not legal: give none, dense, dense_flip, joint"):
            Drawn({}, consensus="all")

    def test_the_surroundings_of_a_place(self) -> None:
        maps = ScoreMaps(torch.zeros(1, 4, 8), Layout((80, 20), (8, 4), (0, 1, 8, 3)), "cosine")
        near = maps.near(torch.tensor([[0.25, 0.25]]), 0.1)  # (2, 1.5) in cells; 0.8 across, half a cell at least down
        assert near.nonzero().tolist() == [[0, 1, 1], [0, 1, 2]]
