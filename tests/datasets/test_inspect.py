import json

import numpy as np
import pytest

from sdcorr.datasets.inspect import card, counts, digest, outside
from sdcorr.datasets.pictures import PictureFiles
from sdcorr.toybox.dataset import Toybox
from tests.run.fakes import FakeBenchmark, make_pair


def lines(text):
    """The card's values by what they are."""
    rows = [line.split("  ", 1) for line in text.splitlines()]
    return {what: value.strip() for what, value in rows}


class Files(FakeBenchmark, PictureFiles):
    """A benchmark whose pictures are files."""

    def path(self, key):
        return self.folder / key


def bench(*pairs, **facts):
    made = Files() if "folder" in facts else FakeBenchmark()
    made.pairs, made.broken = pairs, ()
    for name, value in facts.items():
        setattr(made, name, value)
    return made


class TestCard:
    def test_numbers_beside_the_published_ones(self):
        pairs = [make_pair("a-b", points=3), make_pair("b-a", points=5, visible=[True, False, True, False, False])]
        expected = {"pairs": 2, "points": 9, "category/cat": 2, "category/dog": 1}
        found = lines(card(bench(*pairs, expected=expected)))
        assert found["pairs"] == "2, as published" and found["points"] == "5 (published: 9)" and found["images"] == "2"
        assert found["pairs of cat"] == "2, as published" and found["pairs of dog"] == "0 (published: 1)"
        assert found["points in a pair"] == "2 to 3, median 2.5"

    def test_pairs_that_cannot_be_read_are_counted_and_named(self):
        found = lines(card(bench(make_pair(), broken=(("c-d", "It is torn."),), expected={"pairs": 2})))
        assert found["pairs"] == "2, as published" and found["pairs that cannot be read"] == "1 (c-d: It is torn.)"

    def test_pairs_without_points_and_points_outside_are_named(self):
        inside, empty = make_pair("a-b", points=1), make_pair("c-d", points=0)
        beyond = make_pair("e-f", points=2, source_points=[[100.5, 2], [100, 3]], target_points=[[0, 0], [-1, 0]])
        unseen = make_pair("g-h", points=1, source_points=[[-9, 0]], visible=[False])
        found = lines(card(bench(inside, empty, beyond, unseen)))
        assert found["pairs without a point"] == "2 (c-d; g-h)"
        assert found["points outside the source"] == "1 (e-f)" and found["points on the source's far edges"] == "1"
        assert found["points outside the target"] == "1 (e-f)" and found["points on the target's far edges"] == "0"

    def test_long_lists_are_cut(self):
        found = lines(card(bench(*(make_pair(f"a-{i}", points=0) for i in range(8)))))
        assert found["pairs without a point"] == "8 (a-0; a-1; a-2; a-3; a-4, and 3 more)"

    def test_boxes_sizes_and_flags(self):
        pairs = [make_pair("a-b", flags={"view": "easy"}), make_pair("a-c", source_box=None, flags={"view": "hard"})]
        found = lines(card(bench(*pairs, make_pair("a-d"))))
        assert found["boxes"] == "5 of 6" and found["longer side of a box"] == "50 to 100, median 100"
        assert found["width of an image"] == "80 to 100, median 80"
        assert found["flag view"] == "- 1, easy 1, hard 1"

    def test_the_archive_s_record(self, tmp_path):
        assert "unknown" in lines(card(bench(make_pair(), folder=tmp_path)))["sha256 of the archive"]
        (tmp_path / "prepared.json").write_text(json.dumps({"sha256": "abc"}))
        assert lines(card(bench(make_pair(), folder=tmp_path)))["sha256 of the archive"] == "abc"

    @pytest.mark.parametrize("benchmark", [Toybox("demo"), FakeBenchmark()], ids=["toybox", "fake"])
    def test_any_data_set(self, benchmark):
        assert lines(card(benchmark))["pairs"] == str(len(benchmark.pairs))
        assert counts(benchmark)["pairs"] == len(benchmark.pairs)


class TestDigest:
    def test_the_same_annotations_have_the_same(self):
        points = [[1, 2], [np.nan, np.nan]]
        pair = make_pair("a-b", points=2, target_points=points, visible=[True, False])
        other_nan = np.array(points) * -1 * -1
        again = make_pair("a-b", points=2, target_points=other_nan, visible=[True, False])
        assert digest([pair]) == digest([again])

    @pytest.mark.parametrize(
        "change",
        [{"source_points": [[1, 2]]}, {"target_points": [[1, 2]]}, {"visible": [False]}, {"target_box": None}],
    )
    def test_other_annotations_have_another(self, change):
        assert digest([make_pair("a-b", points=1)]) != digest([make_pair("a-b", points=1, **change)])


def test_outside_by_the_pixel_area_convention():
    points = np.array([[0, 0], [10, 5], [10, 6], [10.01, 2], [3, 20], [3, 20.5], [-0.5, 1]])
    assert outside(points, (10, 20)) == (3, 3)
