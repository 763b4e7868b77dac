"""What matches leave behind, on maps and features whose numbers are known."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from sdcorr.datasets import group_by_source
from sdcorr.methods.consensus import LEAST, Choice, Matches
from sdcorr.methods.doubts import doubts
from sdcorr.methods.evidence import FARTHEST, of_choice, of_map, spread, votes, way_back
from sdcorr.methods.features import FeatureMethod
from sdcorr.methods.layout import Layout
from sdcorr.methods.maps import Features
from sdcorr.methods.peaks import Peaks
from tests.run.fakes import make_pair

SQUARE = (100, 100)


def two_peaks(first: float, second: float) -> torch.Tensor:
    """Shares of a map of 20 x 20 cells, (1, 20, 20): one peak at (0.125, 0.125), one at (0.875, 0.125)."""
    shares = torch.full((20, 20), (1 - first - second) / 398)
    shares[2, 2], shares[2, 17] = first, second
    return shares[None]


def test_of_two_peaks() -> None:
    shares = two_peaks(0.4, 0.1)
    here, there = (of_map(shares.log(), torch.tensor([place]), SQUARE) for place in ([0.125, 0.125], [0.875, 0.125]))
    assert math.isclose(here["peak"].item(), math.log(0.4 * 400), rel_tol=1e-5)
    assert math.isclose(here["margin"].item(), math.log(4), rel_tol=1e-5)
    assert math.isclose(there["peak"].item(), math.log(0.1 * 400), rel_tol=1e-5)
    assert math.isclose(there["margin"].item(), -math.log(4), rel_tol=1e-5)
    entropy = -(0.4 * math.log(0.4) + 0.1 * math.log(0.1) + 0.5 * math.log(0.5 / 398)) / math.log(400)
    assert math.isclose(here["entropy"].item(), entropy, rel_tol=1e-5)


def test_a_match_beside_its_summit_has_the_summits_height() -> None:
    at, beside = (of_map(two_peaks(0.4, 0.1).log(), torch.tensor([[x, 0.125]]), SQUARE) for x in (0.125, 0.2))
    assert torch.equal(at["margin"], beside["margin"]) and torch.equal(at["peak"], beside["peak"])


def test_of_flat_and_single_maps() -> None:
    flat = of_map(torch.zeros(1, 20, 20), torch.tensor([[0.5, 0.5]]), SQUARE)
    assert abs(flat["peak"].item()) < 1e-5 and abs(flat["margin"].item()) < 1e-5
    assert math.isclose(flat["entropy"].item(), 1, rel_tol=1e-5)
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(20.0), indexing="ij")
    cone = -(x + y)[None]  # one peak, in the first cell, and nothing else
    assert math.isclose(of_map(cone, torch.tensor([[0.02, 0.02]]), SQUARE)["margin"].item(), 38, rel_tol=1e-5)


def test_the_spread_is_in_longer_sides() -> None:
    summits = torch.tensor([[[0.5, 0.5], [0.9, 0.5], [0.5, 1.0]]])
    found = spread(summits, torch.tensor([[0.5, 0.5]]), (200, 100))
    assert math.isclose(found.item(), (0 + 0.4 + 0.25) / 3, rel_tol=1e-5)


def test_the_way_back() -> None:
    source = torch.eye(16).view(16, 4, 4)  # every cell unlike all others
    queries = source[:, 0, [0, 1]].T  # of the cells at (0.125, 0.125) and (0.375, 0.125)
    found = source[:, [0, 3], [0, 1]].T  # one comes home, the other from (0.375, 0.875)
    left = way_back(source, queries, found, torch.tensor([[0.125, 0.125], [0.375, 0.125]]), (100, 200))
    assert np.allclose(left["back"], [0, 0.75]) and np.allclose(left["likeness"], [1, 0])
    elsewhere = np.array([15, np.exp(10) + 14]) / (np.exp(10) + 15)  # of the softmax of one cosine of 1 and 15 of 0
    assert np.allclose(np.exp(left["astray"]), elsewhere + 1e-4, rtol=1e-4)


def test_votes_speak_for_one_of_two_peaks() -> None:
    points = torch.tensor([[0.125, 0.125]])
    matches = Matches(points.clone(), torch.tensor([[0.125, 0.125]]), torch.ones(1))  # sends the point to the first
    scores = two_peaks(0.4, 0.1).log()
    first, second = (
        votes(scores, torch.tensor([place]), points, matches, SQUARE).item() for place in ([0.125] * 2, [0.875, 0.125])
    )
    assert math.isclose(first, 0, abs_tol=1e-5)
    assert math.isclose(second, math.log(LEAST / (1 + LEAST)), rel_tol=1e-3)


class Marks(FeatureMethod):
    """Features that tell every cell from all others, the same of every picture."""

    def read(self, key: str, image: object, category: str) -> Features:
        layout = Layout((100, 50) if key == "a" else (80, 160), (8, 8), (0, 0, 8, 8))
        return Features(torch.eye(64).view(64, 8, 8), layout)


def test_features_leave_evidence_that_is_no_part_of_the_match() -> None:
    pair = make_pair("a-b", source_points=[[25, 12], [80, 40], [55, 30]])
    (unit,) = group_by_source([pair])
    ((_, match),) = Marks("marks", Peaks()).match(unit, Image.open)
    assert set(match.evidence) == {"peak", "margin", "entropy", "back", "likeness", "astray"}
    assert (match.evidence["back"] < 0.1).all() and (match.evidence["margin"] > 0).all()
    ((_, agreed),) = Marks("marks", Peaks(), consensus="dense").match(unit, Image.open)
    assert set(agreed.evidence) - set(match.evidence) == {"votes", "lead", "side"}
    ((_, mutual),) = Marks("marks", Peaks("mutual", window=1)).match(unit, Image.open)
    assert not mutual.evidence  # places are struck out of its maps


def test_a_second_peak_that_is_nearly_as_high_makes_a_match_doubtful() -> None:
    here = torch.tensor([[0.125, 0.125]])
    margins = [of_map(two_peaks(0.3, other).log(), here, SQUARE)["margin"].numpy() for other in (0.27, 0.1)]
    assert np.allclose(np.concatenate(margins), [math.log(0.3 / 0.27), math.log(3)], atol=0.01)
    assert [doubts({"margin": each})[0] for each in margins] == ["a second peak is 90 % as high", None]
    assert doubts({"margin": np.array([-0.5])}) == ["a second peak is 100 % as high"]  # it is not at the highest one


def test_a_consensus_doubts_by_its_prices() -> None:
    """The peaks of three points lead by 0.1, 0.1 and, being alone, by all; the first has a rival of the other side."""
    scores = torch.tensor([[2.0, 1.0, 0.0], [1.0, 0.5, 0.0], [1.0, -torch.inf, -torch.inf]])
    votes_ = torch.tensor([[-1.1, 0.0, 0.5], [0.0, 0.4, 0.0], [0.0, 0.0, 0.0]])
    reflected = torch.tensor([[True, False, False], [False, False, True], [False, False, False]])
    left = of_choice(Choice(torch.zeros(3, 3, 2), scores, votes_, reflected))
    assert left["lead"].tolist() == pytest.approx([0.1, 0.1, FARTHEST])
    assert left["side"].tolist() == pytest.approx([0.1, 1.0, FARTHEST])
    told = {name: values.numpy() for name, values in left.items()} | {"margin": np.zeros(3)}
    assert doubts(told) == [
        "if the object is mirrored, it is elsewhere: 90 % as likely",
        "a second peak is 90 % as likely",
        None,
    ]
