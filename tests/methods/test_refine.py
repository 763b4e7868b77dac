"""Refinement on pictures whose right answer is known exactly: waves, sampled wherever they are asked for."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from sdcorr.datasets import Match, group_by_source
from sdcorr.errors import UserError
from sdcorr.methods.features import FeatureMethod
from sdcorr.methods.layout import Layout
from sdcorr.methods.maps import Features
from sdcorr.methods.peaks import Peaks
from sdcorr.methods.prompt import Prompt
from sdcorr.methods.refine import WINDOW, correlations, refined
from tests.run.fakes import make_pair

SAME = np.eye(2)


def waves(size: tuple[int, int], linear: np.ndarray = SAME, shift: tuple[float, float] = (0, 0)) -> Image.Image:
    """A picture (W, H) that shows at x what the plain one shows at `linear` x + `shift`."""
    draw = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    places = np.stack((x, y), -1) @ linear.T + shift  # (H, W, 2)
    directions, phases = draw.normal(scale=0.5, size=(12, 2)), draw.uniform(0, 2 * math.pi, (12, 3))
    values = np.sin((places @ directions.T)[..., None] + phases).sum(-2)  # (H, W, 3)
    return Image.fromarray((127.5 + 22 * values).clip(0, 255).astype(np.uint8))


def turned(degrees: float, scale: float = 1.0, mirror: bool = False) -> np.ndarray:
    angle = math.radians(degrees)
    rotation = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return rotation @ np.diag([-1.0, 1.0]) if mirror else rotation


class TestRefined:
    @pytest.mark.parametrize("off", [(0, 0), (1.3, -0.8), (-2.6, 1.9)])
    def test_a_shift_is_found_to_a_tenth_of_a_pixel(self, off: tuple[float, float]) -> None:
        source, target = waves((64, 64)), waves((64, 64), shift=(5.3, -2.6))
        point, truth = np.array([[30.2, 33.7]]), np.array([[30.2 - 5.3, 33.7 + 2.6]])
        found = refined(source, target, point, truth + off)
        assert np.abs(found - truth).max() < 0.1

    @pytest.mark.parametrize("linear", [turned(30), turned(-45, 4 / 3), turned(15, mirror=True)])
    def test_so_it_is_in_a_turned_and_a_mirrored_picture(self, linear: np.ndarray) -> None:
        """These are among the linear parts, or inverse to one."""
        point = np.array([[31.0, 32.4]])
        truth = np.array([[33.3, 30.9]])
        target = waves((64, 64), linear, tuple(point[0] - linear @ truth[0]))
        found = refined(waves((64, 64)), target, point, truth + (0.9, -1.2))
        assert np.abs(found - truth).max() < 0.1

    def test_pictures_of_other_sizes_are_compared_at_the_lesser_one(self) -> None:
        """The target shows the same at twice as many pixels."""
        found = refined(waves((64, 48)), waves((128, 96), SAME / 2), np.array([[30.0, 20.0]]), np.array([[62.0, 39.0]]))
        assert np.abs(found - (60, 40)).max() < 0.2

    def test_flat_pictures_change_nothing(self) -> None:
        point, match = np.array([[20.0, 20.0]]), np.array([[31.4, 17.2]])
        flat, full = Image.new("RGB", (64, 64), (90, 120, 40)), waves((64, 64))
        for source, target in ((flat, full), (full, flat), (flat, flat)):
            assert (refined(source, target, point, match) == match).all()

    def test_nothing_like_it_nearby_changes_nothing(self) -> None:
        noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
        match = np.array([[31.4, 17.2]])
        assert (refined(waves((64, 64)), Image.fromarray(noise), np.array([[30.0, 30.0]]), match) == match).all()

    def test_no_match_leaves_its_window_or_the_picture(self) -> None:
        """The right places are 6 pixels away, farther than any match may go; others are at the border."""
        source, target = waves((64, 64)), waves((64, 64), shift=(6, 0))
        x, y = np.meshgrid(np.linspace(0.1, 63.9, 7), np.linspace(0.1, 63.9, 7))
        points = np.stack((x.ravel(), y.ravel()), -1)
        found = refined(source, target, points, points)
        assert np.linalg.norm(found - points, axis=1).max() <= WINDOW + 1e-6
        assert (found != points).any() and found.min() >= 0 and found.max() <= 64

    def test_each_point_is_by_itself(self) -> None:
        source, target = waves((64, 64)), waves((64, 64), shift=(1.2, 0.4))
        points = np.array([[20.0, 20.0], [40.0, 31.0]])
        together = refined(source, target, points, points)
        assert (refined(source, target, points[1:], points[1:]) == together[1:]).all()


def test_correlations_by_hand() -> None:
    """All 2 x 2 pixels weigh the same; a patch that is the window in other light, its negative, and two flat ones."""
    window = torch.tensor([[0.1, 0.4], [0.3, 0.2]]).expand(3, 2, 2)
    colored = torch.tensor([0.2, 0.8, 0.5])[:, None, None].expand(3, 2, 2)
    patches = torch.stack((0.5 * window + 0.4, 1 - window, torch.full((3, 2, 2), 0.5), colored))
    found = correlations(window, patches, torch.full((2, 2), 0.25), 1)
    assert found.shape == (4, 1, 1)
    assert found.flatten().tolist() == pytest.approx([1, -1, 0, 0], abs=1e-5)


class Drawn(FeatureMethod):
    """A grid of 8 x 8 cells, each unlike all others: the match of a point is the center of its own cell."""

    def __init__(self, **settings) -> None:
        super().__init__("drawn", Peaks(), **settings)

    def read(self, key, image, category) -> Features:
        return Features(torch.eye(64).view(64, 8, 8), Layout((64, 64), (64, 64), (0, 0, 64, 64)))


class TestMethod:
    def found(self, **settings) -> Match:
        pair = make_pair("a-b", points=1, source_size=(64, 64), target_size=(64, 64), source_points=[[29.0, 34.5]])
        (unit,) = group_by_source([pair])
        pictures = {"a": waves((64, 64)), "b": waves((64, 64), shift=(1, 0.5))}
        ((_, match),) = Drawn(**settings).match(unit, pictures.__getitem__)
        return match

    def test_it_is_a_stage_of_every_method_with_maps(self) -> None:
        plain, exact = self.found(), self.found(refine="pixels")
        assert plain.points.tolist() == [[28, 36]]
        assert np.abs(exact.points - (28, 34)).max() < 0.1
        assert (exact.confidence == plain.confidence).all()

    def test_none_claims_what_was_claimed_before(self) -> None:
        assert Prompt.claimed({"steps": 3, "refine": "none"}) == {"steps": 3}
        assert Prompt.claimed({"steps": 3, "refine": "pixels"}) == {"steps": 3, "refine": "pixels"}

    def test_no_such_refinement(self) -> None:
        with pytest.raises(UserError, match="refine=latents of drawn is not legal: give none, pixels"):
            Drawn(refine="latents")
