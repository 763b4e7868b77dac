import json
import struct

import numpy as np
import pytest
from PIL import Image

from sdcorr.datasets.tss import TSS, read_flow, spread
from sdcorr.errors import UserError
from tests.datasets.fixtures import evaluate, save_image
from tests.datasets.trees import TSS_SIZES, tss_flow, tss_mask, tss_tree, write_flow

pytestmark = pytest.mark.filterwarnings("ignore:TSS lists")
LIST = "source_image,target_image,flow_direction,flip_img_A,category\n"


@pytest.fixture
def root(tmp_path):
    return tss_tree(tmp_path / "TSS_CVPR2016")


class TestThePairs:
    def test_every_folder_is_asked_in_both_directions(self, root):
        found = TSS(root)
        assert [pair.id for pair in found.pairs] == [
            f"{folder}/{way}" for folder in ("FG3DCar/car1", "JODS/a-b", "PASCAL/p_1") for way in ("1-2", "2-1")
        ]
        assert [pair.category for pair in found.pairs[::2]] == ["FG3DCar", "JODS", "PASCAL"]
        assert (found.name, found.split, found.broken) == ("tss", "test", ())

    def test_the_source_is_the_image_that_the_flow_lives_on(self, root):
        there, back = TSS(root).pairs[:2]
        assert (there.source, there.target) == ("FG3DCar/car1/image1.png", "FG3DCar/car1/image2.png")
        assert (back.source, back.target) == (there.target, there.source)
        assert (there.source_size, there.target_size) == (TSS_SIZES[1], TSS_SIZES[2])
        assert (back.source_size, back.target_size) == (TSS_SIZES[2], TSS_SIZES[1])

    def test_a_truth_is_the_center_of_the_pixel_moved_by_the_flow(self, root):
        there, back = TSS(root).pairs[:2]
        x, y = (there.source_points - 0.5).T
        assert there.target_points.tolist() == np.stack([y - 1 + 0.5, x + 10 + 0.5], axis=-1).tolist()
        x, y = (back.source_points - 0.5).T
        assert back.target_points.tolist() == np.stack([y - 10 + 0.5, x + 1 + 0.5], axis=-1).tolist()

    def test_query_points_are_pixels_of_the_source_s_foreground(self, root):
        for pair, view in zip(TSS(root).pairs, (1, 2) * 3, strict=True):
            columns, rows = (pair.source_points - 0.5).astype(int).T
            assert (tss_mask(view)[rows, columns] == 255).all()
            assert len(pair.names) == len({*zip(columns.tolist(), rows.tolist(), strict=True)}) == 40
            assert pair.visible.all()

    def test_boxes_are_those_of_the_masks(self, root):
        pair = TSS(root).pairs[0]
        assert (pair.source_box, pair.target_box) == ((10, 5, 30, 15), (4, 20, 14, 40))

    @pytest.mark.parametrize("kind", ["palette", "edge", "ones"])
    def test_all_that_is_not_zero_is_foreground(self, root, kind):
        mask = tss_mask(1)
        if kind == "palette":  # as JODS has it
            image = Image.fromarray(mask // 255)
            image.putpalette([0, 0, 0, 255, 255, 255])
        else:
            mask[5, 10:14] = (16, 40, 127, 207)  # as in FG3DCar/001_021
            image = Image.fromarray(mask if kind == "edge" else (mask > 0).astype(np.uint8))
        image.save(root / "JODS/a-b/mask1.png")
        pair = TSS(root, points=1000).pairs[2]
        assert len(pair.names) == 200 and pair.source_box == (10, 5, 30, 15)

    def test_the_same_points_at_every_call_and_others_in_every_folder(self, root):
        first, again = TSS(root).pairs, TSS(root).pairs
        assert all(np.array_equal(a.source_points, b.source_points) for a, b in zip(first, again, strict=True))
        assert not np.array_equal(first[0].source_points, first[2].source_points)  # masks are the same

    def test_a_pixel_whose_flow_is_unknown_is_not_asked_for(self, root):
        flow = tss_flow(1)
        flow[5:15, 10:20] = [np.inf, 0]
        flow[5:14, 20:30] = [0, 2e9]
        write_flow(root / "JODS/a-b/flow1.flo", flow)
        pair = TSS(root).pairs[2]  # of the block, only the last row of the right half is left
        assert sorted(map(tuple, pair.source_points.tolist())) == [(x + 0.5, 14.5) for x in range(20, 30)]

    def test_a_truth_outside_the_image_counts(self, root):
        write_flow(root / "JODS/a-b/flow1.flo", np.full((30, 40, 2), 500.0))
        pair = TSS(root, points=3).pairs[2]
        assert pair.visible.all() and (pair.target_points > 500).all()

    def test_the_list_s_totals_are_a_warning(self, root):
        with pytest.warns(UserWarning, match="6 pairs here.*800"):
            TSS(root)

    def test_the_folder_round_it_will_do(self, root):
        assert len(TSS(root.parent).pairs) == 6


class TestFlips:
    def test_the_folder_s_own_file_says_so(self, root):
        assert [pair.flags["flip"] for pair in TSS(root).pairs] == ["no", "no", "yes", "yes", "no", "no"]

    def test_the_list_of_weakalign_has_the_last_word(self, root):
        rows = [
            "TSS_CVPR2016/FG3DCar/car1/image1.png,TSS_CVPR2016/FG3DCar/car1/image2.png,1,1,1",
            "TSS_CVPR2016/FG3DCar/car1/image2.png,TSS_CVPR2016/FG3DCar/car1/image1.png,2,0,1",
            "JODS/a-b/image1.png,JODS/a-b/image2.png,1,0,2",
        ]
        (root / "test_pairs_tss.csv").write_text(LIST + "\n".join(rows))
        assert [pair.flags["flip"] for pair in TSS(root).pairs] == ["yes", "yes", "no", "no", "no", "no"]

    def test_nobody_says(self, root):
        (root / "FG3DCar/car1/flip_gt.txt").unlink()
        (root / "JODS/a-b/flip_gt.txt").write_text("perhaps")
        assert [pair.flags for pair in TSS(root).pairs[:4]] == [{}] * 4

    def test_a_list_that_is_none(self, root):
        (root / "test_pairs_tss.csv").write_text(LIST + "JODS/a-b/image1.png,JODS/a-b/image2.png,1,maybe,2\n")
        with pytest.raises(UserError, match="test_pairs_tss.csv, line 2.*fourth column"):
            TSS(root)


class TestSpread:
    def test_one_pixel_of_every_quarter(self):
        mask = np.ones((8, 8), dtype=bool)
        for seed in range(20):
            columns, rows = spread(mask, 4, np.random.default_rng(seed)).T
            assert sorted(zip(columns // 4, rows // 4, strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1)]

    def test_all_of_a_small_mask(self):
        mask = np.zeros((5, 6), dtype=bool)
        mask[1, 2] = mask[4, 5] = True
        assert spread(mask, 2, np.random.default_rng(0)).tolist() == [[2, 1], [5, 4]]

    def test_every_pixel_is_drawn_as_often(self):
        mask = np.random.default_rng(0).random((9, 14)) < 0.5
        counts, generator, draws = np.zeros(mask.shape), np.random.default_rng(1), 6000
        for _ in range(draws):
            columns, rows = spread(mask, 7, generator).T
            counts[rows, columns] += 1
        assert counts[~mask].sum() == 0
        share = counts[mask] / draws  # 7 of about 63, but for parts that differ by one pixel
        assert np.abs(share - 7 / mask.sum()).max() < 0.03

    def test_the_sampled_metric_is_the_dense_one_within_the_binomial_error(self):
        rows, columns = np.indices((120, 90))
        mask = (columns - 45) ** 2 + (rows - 60) ** 2 < 40**2
        right = (np.sin(columns / 7) + np.cos(rows / 11) > 0.3) & mask  # what a method might get right
        dense, count = right.sum() / mask.sum(), 40
        generator = np.random.default_rng(0)
        pixels = [spread(mask, count, generator) for _ in range(1500)]
        shares = np.array([right[y, x].mean() for x, y in (drawn.T for drawn in pixels)])
        bound = np.sqrt(dense * (1 - dense) / count)
        assert abs(shares.mean() - dense) < 4 * bound / np.sqrt(len(shares))
        assert shares.std() < 0.8 * bound


class TestReadFlow:
    def test_right_then_down_row_after_row(self, tmp_path):
        path = tmp_path / "a.flo"
        path.write_bytes(struct.pack("<fii", 202021.25, 3, 1) + struct.pack("<6f", 1, 2, 3, -4, 1e10, 5))
        flow = read_flow(path)
        assert flow.shape == (1, 3, 2)
        assert flow[0, :2].tolist() == [[1, 2], [3, -4]] and np.isnan(flow[0, 2]).all()

    @pytest.mark.parametrize(
        "content, words",
        [
            (b"", "not a .flo file"),
            (b"<!DOCTYPE html> and more", "not a .flo file"),
            (struct.pack(">fii", 202021.25, 1, 1) + bytes(8), "not a .flo file"),  # of another end
            (struct.pack("<fii", 202021.25, 2, 2) + bytes(31), "43 bytes.*2 x 2"),
            (struct.pack("<fii", 202021.25, 2, 2) + bytes(40), "52 bytes.*2 x 2"),
            (struct.pack("<fii", 202021.25, -1, -4) + bytes(32), "-1 x -4"),
        ],
    )
    def test_what_is_no_flow(self, tmp_path, content, words):
        (tmp_path / "a.flo").write_bytes(content)
        with pytest.raises(UserError, match=words):
            read_flow(tmp_path / "a.flo")


class TestWhatCannotBeRead:
    @pytest.mark.parametrize(
        "file, content, lost, words",
        [
            ("flow1.flo", None, ["1-2"], "flow1.flo cannot be read"),
            ("flow2.flo", b"PIEH", ["2-1"], "flow2.flo is not"),
            ("mask1.png", None, ["1-2", "2-1"], "no image"),  # both boxes and sizes come from the masks
            ("mask2.png", b"x", ["1-2", "2-1"], "mask2.png is not an image"),
        ],
    )
    def test_directions_are_left_out_and_listed(self, root, file, content, lost, words):
        path = root / "JODS/a-b" / file
        path.unlink() if content is None else path.write_bytes(content)
        found = TSS(root)
        assert [id for id, _ in found.broken] == [f"JODS/a-b/{way}" for way in lost]
        assert all(words in reason for _, reason in found.broken)
        assert len(found.pairs) == 6 - len(lost)

    def test_a_flow_of_another_size_than_its_mask(self, root):
        write_flow(root / "JODS/a-b/flow1.flo", tss_flow(2))
        ((id, reason),) = TSS(root).broken
        assert id == "JODS/a-b/1-2" and "24 x 50 pixels and its mask 40 x 30" in reason

    def test_a_mask_without_foreground_and_a_foreground_without_flow(self, root):
        Image.new("L", TSS_SIZES[1]).save(root / "JODS/a-b/mask1.png")
        write_flow(root / "PASCAL/p_1/flow2.flo", np.full((50, 24, 2), 1e10))
        reasons = dict(TSS(root).broken)
        assert "no foreground" in reasons["JODS/a-b/1-2"] and "knows no flow" in reasons["PASCAL/p_1/2-1"]

    def test_a_picture_that_does_not_fit_its_mask_is_refused_when_it_is_read(self, root):
        found = TSS(root)
        save_image(root / "JODS/a-b/image1.png", (30, 40))
        assert found.image("JODS/a-b/image2.png").size == TSS_SIZES[2]
        with pytest.raises(UserError, match="30 x 40 pixels and annotated as 40 x 30"):
            found.image("JODS/a-b/image1.png")

    def test_gray_pictures_become_rgb(self, root):
        Image.new("L", TSS_SIZES[1], 7).save(root / "JODS/a-b/image1.png")
        assert TSS(root).image("JODS/a-b/image1.png").getpixel((0, 0)) == (7, 7, 7)

    def test_no_data_set(self, tmp_path):
        with pytest.raises(UserError, match="no TSS.*prepare tss"):
            TSS(tmp_path)

    @pytest.mark.parametrize("change, words", [({"split": "val"}, "split 'val'"), ({"points": 0}, "points=0")])
    def test_unknown_settings(self, root, change, words):
        with pytest.raises(UserError, match=words):
            TSS(root, **change)


def test_a_whole_evaluation(root, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    arguments = ["dataset=tss", f"dataset.root={root}", "dataset.points=3", "run_dir=run"]
    result = evaluate(monkeypatch, capfd, *arguments)
    assert result.returncode == 0, result.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["pairs"], summary["points"]) == (6, 18)
    assert np.isfinite(summary["pck@0.05/per_image/category/FG3DCar"])
