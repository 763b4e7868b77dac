"""Which side a target shows, on pictures whose network sees a mirrored thing as another one, or as the same."""

import pytest
import torch
from PIL import Image

from sdcorr.datasets import group_by_source
from sdcorr.methods.consensus import GRID, Mirrored, match_cells, weighed_peaks
from sdcorr.methods.features import FeatureMethod
from sdcorr.methods.layout import Layout
from sdcorr.methods.maps import Features, MirrorImages, ScoreMaps
from sdcorr.methods.mirror import Views, seen_mirrored
from sdcorr.methods.peaks import Peaks
from tests.methods.test_consensus import LEFT, RIGHT, SIZE, texture, two_peaks
from tests.run.fakes import make_pair

RIGHTWARD = Views(
    texture(0), texture(1), SIZE
)  # a car that faces right, and the car that faces left, as a network sees it
LEFTWARD = Views(texture(1), texture(0), SIZE)
FRONTAL = Views(texture(2), texture(2), SIZE)  # a thing like its own mirror image


def seen(source: Views, target: Views) -> Mirrored:
    return seen_mirrored(source, target, match_cells(source.straight, target.straight, source.size, target.size))


class TestSides:
    def test_a_mirrored_target_is_told(self) -> None:
        assert seen(RIGHTWARD, LEFTWARD).log_odds > 1
        assert seen(RIGHTWARD, RIGHTWARD).log_odds < -1

    def test_what_is_like_its_own_mirror_image_stays(self) -> None:
        assert seen(FRONTAL, FRONTAL).log_odds < -1

    def test_places_are_turned_back(self) -> None:
        """In a picture twice as wide as high, whose longer side is 1, the mirrored first cell is the last."""
        wide = Views(texture(0), texture(1), (200, 100))
        matches = seen(wide, Views(texture(1), texture(0), (200, 100))).matches
        strong = matches.weights > 0.5
        assert strong.sum() > GRID
        assert (matches.source + matches.target)[strong, 0] == pytest.approx(torch.ones(int(strong.sum())))
        assert (matches.source == matches.target)[strong, 1].all()

    @pytest.mark.parametrize(("log_odds", "place"), [(4, RIGHT), (-4, LEFT)])
    def test_the_odds_choose_between_the_sides(self, log_odds: float, place: tuple[float, float]) -> None:
        """The straight reading speaks for the left peak, the mirrored one for the right one."""
        straight = match_cells(texture(), texture(), SIZE, SIZE)
        mirrored = Mirrored(match_cells(texture(), texture().flip(-1), SIZE, SIZE), log_odds)
        found = weighed_peaks(two_peaks(1, 1)[None], torch.tensor([LEFT]), straight, SIZE, mirrored=mirrored).taken
        assert found[0].tolist() == pytest.approx(place, abs=0.02)


class Facing(FeatureMethod):
    """Features that depend on which way the picture's thing faces, as those of a network do."""

    def read(self, key, image, category) -> Features:
        faces_right = (image(key).getpixel((0, 0)) == (255, 255, 255)) == (key == "a")
        return Features(texture(0 if faces_right else 1), Layout(SIZE, (GRID, GRID), (0, 0, GRID, GRID)))


def test_a_method_reads_mirror_images_where_it_is_asked_to() -> None:
    """Pictures have one white half. Target `b` is `a` mirrored, so that the way of its features is the other one."""
    picture = Image.new("RGB", SIZE)
    picture.paste((255, 255, 255), (0, 0, SIZE[0] // 2, SIZE[1]))
    images = {"a": picture, "b": picture}.__getitem__
    assert MirrorImages(images)("a").getpixel((0, 0)) == (0, 0, 0)
    (unit,) = group_by_source(
        [make_pair("a-b", points=1, source_size=SIZE, target_size=SIZE, source_points=[[35, 65]])]
    )
    maps = ScoreMaps(two_peaks(1.05, 1)[None], Layout(SIZE, (64, 64), (0, 0, 64, 64)), "attention")
    for consensus, place in (("none", None), ("dense", LEFT), ("dense_flip", RIGHT)):
        agreed = Facing("facing", Peaks(), consensus=consensus).agreed(unit, unit.targets[0], maps, images)
        if place is None:
            assert agreed is None
        else:
            assert agreed.choice.mirrored is None if consensus == "dense" else agreed.choice.mirrored > 0.5
            assert agreed.near[0].nonzero()[:, 1].float().mean().item() / 64 == pytest.approx(place[0], abs=0.03)
