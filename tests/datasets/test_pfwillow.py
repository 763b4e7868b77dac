import json
import shutil
import warnings

import numpy as np
import pytest

from sdcorr.datasets.pfwillow import CLASSES, PFWillow
from sdcorr.errors import UserError
from sdcorr.run.records import pair_to_json
from tests.datasets.fixtures import (
    WILLOW_HEADER,
    evaluate,
    mat_file,
    save_image,
    willow_row,
    willow_rows,
    willow_tree,
    write_csv,
)
from tests.golden.released import FOLDER as GOLDEN

pytestmark = pytest.mark.filterwarnings("ignore:PF-Willow lists")


@pytest.fixture
def folder(tmp_path):
    willow_tree(tmp_path / "PF-WILLOW")
    return tmp_path / "PF-WILLOW"


class TestPairs:
    def test_columns_by_position(self, folder):
        pair = PFWillow(str(folder)).pairs[0]
        assert (pair.id, pair.category) == ("0001-Cars_006a-Cars_012b:car(G)", "car(G)")
        assert (pair.source, pair.target) == ("car(G)/Cars_006a.png", "car(G)/Cars_012b.png")
        assert (pair.source_size, pair.target_size) == ((90, 60), (70, 50))
        assert pair.source_points[[0, 1, 9]].tolist() == [[1, 2], [4.25, 4.5], [30.25, 24.5]]
        assert pair.target_points[[0, 1, 9]].tolist() == [[1.125, 3], [4.375, 5.5], [30.375, 25.5]]
        assert pair.visible.all() and pair.names == tuple("0123456789")
        assert pair.source_box is None and pair.target_box is None and pair.ambiguous is None

    def test_every_row_and_its_images(self, folder):
        found = PFWillow(str(folder))
        assert (found.name, found.split, found.broken) == ("pfwillow", "test", ())
        assert [pair.category for pair in found.pairs] == ["car(G)", "car(G)", "duck(S)"]
        for pair in found.pairs:
            assert found.image(pair.source).size == pair.source_size
            assert found.image(pair.target).size == pair.target_size

    def test_points_outside_their_image_are_kept(self, folder):
        row = willow_row("car(G)/Cars_006a", "car(G)/Cars_012b")
        row[2], row[32] = "-1.5", "1e3"
        write_csv(folder / "test_pairs.csv", [WILLOW_HEADER, row])
        (pair,) = PFWillow(str(folder)).pairs
        assert pair.source_points[0, 0] == -1.5 and pair.target_points[0, 1] == 1000


class TestWhereThingsLie:
    @pytest.mark.parametrize("inner", ["PF-WILLOW", "PF-dataset"])
    @pytest.mark.parametrize("csv", ["{inner}/test_pairs.csv", "{inner}/test_pairs_pf.csv", "test_pairs_pf.csv"])
    @pytest.mark.parametrize("given", ["", "{inner}"])
    def test_both_archives_both_lists_both_levels(self, tmp_path, inner, csv, given):
        willow_tree(tmp_path / inner, tmp_path / csv.format(inner=inner))
        assert len(PFWillow(str(tmp_path / given.format(inner=inner))).pairs) == 3

    @pytest.mark.parametrize("prefix", ["PF-dataset", "PF-WILLOW", "./PF-dataset", "anywhere/else"])
    def test_the_archives_own_name_in_a_row_does_not_matter(self, folder, prefix):
        write_csv(folder / "test_pairs.csv", [WILLOW_HEADER, *willow_rows(prefix)])
        assert PFWillow(str(folder)).pairs[2].source == "duck(S)/060_0071.png"

    def test_blank_lines_a_mark_at_the_front_and_other_line_ends(self, folder):
        path = folder / "test_pairs.csv"
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n\r\n"))
        assert len(PFWillow(str(folder)).pairs) == 3

    def test_a_list_without_its_header(self, folder):
        write_csv(folder / "test_pairs.csv", willow_rows())
        assert PFWillow(str(folder)).pairs[0].id == "0001-Cars_006a-Cars_012b:car(G)"


class TestWithoutAList:
    """The authors' own folder has a .mat file for every image, and no list."""

    @pytest.fixture
    def annotated(self, tmp_path):
        """Three cars and two ducks, called so that the order of the disk is not that of their names."""
        folder = tmp_path / "PF-dataset-WILLOW"
        for number, name in enumerate(("duck(S)/b", "car(G)/y", "car(G)/x", "duck(S)/a", "car(G)/z")):
            save_image(folder / f"{name}.png", (90, 60))
            points = np.stack([np.arange(10) + number, 2.5 * np.arange(10) + number / 8])
            (folder / f"{name}.mat").write_bytes(mat_file(pts_coord=points))
        return folder

    def test_every_ordered_pair_of_a_class_in_the_order_of_the_names(self, annotated):
        found = PFWillow(str(annotated.parent))
        ways = ["x-y", "x-z", "y-x", "y-z", "z-x", "z-y"]
        cars = [f"{number:04d}-{way}:car(G)" for number, way in enumerate(ways, start=1)]
        assert [pair.id for pair in found.pairs] == [*cars, "0007-a-b:duck(S)", "0008-b-a:duck(S)"]
        pair = found.pairs[1]  # x has the number 2, z the number 4
        assert pair.source_points.tolist() == [[n + 2, 2.5 * n + 0.25] for n in range(10)]
        assert pair.target_points.tolist() == [[n + 4, 2.5 * n + 0.5] for n in range(10)]
        assert (pair.source, pair.target, pair.category) == ("car(G)/x.png", "car(G)/z.png", "car(G)")

    def test_is_what_the_list_says(self, annotated):
        before = PFWillow(str(annotated)).pairs
        rows = [
            [f"PF-dataset/{pair.source}", f"PF-dataset/{pair.target}"]
            + [repr(n) for points in (pair.source_points, pair.target_points) for n in points.T.ravel().tolist()]
            for pair in before
        ]
        write_csv(annotated / "test_pairs.csv", [WILLOW_HEADER, *rows])
        assert [pair_to_json(pair) for pair in PFWillow(str(annotated)).pairs] == [
            pair_to_json(pair) for pair in before
        ]

    def test_a_list_has_the_last_word(self, annotated):
        numbers = ["1"] * 40
        write_csv(annotated / "test_pairs.csv", [["PF-dataset/car(G)/z.png", "PF-dataset/car(G)/x.png", *numbers]])
        assert [pair.id for pair in PFWillow(str(annotated)).pairs] == ["0001-z-x:car(G)"]

    @pytest.mark.parametrize(
        "content, words",
        [
            (b"torn", "car(G)/x.mat is not a whole MAT-file"),
            (mat_file(other=[[1, 2]]), "x.mat lacks pts_coord, x and y of 10 points"),
            (mat_file(pts_coord=np.full((2, 9), 1.0)), "x.mat lacks pts_coord"),
            (mat_file(pts_coord=np.full((2, 10), np.nan)), "x.mat lacks pts_coord"),
        ],
    )
    def test_a_damaged_annotation_costs_its_pairs_alone(self, annotated, content, words):
        (annotated / "car(G)/x.mat").write_bytes(content)
        found = PFWillow(str(annotated))
        assert len(found.pairs) == 4 and [id[:8] for id, _ in found.broken] == [
            "0001-x-y",
            "0002-x-z",
            "0003-y-x",
            "0005-z-x",
        ]
        assert words in found.broken[0][1]


def test_what_the_released_code_reads(tmp_path):
    shutil.copytree(GOLDEN / "fake_datasets/PF-WILLOW", tmp_path / "PF-WILLOW")
    golden, found = np.load(GOLDEN / "g_eval.npz"), PFWillow(str(tmp_path))
    assert len(found.pairs) == len(golden["pfwillow_n_pts"])
    for index, pair in enumerate(found.pairs):
        for side, short in (("source", "src"), ("target", "trg")):
            scaled = getattr(pair, f"{side}_points") * (512 / np.array(getattr(pair, f"{side}_size")))
            assert scaled == pytest.approx(golden[f"pfwillow_{short}_kps"][index][:, :10].T, rel=1e-6)


def damage(change):
    row = willow_rows()[1]
    return change(row) or row


DAMAGES = {
    "short": (lambda row: row[:12], "line 3 has 12 columns instead of 42"),
    "long": (lambda row: [*row, "1"], "line 3 has 43 columns instead of 42"),
    "word": (lambda row: row.__setitem__(7, "nose"), "line 3: 'nose' is not a number"),
    "nothing": (lambda row: row.__setitem__(7, ""), "line 3: '' is not a number"),
    "not finite": (lambda row: row.__setitem__(41, "NaN"), "line 3: 'NaN' is not a number"),
    "image": (lambda row: row.__setitem__(1, "PF-dataset/car(G)/none.png"), "There is no image"),
}


class TestMistakes:
    @pytest.mark.parametrize("name", DAMAGES)
    def test_a_damaged_row_is_left_out_and_listed(self, folder, name):
        change, reason = DAMAGES[name]
        rows = willow_rows()
        write_csv(folder / "test_pairs.csv", [WILLOW_HEADER, rows[0], damage(change), rows[2]])
        found = PFWillow(str(folder))
        assert [pair.id[:4] for pair in found.pairs] == ["0001", "0003"]
        ((id, sentence),) = found.broken
        assert id.startswith("0002-Cars_012b") and reason in sentence and sentence.endswith(".")

    def test_an_image_that_is_none(self, folder):
        (folder / "duck(S)/060_0071.png").write_bytes(b"<html>")
        assert "060_0071.png is not an image" in PFWillow(str(folder)).broken[0][1]

    def test_another_list_altogether(self, folder):
        write_csv(folder / "test_pairs.csv", [["source_image", "target_image", "class"], ["a.jpg", "b.jpg", "1"]])
        with pytest.raises(UserError, match="lists 1 pair here, of which none .* 3 columns instead of 42"):
            PFWillow(str(folder))

    @pytest.mark.parametrize(
        "content, words",
        [
            (b"", "test_pairs.csv lists no pair"),
            (b"imageA,imageB\n", "test_pairs.csv lists no pair"),
            (b"\xff\xfe\xff", "test_pairs.csv is not a text in UTF-8"),
            (None, r"no list of pairs \(test_pairs.csv or test_pairs_pf.csv\) .*prepare pfwillow"),
        ],
    )
    def test_a_list_that_cannot_be_read(self, folder, content, words):
        (folder / "test_pairs.csv").unlink()
        if content is not None:
            (folder / "test_pairs.csv").write_bytes(content)
        with pytest.raises(UserError, match=words):
            PFWillow(str(folder))

    def test_no_such_folder_and_no_such_split(self, folder, tmp_path):
        with pytest.raises(UserError, match="no PF-Willow in .*none, which is no folder: .*prepare pfwillow"):
            PFWillow(str(tmp_path / "none"))
        with pytest.raises(UserError, match="no split 'val', only test"):
            PFWillow(str(folder), "val")

    @pytest.mark.filterwarnings("default:PF-Willow lists")
    def test_only_another_total_than_the_published_one_warns(self, folder):
        with pytest.warns(UserWarning, match="lists 3 pairs here, and the published test split has 900"):
            PFWillow(str(folder))
        write_csv(folder / "test_pairs.csv", [WILLOW_HEADER, *(willow_rows() * 300)])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = PFWillow(str(folder))
        assert len({pair.id for pair in found.pairs}) == 900  # rows that are there twice keep apart

    def test_every_class_is_known_by_its_folder(self, tmp_path):
        for index, name in enumerate(CLASSES):
            home = tmp_path / str(index)
            save_image(home / name / "a.png", (40, 30))
            write_csv(home / "test_pairs.csv", [willow_row(f"{name}/a", f"{name}/a")])
            assert PFWillow(str(home)).pairs[0].category == name


def test_evaluation(tmp_path, monkeypatch, capfd):
    willow_tree(tmp_path / "PF-WILLOW")
    monkeypatch.chdir(tmp_path)
    result = evaluate(monkeypatch, capfd, "dataset=pfwillow", "dataset.root=PF-WILLOW", "run_dir=run")
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert (summary["pairs"], summary["points"], summary["failures"]) == (3, 30, 0), result.stderr
    assert "pck@0.10/per_point/category/duck(S)" in summary
    assert result.stdout.splitlines()[-1] == "run"
