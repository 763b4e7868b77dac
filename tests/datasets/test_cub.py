import json
import shutil

import numpy as np
import pytest

from sdcorr.datasets.cub import CUB
from sdcorr.errors import UserError
from tests.datasets.fixtures import evaluate
from tests.datasets.trees import CUB_PARTS, cub_path, cub_tree

pytestmark = pytest.mark.filterwarnings("ignore:CUB-200-2011 lists")


@pytest.fixture
def root(tmp_path):
    return cub_tree(tmp_path / "CUB_200_2011")


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


class TestThePairs:
    def test_hedlin_takes_every_two_test_images_of_a_class_once_in_the_order_of_the_list(self, root):
        found = CUB(root)
        assert [pair.id for pair in found.pairs] == ["1-3", "1-4", "3-4", "5-6"]  # image 2 is for training
        assert {pair.category for pair in found.pairs} == {"Black_footed_Albatross", "Laysan_Albatross"}
        assert (found.name, found.split, found.broken) == ("cub", "test", ())

    def test_the_order_is_that_of_the_lines_not_of_the_numbers(self, root):
        lines = (root / "images.txt").read_text().splitlines()
        (root / "images.txt").write_text("\n".join(reversed(lines)))
        assert [pair.id for pair in CUB(root).pairs] == ["4-3", "4-1", "3-1", "6-5"]

    def test_acsm_takes_both_ways_round(self, root):
        ids = [pair.id for pair in CUB(root, pairs="acsm").pairs]
        assert ids == ["1-3", "1-4", "3-1", "3-4", "4-1", "4-3", "5-6", "6-5"]

    def test_the_training_images_are_another_split(self, root):
        edit(root / "train_test_split.txt", "8 0", "8 1")
        assert [pair.id for pair in CUB(root, split="train").pairs] == ["7-8"]

    def test_the_folder_round_it_will_do(self, root):
        assert len(CUB(root.parent).pairs) == 4

    def test_another_total_than_the_published_one_is_a_warning(self, root):
        with pytest.warns(UserWarning, match="4 pairs here.*1,248"):
            CUB(root)


class TestAPair:
    def test_numbers_are_raw_and_boxes_have_corners(self, root):
        pair = CUB(root).pairs[0]
        assert (pair.source, pair.target) == (cub_path(1), cub_path(3))
        assert (pair.source_size, pair.target_size) == ((120, 100), (120, 100))
        assert pair.names == CUB_PARTS
        assert pair.source_points[0].tolist() == [11, 5.5] and pair.target_points[14].tolist() == [45, 82.5]
        assert pair.source_box == (1, 7, 81, 67.5) and pair.target_box == (3, 7, 83, 67.5)

    def test_a_box_may_leave_its_picture_by_a_pixel_and_not_by_factors(self, root):
        edit(root / "bounding_boxes.txt", "1 1.0 7.0 80.0 60.5", "1 1.0 40.0 119.0 61.0")  # to (120, 101)
        assert CUB(root).pairs[0].source_box == (1, 40, 120, 101)
        edit(
            root / "bounding_boxes.txt", "1 1.0 40.0 119.0 61.0", "1 2.0 80.0 238.0 122.0"
        )  # of a picture twice as large
        found = CUB(root)
        assert [pair.id for pair in found.pairs] == ["3-4", "5-6"] and [id for id, _ in found.broken] == ["1-3", "1-4"]
        assert "goes beyond its picture of 120 x 100 pixels" in found.broken[0][1]

    def test_a_part_must_be_seen_in_both(self, root):
        first, _, other, last = CUB(root).pairs
        assert [name for name, seen in zip(first.names, first.visible, strict=True) if not seen] == ["beak"]
        assert first.target_points[1].tolist() == [0, 0]  # as it is written
        assert first.query_points.shape == (14, 2) and other.visible.sum() == 14
        assert [name for name, seen in zip(last.names, last.visible, strict=True) if seen] == ["tail"]

    def test_a_pair_without_a_common_part_is_kept(self, root):
        edit(root / "parts" / "part_locs.txt", "6 14 74.0 77.0 1", "6 14 0.0 0.0 0")
        assert CUB(root).pairs[-1].query_points.shape == (0, 2)

    def test_parts_that_have_a_side_are_ambiguous(self, root):
        pair = CUB(root).pairs[0]
        sided = {name for name, alike in zip(pair.names, pair.ambiguous, strict=True) if alike}
        assert sided == {"left eye", "left leg", "left wing", "right eye", "right leg", "right wing"}

    def test_images(self, root):
        found = CUB(root)
        assert found.image(cub_path(5)).mode == "RGB"
        with pytest.raises(UserError, match="no image"):
            found.image("001.Black_footed_Albatross/none.jpg")


class TestWhatCannotBeRead:
    @pytest.mark.parametrize(
        "file, old, new, words",
        [
            (
                "bounding_boxes.txt",
                "\n3 3.0 7.0 80.0 60.5",
                "\n3 3.0 7.0 80.0",
                ["bounding_boxes.txt, line 3", "4 num"],
            ),
            ("bounding_boxes.txt", "\n3 3.0 7.0 80.0 60.5", "\n3 3.0 7.0 -80 60", ["line 3", "-80 x 60"]),
            ("bounding_boxes.txt", "\n3 3.0 7.0 80.0 60.5", "", ["bounding_boxes.txt has no line for image 3"]),
            (
                "parts/part_locs.txt",
                "\n3 1 31.0 5.5 1",
                "\n3 1 31.0 five 1",
                ["part_locs.txt, line 31", "'31.0 five 1'"],
            ),
            ("parts/part_locs.txt", "\n3 1 31.0 5.5 1", "\n3 1 nan 5.5 1", ["line 31", "3 numbers"]),
            ("parts/part_locs.txt", "\n3 1 31.0 5.5 1", "", ["14 of the 15 parts of image 3"]),
            ("parts/part_locs.txt", "\n3 1 31.0 5.5 1", "\n3 2 31.0 5.5 1", ["line 32", "second line for part 2"]),
            ("parts/part_locs.txt", "\n3 1 31.0 5.5 1", "\n3 16 31.0 5.5 1", ["line 31", "unknown part 16"]),
        ],
    )
    def test_an_image_s_pairs_are_left_out_and_listed(self, root, file, old, new, words):
        edit(root / file, old, new)
        found = CUB(root)
        assert [pair.id for pair in found.pairs] == ["1-4", "5-6"]
        assert [id for id, _ in found.broken] == ["1-3", "3-4"]
        for _, reason in found.broken:
            assert all(word in reason for word in words) and "prepare cub" in reason

    def test_a_missing_or_torn_picture_too(self, root):
        (root / "images" / cub_path(1)).unlink()
        (root / "images" / cub_path(5)).write_bytes(b"no picture")
        found = CUB(root)
        assert [pair.id for pair in found.pairs] == ["3-4"]
        assert [id for id, _ in found.broken] == ["1-3", "1-4", "5-6"]

    def test_a_line_about_another_image_does_no_harm(self, root):
        edit(root / "parts" / "part_locs.txt", "9 1 91.0 5.5 1", "9 one 91.0")
        assert not CUB(root).broken

    def test_no_picture_at_all_is_a_mistake(self, root):
        shutil.rmtree(root / "images")
        with pytest.raises(UserError, match="none.*There is no image"):
            CUB(root)

    @pytest.mark.parametrize(
        "file, old, new, words",
        [
            ("image_class_labels.txt", "4 1\n", "\n", "image_class_labels.txt has no line for number 4"),
            ("train_test_split.txt", "4 0\n", "four 0\n", "train_test_split.txt has no line for number 4"),
            ("classes.txt", "2 002.Laysan_Albatross\n", "", "classes.txt has no line for number 2"),
        ],
    )
    def test_a_list_with_a_gap_is_a_mistake(self, root, file, old, new, words):
        edit(root / file, old, new)
        with pytest.raises(UserError, match=words):
            CUB(root)

    @pytest.mark.parametrize("file", ["classes.txt", "bounding_boxes.txt", "parts/parts.txt", "parts/part_locs.txt"])
    def test_a_missing_list_is_named(self, root, file):
        (root / file).unlink()
        with pytest.raises(UserError, match=f"{file}.*prepare cub"):
            CUB(root)

    def test_no_data_set(self, tmp_path):
        with pytest.raises(UserError, match="no CUB-200-2011.*prepare cub.*dataset.root"):
            CUB(tmp_path / "nothing")

    def test_a_list_without_the_classes(self, root):
        edit(root / "train_test_split.txt", " 0", " 1")
        with pytest.raises(UserError, match="no two test images"):
            CUB(root)

    @pytest.mark.parametrize("change, words", [({"split": "val"}, "split=val.*train"), ({"pairs": "all"}, "acsm")])
    def test_unknown_settings(self, root, change, words):
        with pytest.raises(UserError, match=words):
            CUB(root, **change)


def test_a_whole_evaluation(root, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    result = evaluate(monkeypatch, capfd, "dataset=cub", f"dataset.root={root}", "run_dir=run")
    assert result.returncode == 0, result.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["pairs"], summary["points"]) == (4, 14 + 15 + 14 + 1)
    assert np.isfinite(summary["pck@0.10/per_point/category/Laysan_Albatross"])
