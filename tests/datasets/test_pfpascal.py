import json
import shutil

import numpy as np
import pytest

from sdcorr.datasets.pfpascal import BY_CLASS, CLASSES, Annotation, PFPascal, identities, mirror, read_annotation
from sdcorr.errors import UserError
from tests.datasets.fixtures import (
    PASCAL_BOXES,
    PASCAL_POINTS,
    evaluate,
    mat_file,
    pascal_flip_rows,
    pascal_test_rows,
    pascal_tree,
    write_csv,
)

pytestmark = pytest.mark.filterwarnings("ignore:PF-PASCAL lists")
NAN = float("nan")


@pytest.fixture
def folder(tmp_path):
    """The POSTECH archive's layout, with the lists of all three splits."""
    folder = pascal_tree(tmp_path / "PF-PASCAL")
    write_csv(folder / "test_pairs.csv", pascal_test_rows())
    write_csv(folder / "val_pairs.csv", pascal_flip_rows([0]))
    write_csv(folder / "trn_pairs.csv", pascal_flip_rows([0, 1]))
    return folder


class TestTestSplit:
    def test_points_of_the_list_with_names_and_boxes_of_the_annotations(self, folder):
        found = PFPascal(str(folder))
        pair = found.pairs[0]
        assert (found.name, found.split, found.broken) == ("pfpascal", "test", ())
        assert (pair.id, pair.category) == ("0001-2008_000001-2009_000002:cat", "cat")
        assert (pair.source, pair.target) == ("JPEGImages/2008_000001.jpg", "JPEGImages/2009_000002.jpg")
        assert (pair.source_size, pair.target_size) == ((300, 200), (150, 300))
        assert pair.source_points.tolist() == [[10.5, 20.25], [100.125, 50]]
        assert pair.target_points.tolist() == [[12, 200], [140.5, 290.75]]
        assert pair.visible.all() and pair.names == ("0", "2")
        assert (pair.source_box, pair.target_box) == ((5, 10, 290, 195), (2, 30, 149, 299))
        assert found.image(pair.target).size == (150, 300)

    def test_without_annotations(self, folder):
        shutil.rmtree(folder / "Annotations")
        pair = PFPascal(str(folder)).pairs[0]
        assert pair.source_points.tolist() == [[10.5, 20.25], [100.125, 50]]
        assert pair.names == ("0", "1") and pair.source_box is None and pair.target_box is None

    def test_points_in_another_order_than_the_annotations(self, folder):
        rows = pascal_test_rows()
        rows[1][3:] = [";".join(reversed(cell.split(";"))) for cell in rows[1][3:]]
        write_csv(folder / "test_pairs.csv", rows)
        assert PFPascal(str(folder)).pairs[0].names == ("2", "0")

    def test_points_that_are_not_the_annotations_warn(self, folder):
        rows = pascal_test_rows()
        rows[1][3] = "10.5;101"
        write_csv(folder / "test_pairs.csv", rows)
        with pytest.warns(UserWarning, match=r"In 1 of 2 pairs the points .*test_pairs.csv, line 2 first"):
            pair = PFPascal(str(folder)).pairs[0]
        assert pair.source_points.tolist() == [[10.5, 20.25], [101, 50]] and pair.names == ("0", "1")


class TestOtherSplits:
    def test_points_of_the_annotations(self, folder):
        pair = PFPascal(str(folder), "val").pairs[0]
        assert np.array_equal(pair.source_points, PASCAL_POINTS["2008_000001"], equal_nan=True)
        assert np.array_equal(pair.target_points, PASCAL_POINTS["2009_000002"], equal_nan=True)
        assert pair.visible.tolist() == [True, False, True, False]
        assert pair.query_points.tolist() == [[10.5, 20.25], [100.125, 50]]
        assert pair.names == ("0", "1", "2", "3") and pair.source_box == tuple(PASCAL_BOXES["2008_000001"])

    def test_mirrored_pairs(self, folder):
        found = PFPascal(str(folder), "trn")
        plain, mirrored = found.pairs[0], found.pairs[2]
        assert [pair.flags["mirrored"] for pair in found.pairs] == ["no", "no", "yes", "yes"]
        assert mirrored.source == "JPEGImages/2008_000001.jpg@mirrored" != plain.source
        assert mirrored.query_points.tolist() == [[289.5, 20.25], [199.875, 50]]
        assert mirrored.source_box == (10, 10, 295, 195)
        assert np.array_equal(np.array(found.image(mirrored.source)), np.array(found.image(plain.source))[:, ::-1])
        assert len({pair.id for pair in found.pairs}) == 4

    def test_a_test_list_without_points(self, folder):
        write_csv(folder / "test_pairs.csv", [row[:3] for row in pascal_test_rows()])
        assert PFPascal(str(folder)).pairs[0].query_points.tolist() == [[10.5, 20.25], [100.125, 50]]

    @pytest.mark.parametrize("split", ["val", "trn"])
    def test_lists_of_them_with_points_are_about_too(self, folder, split):
        write_csv(folder / f"{split}_pairs.csv", pascal_test_rows())
        pair = PFPascal(str(folder), split).pairs[0]
        assert pair.source_points.tolist() == [[10.5, 20.25], [100.125, 50]] and pair.names == ("0", "2")


class TestAnotherSplitsList:
    """A copy is about in which test_pairs.csv is val's list, which would be scored as test."""

    def rows(self, header, split):
        images = pascal_flip_rows([0])[1][:2]
        rest = ["0"] if len(header) == 4 else ["10.5", "20.25", "12", "200"]
        counts = zip(range(1, 21), BY_CLASS[split], strict=True)
        return [header, *([*images, str(number), *rest] for number, count in counts for _ in range(count))]

    @pytest.mark.parametrize("columns", [pascal_flip_rows([0])[0], pascal_test_rows()[0]], ids=["flip", "points"])
    @pytest.mark.parametrize("name, content", [("test", "val"), ("val", "test"), ("trn", "val")])
    def test_is_refused_by_name(self, folder, name, content, columns):
        write_csv(folder / f"{name}_pairs.csv", self.rows(columns, content))
        words = (
            f"{name}_pairs.csv is the list of {content}, not of {name}: .* Say dataset.split={content}, or get the list"
        )
        with pytest.raises(UserError, match=words):
            PFPascal(str(folder), name)

    def test_its_own_is_not(self, folder):
        shutil.rmtree(folder / "Annotations")
        write_csv(folder / "test_pairs.csv", self.rows(pascal_test_rows()[0], "test"))
        found = PFPascal(str(folder))
        assert len(found.pairs) == 299 and {pair.category for pair in found.pairs} == set(CLASSES)


class TestWhereThingsLie:
    @pytest.mark.parametrize("inner", ["PF-PASCAL", "PF-dataset-PASCAL"])
    @pytest.mark.parametrize("given", ["", "{inner}"])
    @pytest.mark.parametrize(
        "split, csv",
        [
            ("test", "{inner}/test_pairs_pf_pascal.csv"),
            ("test", "image_pairs/test_pairs.csv"),
            ("val", "{inner}/image_pairs/val_pairs.csv"),
            ("val", "val_pairs_pf_pascal.csv"),
            ("trn", "{inner}/train_pairs.csv"),
            ("trn", "train_pairs_pf_pascal.csv"),
        ],
    )
    def test_both_archives_both_families_of_lists_both_levels(self, tmp_path, inner, given, split, csv):
        pascal_tree(tmp_path / inner)
        write_csv(tmp_path / csv.format(inner=inner), pascal_test_rows() if split == "test" else pascal_flip_rows())
        assert PFPascal(str(tmp_path / given.format(inner=inner)), split).pairs[0].visible.sum() == 2

    def test_columns_by_their_header_in_any_order(self, folder):
        rows = [row[::-1] for row in pascal_flip_rows([1])]
        write_csv(folder / "trn_pairs.csv", rows)
        pair = PFPascal(str(folder), "trn").pairs[0]
        assert pair.id == "0001-2008_000001-2009_000002:cat@mirrored"
        assert pair.source == "JPEGImages/2008_000001.jpg@mirrored"

    @pytest.mark.parametrize("header", [[], ["a", "b", "c", "d", "e", "f", "g"]])
    def test_columns_by_position_under_another_header_or_none(self, folder, header):
        write_csv(folder / "test_pairs.csv", [header, *pascal_test_rows()[1:]] if header else pascal_test_rows()[1:])
        assert PFPascal(str(folder)).pairs[0].target_points.tolist() == [[12, 200], [140.5, 290.75]]


DAMAGES = {
    "short": (lambda row: row.pop(), "line 2 has 6 columns instead of 7 (source_image, target_image, class, XA"),
    "counts": (lambda row: row.__setitem__(4, "1"), "(2 in XA, 1 in YA, 2 in XB, 2 in YB)"),
    "word": (lambda row: row.__setitem__(4, "1;x"), "line 2: 'x' is not a number"),
    "empty": (lambda row: row.__setitem__(4, ""), "line 2: '' is not a number"),
    "class": (lambda row: row.__setitem__(2, "21"), "class is '21' instead of a number from 1 to 20"),
    "no class": (lambda row: row.__setitem__(2, "cat"), "class is 'cat' instead of a number"),
    "image": (lambda row: row.__setitem__(0, "PF-dataset-PASCAL/JPEGImages/none.jpg"), "There is no image"),
    "another class": (lambda row: row.__setitem__(2, "1"), "There is no"),
}


class TestMistakes:
    @pytest.mark.parametrize("name", DAMAGES)
    def test_a_damaged_row_is_left_out_and_listed(self, folder, name):
        change, reason = DAMAGES[name]
        header, first, second = pascal_test_rows()
        change(first)
        write_csv(folder / "test_pairs.csv", [header, first, second])
        found = PFPascal(str(folder))
        assert [pair.id[:4] for pair in found.pairs] == ["0002"]
        ((id, sentence),) = found.broken
        assert id.startswith("0001-") and reason in sentence and sentence.endswith(".")

    def test_a_flip_that_is_none(self, folder):
        write_csv(folder / "val_pairs.csv", pascal_flip_rows([0, 2]))
        assert "flip is '2' instead of 0 or 1" in PFPascal(str(folder), "val").broken[0][1]

    @pytest.mark.parametrize(
        "content, reason",
        [
            (b"", "is not a whole MAT-file"),
            (mat_file(kps=PASCAL_POINTS["2008_000001"]), r"lacks kps \(N x 2\) or bbox"),
            (mat_file(bbox=[[1, 2, 3, 4]], kps=[[1, 2, 3]]), r"lacks kps \(N x 2\) or bbox"),
            (mat_file(bbox=[[1, 2]], kps=[[1, 2]]), "lacks kps"),
            (mat_file(bbox=[[1, 2, 3, NAN]], kps=[[1, 2]]), "lacks kps"),
            (mat_file(bbox=[[1, 2, 3, 4]], kps=[[1, 2], [3, 4]]), "Annotations has 2 and 4 key-points"),
            (None, "There is no .*2008_000001.mat"),
        ],
    )
    def test_a_damaged_annotation_is_left_out_and_listed(self, folder, content, reason):
        path = folder / "Annotations/cat/2008_000001.mat"
        path.unlink() if content is None else path.write_bytes(content)
        for split in ("test", "val"):
            found = PFPascal(str(folder), split)
            assert len(found.pairs) == 1
            with pytest.raises(UserError, match=reason):
                raise UserError(found.broken[0][1])

    def test_val_needs_the_annotations(self, folder):
        shutil.rmtree(folder / "Annotations")
        with pytest.raises(
            UserError, match="lists 2 pairs here, of which none can be read; the first: There is no .*mat: .*archive"
        ):
            PFPascal(str(folder), "val")

    def test_no_such_split_list_or_folder(self, folder, tmp_path):
        with pytest.raises(UserError, match="no split 'train'.* one of trn, val, test"):
            PFPascal(str(folder), "train")
        (folder / "trn_pairs.csv").unlink()
        with pytest.raises(
            UserError, match=r"no list of trn pairs \(trn_pairs.csv or train_pairs.csv .*prepare pfpascal"
        ):
            PFPascal(str(folder), "trn")
        with pytest.raises(UserError, match="no PF-PASCAL in .*none, which is no folder"):
            PFPascal(str(tmp_path / "none"))

    @pytest.mark.filterwarnings("default:PF-PASCAL lists")
    def test_another_total_than_the_published_one_only_warns(self, folder):
        with pytest.warns(UserWarning, match="lists 2 pairs here, and the published val split has 308"):
            PFPascal(str(folder), "val")


class TestPieces:
    def test_published_numbers_of_the_classes_add_up(self, folder):
        for split in ("val", "test"):
            expected = PFPascal(str(folder), split).expected
            assert sum(expected[f"category/{name}"] for name in CLASSES) == expected["pairs"]

    def test_mirror(self):
        points, box = mirror(Annotation(np.array([[1, 2], [NAN, NAN], [30, 4]]), (5, 6, 30, 8)), 30)
        assert np.array_equal(points, [[29, 2], [NAN, NAN], [0, 4]], equal_nan=True)
        assert box == (0, 6, 25, 8)
        assert mirror(Annotation(points, None), 30).box is None

    def test_identities_need_both_images(self):
        annotated = [np.array([[1, 1], [1, 1], [NAN, NAN]]), np.array([[5, 5], [6, 6], [7, 7]])]
        assert identities([np.array([[1, 1]]), np.array([[6, 6.001]])], annotated) == ("1",)
        assert identities([np.array([[1, 1]]), np.array([[6, 6.1]])], annotated) is None
        assert identities([np.array([[NAN, NAN]]), np.array([[7, 7]])], annotated) is None

    @pytest.mark.parametrize("bbox", [[[1, 2, 3, 4], [5, 6, 7, 8]], [[1], [2], [3], [4]]])
    def test_the_first_of_several_boxes(self, tmp_path, bbox):
        (tmp_path / "a.mat").write_bytes(mat_file(kps=[[1, 2]], bbox=bbox))
        assert read_annotation(tmp_path / "a.mat").box == (1, 2, 3, 4)


def test_evaluation(folder, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    result = evaluate(monkeypatch, capfd, "dataset=pfpascal", f"dataset.root={folder}", "run_dir=run")
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert (summary["pairs"], summary["points"], summary["failures"]) == (2, 5, 0), result.stderr
    assert result.stdout.splitlines()[-1] == "run"
