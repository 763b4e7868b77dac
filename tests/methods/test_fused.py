"""Two methods as one: sums computed by hand, on pictures that are laid out in different ways."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from sdcorr.datasets import group_by_source
from sdcorr.errors import UserError
from sdcorr.methods.fused import Fused, near
from sdcorr.methods.layout import Layout
from sdcorr.methods.maps import MapMethod, ScoreMaps
from tests.run.fakes import make_pair

SQUASHED = Layout((40, 20), (8, 8), (0, 0, 8, 8))
PADDED = Layout((40, 20), (8, 8), (0, 2, 8, 6))


class Given(MapMethod):
    """Maps that are given, for every target the same."""

    def __init__(self, resources, values, layout=SQUASHED, kind="cosine"):
        self.given = ScoreMaps(torch.tensor(values)[None], layout, kind)

    def model_identity(self):
        return {"values": self.given.values.sum().item()}

    def match(self, unit, image) -> Iterator:
        raise AssertionError("only maps are asked for")

    def maps(self, unit, image):
        for target in unit.targets:
            yield target, self.given


def part(values, **more):
    return {"_target_": f"{__name__}.Given", "values": values, **more}


def match(parts, **settings):
    fused = Fused(None, parts, **({"weight": 1.0, "grid": 2} | settings))
    pair = make_pair("a-b", points=1, source_size=(40, 20), target_size=(40, 20))
    (unit,) = group_by_source([pair])
    ((_, found),) = fused.match(unit, {"a": Image.new("RGB", (40, 20))}.__getitem__)
    return found


ATTENTION = part([[0.6, 0.3], [0.05, 0.05]], kind="attention")
COSINES = part([[0.0, 1.0], [0.2, 0.9]])


class TestSum:
    def test_without_weight_it_is_the_first(self) -> None:
        assert match([ATTENTION, COSINES], weight=0).points.tolist() == [[10, 5]]  # center of the first of 2 x 2 cells

    def test_a_weight_moves_it_where_both_are_high(self) -> None:
        """log .6 + 0 = -0.51 and log .3 + 1 = -0.20."""
        assert match([ATTENTION, COSINES]).points.tolist() == [[30, 5]]

    def test_a_great_weight_leaves_the_second(self) -> None:
        third = part([[0.0, 0.1], [0.2, 0.9]])
        assert match([ATTENTION, third], weight=100).points.tolist() == [[30, 15]]

    def test_the_scale_of_attention_does_not_matter(self) -> None:
        tenth = part([[0.06, 0.03], [0.005, 0.005]], kind="attention")
        one, other = match([ATTENTION, COSINES]), match([tenth, COSINES])
        assert one.points.tolist() == other.points.tolist()
        assert one.confidence.tolist() == pytest.approx(other.confidence.tolist())


class TestLayouts:
    def test_padding_falls_away(self) -> None:
        """A map of 4 x 4 cells whose middle two rows are the picture: its rows become the halves of the picture."""
        rows = torch.tensor([[9.0] * 4, [1.0] * 4, [2.0] * 4, [9.0] * 4])
        maps = ScoreMaps(rows[None], PADDED, "cosine").over_picture((2, 2))
        assert maps[0].tolist() == [[1, 1], [2, 2]]

    def test_a_padded_and_a_squashed_one_meet_at_the_same_place(self) -> None:
        padded = [[0.0] * 4, [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0], [5.0] * 4]
        found = match([ATTENTION, part(padded, layout=PADDED)], weight=50)
        assert found.points.tolist() == [[30, 15]]


def test_confidence_is_the_share_near_the_match() -> None:
    found = match([part([[3.0, 0.0], [0.0, 0.0]]), part([[0.0, 0.0], [0.0, 0.0]])])
    assert found.confidence[0] == pytest.approx(np.exp(3) / (np.exp(3) + 3))


def test_near() -> None:
    maps = torch.ones(1, 3, 5)
    assert near(maps, torch.tensor([[2.5, 1.5]]), 1)[0].tolist() == [[0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0]]


def test_what_decides_it_is_what_decides_its_parts() -> None:
    other = part([[0.0, 0.0], [0.0, 1.0]])
    first, second = (Fused(None, [ATTENTION, each], 1.0, 2).model_identity() for each in (COSINES, other))
    assert first["first"] == second["first"] and first["second"] != second["second"]


@pytest.mark.parametrize(
    "parts, settings, complaint",
    [
        ([ATTENTION], {}, "joins two methods, not 1"),
        ([ATTENTION, {"_target_": "sdcorr.methods.position.SamePixel"}], {}, "SamePixel gives no maps"),
        ([ATTENTION, COSINES], {"weight": -1}, "weight=-1"),
        ([ATTENTION, COSINES], {"grid": 0}, "grid=0"),
        ([ATTENTION, COSINES], {"localization": "mutual"}, "mutual"),
    ],
)
def test_what_cannot_be(parts, settings, complaint) -> None:
    with pytest.raises(UserError, match=complaint):
        Fused(None, parts, **({"weight": 1.0, "grid": 2} | settings))
