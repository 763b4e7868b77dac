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
            ({"source": 7}, ["source does not name a picture"]),
            ({"target": None}, ["target does not name a picture"]),
            ({"target_box": [5, 5, 5, 9]}, ["target_box is [5, 5, 5, 9]", "x0 < x1"]),
            ({"source_box": [1, 2, 3]}, ["source_box has [1, 2, 3] where 4 numbers"]),
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
            ('{"source": "a.png"}', "not a list of pairs"),
            ('["a.png"]', "pair 1: it is not an object"),
            ("[]", "no point in it"),
        ],
    )
    def test_what_is_no_list_of_pairs(self, root, text, words):
        (root / "pairs.json").write_text(text)
        assert words in complaint(root)


class TestMistakes:
    @pytest.mark.parametrize(
        "row, words",
        [
            ("a.png,sub/b.png,1,2,3,4,,cat", "pairs.csv:2 has 8 columns, and the header 9"),
            ("a.png,sub/b.png,1,5,2,5,3,4,,cat,1", "pairs.csv:2 has 11 columns"),  # decimal commas
            ("a.png,sub/b.png,one,2,3,4,,,", "pairs.csv:2: x is 'one', which is not a number"),
            ("a.png,sub/b.png,1,,3,4,,,", "pairs.csv:2: y is '', which is not a number"),
            ("a.png,sub/b.png,1,nan,3,4,,,", "y is 'nan'"),
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
