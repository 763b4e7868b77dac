"""From a file of predictions to records, in every layout; and what is wrong with a file, told with its line."""

import json

import numpy as np
import pytest

from sdcorr.errors import UserError
from sdcorr.exchange.frame import FileFrame
from sdcorr.exchange.imports import Reading, import_predictions
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.arrays import read
from tests.exchange.fakes import HEADER, OFF, PAIRS, ROWS, benchmark, errors, records, run, write
from tests.run.fakes import CONFIG, Pictureless
from tests.scoring.fakes import write_run


def all_off(folder):
    """Every asked point is where the fakes say."""
    return errors(folder).tolist() == [list(OFF)] * len(ROWS)


def rewritten(change):
    """The rows with other words."""
    return [",".join(change(row.split(","))) for row in ROWS]


INDEX = {pair.id: str(number) for number, pair in enumerate(PAIRS)}
NUMBER = {"nose": 0, "tail": 1, "ear": 2, "paw": 3}
VISIBLE = {"a-c": {"nose": 0, "ear": 1, "paw": 2}}


class TestLayouts:
    def test_by_id_and_name(self, tmp_path):
        found = run(tmp_path, write(tmp_path))
        assert (found.pairs, found.points, found.lacking, found.pairing.numbering) == (3, 8, 0, "name")
        assert all_off(tmp_path)
        assert all((match.confidence == 1).all() for each in records(tmp_path) for _, match in each.predictions)

    def test_columns_that_others_use_and_a_place_in_one_cell(self, tmp_path):
        rows = rewritten(lambda cells: [INDEX[cells[0]], cells[1], f'"[{cells[2]}, {cells[3]}]"', "x"])
        found = run(tmp_path, write(tmp_path, rows, "Image_Idx,keypoint_id,pred,note"))
        assert all_off(tmp_path) and found.table.columns["xy"] == "pred" and found.table.ignored == ["note"]

    def test_columns_that_the_user_names(self, tmp_path):
        path = write(tmp_path, [f"{row},0,0" for row in ROWS], "a,b,u,v,x,y")
        run(tmp_path, path, Reading(columns={"pair": "a", "point": "b", "x": "u", "y": "v"}))
        assert all_off(tmp_path)

    def test_pictures_by_the_end_of_their_path_without_suffix(self, tmp_path):
        pairs = [
            type(pair)(**vars(pair) | {"source": f"set/{pair.source}.jpg", "target": f"set/{pair.target}.jpg"})
            for pair in PAIRS
        ]
        rows = rewritten(lambda cells: [*cells[0].split("-"), *cells[1:]])
        for number, form in enumerate(("{}", "{}.jpg", "/data/set/{}.jpg", r"C:\set\{}.jpg")):
            named = [",".join([*map(form.format, row.split(",")[:2]), *row.split(",")[2:]]) for row in rows]
            path = write(tmp_path, named, "source,target,point,x,y", f"{number}.csv")
            store = PredictionStore(tmp_path / str(number))
            assert import_predictions(path, benchmark(pairs), store, "mine", CONFIG, Reading()).pairs == 3

    @pytest.mark.parametrize("first", [0, 1])
    def test_numbers_among_all_points(self, tmp_path, first):
        rows = rewritten(lambda cells: [cells[0], str(NUMBER[cells[1]] + first), *cells[2:]])
        found = run(tmp_path, write(tmp_path, rows), Reading(first=first))
        assert found.pairing.numbering == "number" and all_off(tmp_path)

    def test_numbers_among_the_visible_points(self, tmp_path):
        rows = rewritten(lambda cells: [cells[0], f"{VISIBLE.get(cells[0], NUMBER)[cells[1]]}.0", *cells[2:]])
        found = run(tmp_path, write(tmp_path, rows))
        assert found.pairing.numbering == "number among the visible" and all_off(tmp_path)

    def test_the_order_of_the_rows(self, tmp_path):
        rows = rewritten(lambda cells: [cells[0], *cells[2:]])
        assert run(tmp_path, write(tmp_path, rows, "pair,x,y")).pairing.numbering == "order" and all_off(tmp_path)

    def test_points_that_are_not_asked_for_are_left_out(self, tmp_path):
        found = run(tmp_path, write(tmp_path, [*ROWS, "a-c,tail,70,70"]))
        assert found.pairing.unasked == 1 and all_off(tmp_path)

    def test_json_of_points_and_of_pairs(self, tmp_path):
        cells = [row.split(",") for row in ROWS]
        points = [{"pair": a, "point": b, "x": float(x), "y": float(y)} for a, b, x, y in cells]
        pairs = [
            {
                "pair": id,
                "point": [each["point"] for each in points if each["pair"] == id],
                "xy": [[each["x"], each["y"]] for each in points if each["pair"] == id],
                "score": [0.25 for each in points if each["pair"] == id],
            }
            for id in INDEX
        ]
        for number, content in enumerate((points, [{**each, "xy": [each["x"], each["y"]]} for each in points], pairs)):
            path = tmp_path / f"{number}.json"
            path.write_text(json.dumps(content))
            (tmp_path / str(number)).mkdir()
            run(tmp_path / str(number), path)
            assert all_off(tmp_path / str(number))
        assert [match.confidence.tolist() for _, match in records(tmp_path / "2")[1].predictions] == [[0.25, 0.25]]

    def test_only_rows_of_one_kind(self, tmp_path):
        path = write(tmp_path, [f"{row},{alpha}" for row in ROWS for alpha in ("0.1", "0.2")], f"{HEADER},alpha")
        found = run(tmp_path, path, Reading(where={"alpha": "0.2"}))
        assert (found.table.chosen, found.table.written) == (8, 16) and all_off(tmp_path)

    def test_another_frame(self, tmp_path):
        rows = rewritten(lambda cells: [*cells[:2], str(float(cells[2]) * 4), str(float(cells[3]) * 2)])
        run(tmp_path, write(tmp_path, rows), Reading(FileFrame.read("squashed:320")))  # of 80 x 160 pixels
        assert all_off(tmp_path)

    def test_scores_keep_their_order_and_come_to_lie_from_0_to_1(self, tmp_path):
        scores = [3.0, -1.0, 0.0, 1.0, 1.0, 1.0, 2.0, 1.0]
        rows = [f"{row},{score}" for row, score in zip(ROWS, scores, strict=True)]
        run(tmp_path, write(tmp_path, rows, f"{HEADER},score"))
        found = read(PredictionStore(tmp_path / "run"), "mine")["mine"].confidence
        assert found.tolist() == [1, 0, 0.25, 0.5, 0.5, 0.5, 0.75, 0.5]

    def test_pairs_that_the_file_lacks_are_counted(self, tmp_path):
        found = run(tmp_path, write(tmp_path, ROWS[:3]))
        assert (found.pairs, found.lacking) == (1, 2) and len(errors(tmp_path)) == 3


class TestRun:
    def test_the_claim_says_where_it_comes_from(self, tmp_path):
        path = write(tmp_path)
        run(tmp_path, path)
        store = PredictionStore(tmp_path / "run")
        claim = store.claim_of("mine")
        assert claim.kind == "imported" and claim.settings["frame"] == "original" and len(claim.settings["file"]) == 16
        assert store.imported() == store.noted_methods() == ["mine"]
        run(tmp_path, path)  # again is the same

    def test_another_file_or_frame_is_never_mixed_with_it(self, tmp_path):
        path = write(tmp_path)
        run(tmp_path, path)
        before = errors(tmp_path)
        for other, reading in (
            (write(tmp_path, ROWS[:3], name="other.csv"), Reading()),
            (path, Reading(FileFrame.read("original", 0))),
        ):
            with pytest.raises(UserError, match="made with something else .*sdcorr redo"):
                run(tmp_path, other, reading)
        assert np.array_equal(errors(tmp_path), before)

    def test_predictions_of_a_method_are_not_replaced(self, tmp_path):
        write_run(tmp_path / "run", {"a-b": [0, 0, 0]})
        with pytest.raises(UserError, match="made with something else .*imported here"):
            run(tmp_path, write(tmp_path), method="prompt")

    def test_two_files_side_by_side(self, tmp_path):
        run(tmp_path, write(tmp_path))
        run(tmp_path, write(tmp_path, name="b.csv"), method="other")
        assert PredictionStore(tmp_path / "run").methods() == ["mine", "other"]

    def test_pairs_without_a_visible_point_ask_for_nothing(self, tmp_path):
        blind = type(PAIRS[0])(**vars(PAIRS[0]) | {"id": "blind", "visible": [False] * 3})
        store = PredictionStore(tmp_path / "run")
        found = import_predictions(write(tmp_path), benchmark([*PAIRS, blind]), store, "mine", CONFIG, Reading())
        assert found.lacking == 0


MISTAKES = {  # what a file has, and what is said of it
    "no such file": (None, "Cannot read .*mine.csv"),
    "empty": ([], "has no row"),
    "no pair": (["x,y", "1,2"], "does not say which pair a row is of: give --columns"),
    "no place": (["pair,point", "a-b,nose"], "does not say where a point was found: give --columns x=NAME"),
    "a column twice": (["pair,pair,x,y", "a,a,1,1"], "mine.csv:1 has the column 'pair' twice"),
    "a short row": ([HEADER, "a-b,nose,1"], "mine.csv:2 has 3 cells, and the header 4"),
    "a word": ([HEADER, ROWS[0], "a-b,tail,left,38"], "mine.csv:3: x is 'left', which is not a finite number"),
    "nan": ([HEADER, ROWS[0], "a-b,tail,31,nan"], "mine.csv:3: y is 'nan', which is not a finite number"),
    "nan in a cell": (["pair,point,pred", "a-b,nose,[nan 3]"], "mine.csv:2: pred is 'nan'"),
    "half a place": (["pair,point,pred", "a-b,nose,[3]"], "mine.csv:2: pred is .* which is not a place"),
    "nothing": (["pair,point,xy", "a-b,nose,"], "mine.csv:2 has no prediction"),
    "unknown pair": ([HEADER, "a-z,nose,1,2"], "mine.csv:2: fake has no pair 'a-z'"),
    "unknown index": (["index,x,y", "3,1,2"], "mine.csv:2: fake has no pair with the index 3, .* from 0 to 2"),
    "unknown pictures": (["source,target,x,y", "b,a,1,2"], "mine.csv:2: fake has no pair of b and a, in this order"),
    "unknown point": ([HEADER, *ROWS[:3], "a-b,horn,1,2"], "mine.csv:5: pair a-b has no key-point 'horn'"),
    "twice": ([HEADER, *ROWS[:3], "a-b,tail,1,2"], "mine.csv:5: key-point tail of pair a-b .* in mine.csv:3"),
    "missing": ([HEADER, *ROWS[:2], *ROWS[3:]], r"mine.csv:2: pair a-b, .*lacks 1 of its 3 points \(ear\)"),
    "wrong count": (["pair,x,y", "a-b,1,2", "a-b,1,2"], "mine.csv:2: pair a-b, .*2 rows for 3 points"),
    "outside": ([HEADER, *ROWS[:2], "a-b,ear,51,258"], r"mine.csv:4: \(51, 258\) is outside the 80 x 160 pixels"),
    "another truth": (
        [f"{HEADER},target_x,target_y", "b-c,nose,11,12,11,12", "b-c,tail,13,14,53,14"],
        r"mine.csv:3: its true place is not that of the data set, \(13, 14\)",
    ),
    "no point said": ([HEADER, "a-b,,1,2"], "mine.csv:2 does not say which key-point"),
}


class TestMistakes:
    @pytest.mark.parametrize("name", MISTAKES)
    def test_is_told_with_its_line_and_nothing_is_written(self, name, tmp_path):
        lines, said = MISTAKES[name]
        path = tmp_path / "mine.csv"
        if lines is not None:
            path = write(tmp_path, lines[1:], lines[0]) if lines else write(tmp_path, [], HEADER)
        with pytest.raises(UserError, match=said) as error:
            run(tmp_path, path)
        assert str(error.value).count("\n") == 0
        assert not (tmp_path / "run").exists()

    JSON = {
        "no json": ("[", "mine.json:1 is not JSON"),
        "no list": ("{}", "is not a list"),
        "no object": ("[3]", "mine.json, entry 1 is not an object"),
        "lengths": ('[{"pair": "a-b", "xy": [[1, 2]], "point": ["nose", "ear"]}]', "entry 1 has lists of several"),
        "null": ('[{"pair": "a-b", "xy": [[1, 2], [1, null]]}]', "entry 1, point 2: xy is ''"),
    }

    @pytest.mark.parametrize("name", JSON)
    def test_of_json(self, name, tmp_path):
        text, said = self.JSON[name]
        path = tmp_path / "mine.json"
        path.write_text(text)
        with pytest.raises(UserError, match=said):
            run(tmp_path, path)

    def test_of_the_options(self, tmp_path):
        path = write(tmp_path)
        for reading, said in (
            (Reading(columns={"u": "x"}), "no column 'u' to read"),
            (Reading(columns={"x": "u"}), "no column 'u' for x: it has pair, point, x, y"),
            (Reading(where={"alpha": "1"}), "no column 'alpha' for --where"),
            (Reading(where={"point": "horn"}), "no row where point=horn"),
        ):
            with pytest.raises(UserError, match=said):
                run(tmp_path, path, reading)

    def test_an_index_means_nothing_where_pairs_cannot_be_read(self, tmp_path):
        path, damaged = write(tmp_path, ["0,1,2"], "index,x,y"), benchmark()
        damaged.broken = (("z-z", "its row is torn"),)
        with pytest.raises(UserError, match="1 pairs of fake cannot be read"):
            import_predictions(path, damaged, PredictionStore(tmp_path / "run"), "mine", CONFIG, Reading())

    def test_pictures_of_several_pairs(self, tmp_path):
        twice = Pictureless([PAIRS[0], type(PAIRS[0])(**vars(PAIRS[0]) | {"id": "again"})])
        path = write(tmp_path, ["a,b,nose,1,2"], "source,target,point,x,y")
        with pytest.raises(UserError, match=r"mine.csv:2: fake has several pairs of a and b \(a-b, again\)"):
            import_predictions(path, twice, PredictionStore(tmp_path / "run"), "mine", CONFIG, Reading())
