import numpy as np
import pytest

from sdcorr.datasets import group_by_source
from sdcorr.errors import UserError
from sdcorr.methods.image_patches import ImagePatches
from sdcorr.methods.position import SameBoxPosition, SamePixel
from sdcorr.run.records import UnitRecord
from sdcorr.scoring.arrays import collect
from sdcorr.scoring.bootstrap import estimate
from sdcorr.scoring.counts import count
from sdcorr.scoring.protocols import protocol_named
from sdcorr.scoring.score import score
from sdcorr.scoring.summary import flatten
from sdcorr.toybox.classes import THINGS
from sdcorr.toybox.dataset import SPLITS, Toybox, drawing, pair_of
from sdcorr.toybox.hiding import chosen
from sdcorr.toybox.making.hiding import choose
from sdcorr.toybox.world import TRAIN

PAIRED = {split: size for split, size in SPLITS.items() if size.targets and size.hiding is None}
HIDING = {split: size for split, size in SPLITS.items() if size.hiding is not None}


def keys(split):
    return {key for pair in Toybox(split).pairs for key in (pair.source, pair.target)}


def pictures(split):
    return [Toybox(split).image(key).tobytes() for key in sorted(keys(split))]


class TestSplits:
    def test_no_picture_is_there_twice(self):
        both = pictures("val") + pictures("test")
        assert len(set(both)) == len(both)

    def test_the_demo_is_part_of_the_test(self):
        assert {pair.id for pair in Toybox("demo").pairs} < {pair.id for pair in Toybox("test").pairs}

    def test_drawings_are_those_that_the_published_scores_are_of(self):
        means = {name: [] for name in THINGS}
        for key in keys("demo"):
            means[key.split("/")[1]].append(np.asarray(Toybox("demo").image(key)).mean())
        known = {
            "bird": 191.18,
            "fish": 201.16,
            "cat": 209.7,
            "crab": 188.56,
            "car": 210.43,
            "teapot": 196.93,
            "lamp": 198.2,
        }
        assert {name: np.mean(of_class) for name, of_class in means.items()} == pytest.approx(known, abs=0.03)

    def test_sizes(self):
        assert len(Toybox("test").pairs) >= 120
        for split, size in PAIRED.items():
            pairs = Toybox(split).pairs
            assert len({pair.id for pair in pairs}) == len(pairs) == len(THINGS) * size.sources * size.targets

    def test_unknown(self):
        with pytest.raises(UserError, match="no split 'trian': choose one of val, test, demo"):
            Toybox("trian")


class TestPairs:
    @pytest.mark.parametrize("split", PAIRED)
    def test_every_class_has_points_to_match(self, split):
        points = dict.fromkeys(THINGS, 0)
        for pair in Toybox(split).pairs:
            points[pair.category] += int(pair.visible.sum())
        assert min(points.values()) >= 10

    def test_points_are_visible_in_both_pictures(self):
        box = Toybox("demo")
        for pair in box.pairs:
            source, target = box.drawing(pair.source), box.drawing(pair.target)
            assert (pair.visible == (source.visible & target.visible)).all()
            assert pair.names == source.names == target.names and source.category == target.category == pair.category

    def test_a_third_of_the_test_points_have_a_look_alike(self):
        pairs = Toybox("test").pairs
        alike = np.concatenate([pair.ambiguous[pair.visible] for pair in pairs])
        assert alike.mean() >= 1 / 3


@pytest.mark.parametrize("kind", [SamePixel, SameBoxPosition, ImagePatches])
def test_what_looks_at_no_meaning_fails(kind):
    """Neither a place nor a color solves the toybox: what a method scores above this it owes to something else."""
    box, method = Toybox("val"), kind(None)
    records = [
        UnitRecord(box.name, box.split, kind.__name__, unit.source, 0.0, tuple(method.match(unit, box.image)))
        for unit in group_by_source(box.pairs)
    ]
    assert estimate(count(collect(records), protocol_named("standard"), [0.1]))[0, 0, 0] < 0.40


def test_asking_for_hidden_points_moves_no_score_of_a_visible_one():
    """To the last digit, on drawings, of a method whose matches do not depend on what else is asked."""
    found = {}
    for ask in ("visible", "all"):
        toybox, method = Toybox("demo", ask), ImagePatches(None)
        units = group_by_source(pair for pair in toybox.pairs if pair.category in ("fish", "car", "lamp"))
        records = [
            UnitRecord("toybox", "demo", "image_patches", unit.source, 1.0, tuple(method.match(unit, toybox.image)))
            for unit in units
        ]
        arrays = {"image_patches": collect(records)}
        found[ask] = flatten(score(arrays, "image_patches", protocol_named("standard"), samples=50))
    assert found["all"].pop("hidden") == 3
    assert {key: value for key, value in found["all"].items() if key[:3] not in ("kap", "the")} == found["visible"]


def test_the_training_split_has_pictures_of_the_training_world_and_no_pairs():
    found = Toybox("train")
    groups = found.groups
    assert list(groups) == list(THINGS)
    assert groups["cat"][:2] == ("0/cat/0", "0/cat/1")
    assert all(key.startswith(f"{TRAIN}/") for keys in groups.values() for key in keys)
    with pytest.raises(UserError, match="it is there for `sdcorr label`"):
        _ = found.pairs
    val = Toybox("val")
    assert sorted(val.groups["cat"]) == sorted(
        {key for p in val.pairs if p.category == "cat" for key in (p.source, p.target)}
    )


class TestHiddenSplits:
    def test_targets_are_the_first_that_hide_a_point_and_the_first_that_hide_none(self):
        split, size = "hidden_val", HIDING["hidden_val"]
        key = f"{size.world}/fish/0"
        assert choose(key, size.targets, size.hiding) == chosen()[split]["fish"][0]
        pairs = [pair_of(key, target, "all") for target in chosen()[split]["fish"][0]]
        assert sum(pair.hidden.any() for pair in pairs) == size.hiding

    def test_every_source_has_its_targets_and_no_drawing_is_of_another_split(self):
        for split, size in HIDING.items():
            groups = Toybox(split).groups
            assert [len(set(keys)) for keys in groups.values()] == [size.sources * (1 + size.targets)] * len(THINGS)
        worlds = {size.world for split, size in SPLITS.items() if split != "demo"}
        assert len(worlds) == len(SPLITS) - 1
        assert drawing("3/cat/0").image.tobytes() != drawing("4/cat/0").image.tobytes()
