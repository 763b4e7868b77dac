import pytest

from sdcorr.datasets.folder import Folder
from sdcorr.errors import UserError
from tests.datasets.trees import FOLDER_HEADER, FOLDER_ROWS, folder_entry, own_folder, write_csv, write_json


@pytest.fixture
def root(tmp_path):
    return own_folder(tmp_path / "own")


def complaint(root, **options):
    """What is said of a table, which is one line."""
    with pytest.raises(UserError) as caught:
        Folder(root, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestJSON:
    def test_everything_there_is(self, root):
        boxes = {"source_box": [0, 1, 50, 39.5], "target_box": [2, 3, 30, 40]}
        truths = {"target_points": [[7.5, 40], [1, 2]], "names": ["eye", None], "category": "cat"}
        write_json(
            root, folder_entry(**truths, **boxes), folder_entry(target="c d.jpg", target_points=[[1, 2], [3, 4]])
        )
        first, second = Folder(root).pairs
        assert first.source_points.tolist() == [[12, 20], [60, 0.5]] and first.true_points.tolist() == [
            [7.5, 40],
            [1, 2],
        ]
        assert first.names == ("eye", "2") and (first.category, second.category) == ("cat", "all")
        assert (first.source_box, first.target_box, second.target_box) == ((0, 1, 50, 39.5), (2, 3, 30, 40), None)

    @pytest.mark.parametrize(
        "change, words",
        [
            ({"point": [[1, 2]]}, ["'point' is not known", "target_points"]),
            ({"points": None}, ["points is not a list"]),
            ({"points": []}, ["points is empty"]),
            ({"points": [[1, 2], [3]]}, ["points has [3] where 2 numbers"]),
            ({"points": [[1, "2"]]}, ['[1, "2"]']),
            ({"points": [[True, 2]]}, ["[true, 2]"]),
            ({"points": [[1, float("nan")]]}, ["[1, NaN]"]),
            ({"points": [[10**400, 1]]}, ["pair 2"]),
            ({"target_points": [[1, 2]]}, ["1 target_points for 2 points"]),
            ({"target_points": []}, ["0 target_points for 2 points"]),
            ({"names": ["a", "b", "c"]}, ["3 names for 2 points"]),
            ({"names": [["a"], "b"]}, ["['a'] is not a name"]),
            ({"names": [True, "b"]}, ["True is not a name"]),
            ({"category": "c\x1b[31m"}, ["has a control character"]),
            ({"source": 7}, ["source does not name a picture"]),
            ({"target": None}, ["target does not name a picture"]),
            ({"target_box": [5, 5, 5, 9]}, ["target_box is [5, 5, 5, 9]", "x0 < x1"]),
            ({"source_box": [1, 2, 3]}, ["source_box has [1, 2, 3] where 4 numbers"]),
            ({"source_box": [0, 0, float("nan"), 9]}, ["source_box has [0, 0, NaN, 9] where 4 numbers"]),
            ({"source_mask": 3}, ["source_mask does not name a picture"]),
            ({"points": [None, [1, 2]]}, ["points has null where 2 numbers"]),
        ],
    )
    def test_a_mistake_is_told_with_the_number_of_its_pair(self, root, change, words):
        write_json(root, folder_entry(target="c d.jpg"), folder_entry(**change))
        said = complaint(root)
        assert "pairs.json, pair 2: " in said and "a mistake" in said
        assert all(word in said for word in words)

    @pytest.mark.parametrize(
        "text, words",
        [
            ('[{"source": "a.png",\n "target": }]', "pairs.json:2 is not JSON at character 12"),
            ("[" * 100_000, "pairs.json cannot be read (maximum recursion depth"),
            (f"[{'9' * 5000}]", "pairs.json cannot be read (Exceeds the limit"),
            (
                '{"source": "a.png"}',
                "not a list of pairs, nor one of COCO with the lists images, annotations, categories",
            ),
            ('"a.png"', "not a list of pairs"),
            ('[{"source": "a.png", "target": "b.png", "points": [], "points": [[1, 2]]}]', "'points' is there twice"),
            ('[{"source": "a.png", "target": "a.png", "points": [[1, 2]], "category": "\\ud800"}]', "half of a letter"),
            ('["a.png"]', "pair 1: it is not an object"),
            ("[]", "no point in it"),
        ],
    )
    def test_what_is_no_list_of_pairs(self, root, text, words):
        (root / "pairs.json").write_text(text)
        assert words in complaint(root)


class TestVisible:
    """What is not visible has no place, whatever stands there."""

    @pytest.mark.parametrize(
        "row",
        ["0,0,0,0", "-1,-1,-1,-1", ",,,", "nan,NaN,nan,nan", "999,5,5,999", "-,?,n/a,none", "3,,4,"],
    )
    @pytest.mark.parametrize("no", ["0", "0.0", "False", "no"])
    def test_is_not_looked_at_in_csv(self, root, row, no):
        lines = ["source,target,x,y,target_x,target_y,visible", *[f"a.png,sub/b.png,{row},{no}"] * 2]
        write_csv(root, "\n".join([*lines, "a.png,sub/b.png,5,6,7,8,1"]))
        (pair,) = Folder(root).pairs
        assert pair.visible.tolist() == [False, False, True]
        assert pair.query_points.tolist() == [[5, 6]] and pair.true_points.tolist() == [[7, 8]]

    @pytest.mark.parametrize("yes", ["1", "2", "1.0", "2.0", "TRUE", "yes", ""])
    def test_what_coco_and_pandas_write(self, root, yes):
        write_csv(root, f"source,target,x,y,visible\na.png,sub/b.png,5,6,{yes}\n")
        assert Folder(root).pairs[0].visible.tolist() == [True]

    @pytest.mark.parametrize("cell", ["3", "-1", "0.5", "nan", "maybe", "1_0", "inf"])
    def test_what_is_neither(self, root, cell):
        write_csv(root, f"source,target,x,y,visible\na.png,sub/b.png,5,6,{cell}\n")
        assert f"visible is '{cell}', which is neither 1 nor 0" in complaint(root)

    def test_in_json(self, root):
        points = {"points": [None, [-1, 900], [5, 6], [7, 8], [9, 9]], "visible": [0, False, 2, True, None]}
        write_json(root, folder_entry(**points, target_points=[None, [1e9, 0], [1, 2], None, [3, 4]]))
        (pair,) = Folder(root).pairs
        assert pair.visible.tolist() == [False, False, True, True, True]
        assert pair.query_points.tolist() == [[5, 6], [7, 8], [9, 9]] and pair.true_points[0].tolist() == [1, 2]

    @pytest.mark.parametrize(
        "visible, words", [([1], "1 visible for 2 points"), ([1, 7], "visible is 7"), (1, "not a list")]
    )
    def test_in_json_what_is_neither(self, root, visible, words):
        write_json(root, folder_entry(visible=visible))
        assert words in complaint(root)


class TestBoxes:
    @pytest.mark.parametrize(
        "box, words",
        [
            ([0, 0, 1920, 1080], "target_box is [0, 0, 1920, 1080], which goes beyond its picture of 30 x 50 pixels"),
            ([40, 10, 60, 20], "target_box is [40, 10, 60, 20], which lies outside its picture of 30 x 50 pixels"),
            ([5, 5, 5.000000001, 20], "which is less than a pixel"),
            ([0.1, 0.1, 0.9, 0.9], "which is less than a pixel"),
        ],
    )
    def test_that_cannot_be_are_refused(self, root, box, words):
        write_json(root, folder_entry(target_box=box))
        said = complaint(root)
        assert words in said and "pairs.json, pair 1: " in said and "a mistake" in said

    def test_by_a_pixel_is_as_in_real_data(self, root):
        write_json(root, folder_entry(target_box=[-1, 0, 31, 51]))
        assert Folder(root).pairs[0].target_box == (-1, 0, 31, 51)

    def test_a_box_and_a_mask(self, root):
        write_json(root, folder_entry(target_box=[0, 0, 5, 5], target_mask="a.png"))
        assert "both a target_box and a target_mask" in complaint(root)

    @pytest.mark.parametrize(
        "mask, words",
        [
            ("none.png", "There is no image"),
            ("c d.jpg", "is no PNG"),
            ("a.png", "has 60 x 40 pixels and its picture 30 x 50"),
            ("sub/b.png", "is zero nowhere"),
        ],
    )
    def test_a_mask_that_is_none(self, root, mask, words):
        write_csv(root, f"source,target,x,y,target_mask\na.png,sub/b.png,1,2,{mask}\n")
        said = complaint(root)
        assert "pairs.csv:2: " in said and words in said

    def test_rows_of_a_pair_with_different_masks(self, root):
        write_csv(root, "source,target,x,y,source_mask\na.png,sub/b.png,1,2,m.png\na.png,sub/b.png,3,2,\n")
        assert "pairs.csv:3 has another source_mask than pairs.csv:2" in complaint(root)


class TestNames:
    def test_are_on_one_line_and_not_nan(self, root):
        write_csv(root, 'source,target,x,y,name,category\na.png,sub/b.png,1,2,"two \n\tlines","a\n b"\n')
        (pair,) = Folder(root).pairs
        assert (pair.names, pair.category) == (("two lines",), "a b")
        write_json(root, folder_entry(names=[float("nan"), 7], category=float("nan")))
        (pair,) = Folder(root, "pairs.json").pairs
        assert (pair.names, pair.category) == (("1", "7"), "all")

    def test_one_pair_under_two_kinds_of_paths(self, root):
        write_csv(root, f"source,target,x,y\na.png,sub/b.png,1,2\n{root}/a.png,{root}/sub/b.png,1,2\n")
        assert "pairs.csv:3 repeats the point of pairs.csv:2" in complaint(root)
        write_csv(root, f"source,target,x,y\na.png,sub/b.png,1,2\n{root}/a.png,{root}/sub/b.png,3,2\n")
        (pair,) = Folder(root).pairs
        assert (pair.source, pair.target, len(pair.names)) == ("a.png", "sub/b.png", 2)

    def test_a_picture_that_differs_in_its_capitals(self, root):
        write_csv(root, "source,target,x,y\nA.PNG,sub/b.png,1,2\n")
        assert "there is no picture A.PNG in the folder, but a.png" in complaint(root)


class TestMistakes:
    @pytest.mark.parametrize(
        "row, words",
        [
            ("a.png,sub/b.png,1,2,3,4,,cat", "pairs.csv:2 has 8 columns, and the header 9"),
            ("a.png,sub/b.png,1,5,2,5,3,4,,cat,1", "pairs.csv:2 has 11 columns"),  # decimal commas
            ("a.png,sub/b.png,one,2,3,4,,,", "pairs.csv:2: x is 'one', which is not a number"),
            ("a.png,sub/b.png,1,,3,4,,,", "pairs.csv:2: y is '', which is not a number"),
            ("a.png,sub/b.png,1,nan,3,4,,,", "y is 'nan'"),
            ("a.png,sub/b.png,1_0,2,3,4,,,", "x is '1_0', which is not a number"),
            ("source,target,x,y,target_x,target_y,name,category,", "x is 'x'"),  # two tables after each other
            ("a.png,sub/b.png,1,2,inf,4,,,", "target_x is 'inf'"),
            ("a.png,sub/b.png,1,2,3,,,,", "one of target_x and target_y is empty"),
            ("a.png,sub/b.png,1,2,3,4,,,maybe", "visible is 'maybe', which is neither 1 nor 0"),
            (",sub/b.png,1,2,3,4,,,", "source does not name a picture"),
            ("none.png,sub/b.png,1,2,3,4,,,", "pairs.csv:2: there is no picture none.png in the folder"),
            ("a.png,sub,1,2,3,4,,,", "there is no picture sub in the folder"),
            ("pairs.csv,a.png,1,2,3,4,,,", "pairs.csv is not an image"),
            ("a.png,sub/b.png,60.5,2,3,4,,,", "(60.5, 2) is outside a.png, which is 60 x 40 pixels"),
            ("a.png,sub/b.png,1,-1,3,4,,,", "(1, -1) is outside a.png"),
            ("a.png,sub/b.png,1,2,3,51,,,", "(3, 51) is outside sub/b.png, which is 30 x 50 pixels"),
            ('a.png,sub/b.png,1,2,3,4,"eye,,', "pairs.csv:2 is no row of a CSV file"),
        ],
    )
    def test_a_row_is_told_by_its_line(self, root, row, words):
        write_csv(root, FOLDER_HEADER + row + "\n")
        assert words in complaint(root)

    def test_rows_that_do_not_agree(self, root):
        write_csv(
            root,
            FOLDER_HEADER
            + FOLDER_ROWS
            + "a.png,sub/b.png,12.0,20,1,1,nose,cat,1\na.png,sub/b.png,3,3,3,3,nose,cow,1\n",
        )
        said = complaint(root)
        assert "2 mistakes: pairs.csv:5 repeats the point of pairs.csv:2; " in said
        assert "pairs.csv:6 has another category than pairs.csv:2" in said

    def test_the_line_is_that_of_the_file_whatever_is_left_out(self, root):
        write_csv(root, FOLDER_HEADER + '\n"a.png",sub/b.png,1,2,3,4,"two\nlines",,\n\na.png,sub/b.png,1,x,3,4,,,\n')
        assert "pairs.csv:6: y is 'x'" in complaint(root)

    def test_a_picture_that_is_missing_is_told_once(self, root):
        write_csv(root, FOLDER_HEADER + "none.png,a.png,1,2,3,4,,,\nnone.png,a.png,2,2,3,4,,,\n")
        assert complaint(root).count("none.png") == 1

    def test_five_at_once_and_how_many_more(self, root):
        write_csv(root, FOLDER_HEADER + "".join(f"a.png,sub/b.png,{x},2,3,4,,,\n" for x in "abcdefg"))
        said = complaint(root)
        assert "7 mistakes" in said and "x is 'e'" in said and "x is 'f'" not in said and "and 2 more" in said


class TestTheFile:
    @pytest.mark.parametrize(
        "header, words",
        [
            ("source,target,x,y,z", ["pairs.csv:1", "column 'z'", "target_x"]),
            ("source,target,x", ["no column y"]),
            ("source,target,x,y,target_x", ["no column target_y"]),
            ("source,target,x,y,x", ["column x twice"]),
            (",source,target,x,y", ["a column without a name", "to_csv(index=False)"]),
            ("source;target;x;y", ["semicolons", "commas"]),
            ("source\ttarget\tx\ty", ["tabs", "commas"]),
            ("a.png,sub/b.png,1,2", ["'a.png'", "columns are source, target"]),
        ],
    )
    def test_a_header_that_is_none(self, root, header, words):
        write_csv(root, header + "\na.png,sub/b.png,1,2\n")
        said = complaint(root)
        assert all(word in said for word in words)

    @pytest.mark.parametrize("name", ["pairs.csv", "pairs.json"])
    @pytest.mark.parametrize("content", ["", " \n\n"])
    def test_an_empty_file(self, root, name, content):
        (root / name).write_text(content)
        assert f"{name} is empty" in complaint(root)

    def test_a_header_alone(self, root):
        write_csv(root, FOLDER_HEADER)
        assert "no point in it" in complaint(root)

    @pytest.mark.parametrize("encoding", ["latin1", "utf-16"])
    def test_another_encoding(self, root, encoding):
        write_csv(root, FOLDER_HEADER + "a.png,sub/b.png,1,2,3,4,Fühler,,\n", encoding=encoding)
        line = 2 if encoding == "latin1" else 1
        assert f"pairs.csv, line {line}, is not in UTF-8" in complaint(root)

    def test_no_table_or_two(self, root):
        assert "neither pairs.csv nor pairs.json" in complaint(root)
        write_csv(root, FOLDER_HEADER + FOLDER_ROWS)
        write_json(root, folder_entry(target_points=[[1, 2], [3, 4]]))
        assert "both" in complaint(root) and "dataset.pairs" in complaint(root)
        assert len(Folder(root, pairs="pairs.json").pairs) == 1

    def test_a_table_elsewhere_names_pictures_in_the_folder(self, root, tmp_path, monkeypatch):
        write_csv(tmp_path, FOLDER_HEADER + FOLDER_ROWS, "mine.csv")
        monkeypatch.chdir(tmp_path)
        for path in ("mine.csv", str(tmp_path / "mine.csv")):
            assert len(Folder(root, pairs=path).pairs) == 2
        assert "mine.txt" in complaint(root, pairs="mine.txt")

    def test_no_folder(self, tmp_path):
        assert "no folder" in complaint(tmp_path / "none")
