import json

import numpy as np
import pytest
from PIL import Image

from sdcorr.datasets.folder import Folder
from sdcorr.errors import UserError
from tests.datasets.fixtures import evaluate
from tests.datasets.trees import (
    FOLDER_HEADER,
    FOLDER_ROWS,
    FOLDER_SIZES,
    folder_entry,
    own_folder,
    write_csv,
    write_json,
)


@pytest.fixture
def root(tmp_path):
    return own_folder(tmp_path / "own")


class TestCSV:
    def test_rows_with_the_same_two_pictures_are_a_pair(self, root):
        write_csv(root, FOLDER_HEADER + FOLDER_ROWS)
        found = Folder(root)
        first, second = found.pairs
        assert (first.id, first.category) == ("a.png -> sub/b.png", "cat")
        assert (first.source, first.target, second.target) == ("a.png", "sub/b.png", "c d.jpg")
        assert (first.source_size, first.target_size) == (FOLDER_SIZES["a.png"], FOLDER_SIZES["sub/b.png"])
        assert first.source_points.tolist() == [[12, 20], [60, 0]]  # a corner is in the picture
        assert first.target_points.tolist() == [[7.5, 40], [30, 50]]
        assert first.names == ("left eye", "tail") and first.visible.all() and first.source_box is None
        assert (found.name, found.split, found.broken) == ("folder", "all", ())

    def test_rows_of_a_pair_need_not_be_neighbors(self, root):
        write_csv(root, FOLDER_HEADER + "".join(FOLDER_ROWS.splitlines(keepends=True)[i] for i in (0, 2, 1)))
        assert [pair.names for pair in Folder(root).pairs] == [("left eye", "tail"), ("left eye",)]

    @pytest.mark.parametrize(
        "text",
        [
            "y,x,target,source,target_y,target_x\n20,12,sub/b.png,a.png,40,7.5\n",
            " Source , TARGET,x,y,target_x,target_y\n a.png , ./sub//b.png ,12, 20,7.5,40\n",
            'source,target,x,y,target_x,target_y\r\n"a.png","sub/b.png","12","20","7.5","40"\r\n\r\n',
            "\ufeffsource,target,x,y,target_x,target_y\na.png,sub/b.png,12,20,7.5,4e1\n\n,,,,,\n",
        ],
        ids=["another order", "blanks and capitals", "quotes and CRLF", "BOM and empty lines"],
    )
    def test_ways_to_write_the_same(self, root, text):
        write_csv(root, text)
        (pair,) = Folder(root).pairs
        assert (pair.source, pair.target) == ("a.png", "sub/b.png")
        assert pair.query_points.tolist() == [[12, 20]] and pair.true_points.tolist() == [[7.5, 40]]
        assert pair.names == ("1",) and pair.category == "all"

    def test_a_point_that_is_not_visible_is_not_asked_for(self, root):
        rows = ["1,2,3,4,no", "2,2,,,0", "3,2,3,4,True", "4,2,3,4,"]
        lines = ["source,target,x,y,target_x,target_y,visible", *(f"a.png,sub/b.png,{row}" for row in rows)]
        write_csv(root, "\n".join(lines))
        (pair,) = Folder(root).pairs
        assert pair.visible.tolist() == [False, False, True, True]
        assert np.isnan(pair.target_points[1]).all()

    @pytest.mark.parametrize("lines", ["\r", "\r\n"])
    def test_lines_of_other_machines(self, root, lines):
        write_csv(root, (FOLDER_HEADER + FOLDER_ROWS).replace("\n", lines))
        assert [len(pair.names) for pair in Folder(root).pairs] == [2, 1]

    def test_ids_of_two_pairs_are_never_the_same(self, root):
        for name in ("a", "b -> c", "a -> b", "c"):
            Image.new("RGB", (9, 9)).save(root / name, "PNG")
        write_csv(root, "source,target,x,y\na,b -> c,1,2\na -> b,c,1,2\n")
        assert [pair.id for pair in Folder(root).pairs] == ["a -> 'b -> c'", "'a -> b' -> c"]

    def test_letters_of_all_kinds(self, root):
        Image.new("RGB", (9, 9)).save(root / "Käfer 甲.png")
        write_csv(root, "source,target,x,y,target_x,target_y,name\nKäfer 甲.png,a.png,1,2,3,4,Fühler\n")
        (pair,) = Folder(root).pairs
        assert (pair.source, pair.names) == ("Käfer 甲.png", ("Fühler",))


class TestPictures:
    def test_a_picture_is_seen_as_its_exif_turns_it(self, root):
        pixels = np.zeros((20, 40, 3), dtype=np.uint8)
        pixels[:, :20] = 255  # the left half is white
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned clockwise: the left edge becomes the top
        Image.fromarray(pixels).save(root / "turned.jpg", exif=exif)
        write_csv(root, "source,target,x,y,target_x,target_y\nturned.jpg,a.png,19,39,1,1\n")
        found = Folder(root)
        assert found.pairs[0].source_size == (20, 40)
        upright = np.asarray(found.image("turned.jpg"))
        assert upright.shape == (40, 20, 3) and upright[5].min() > 200 and upright[-5].max() < 55

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("name", ["turned.jpg", "turned.png", "turned.tif"])
    def test_its_size_is_known_before_it_is_read(self, root, name, orientation):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.new("RGB", (40, 20)).save(root / name, exif=exif)
        write_csv(root, f"source,target,x,y\n{name},a.png,1,1\n")
        found = Folder(root)
        assert found.pairs[0].source_size == found.image(name).size

    def test_a_torn_one_costs_its_pairs_alone(self, root, tmp_path, monkeypatch, capfd):
        monkeypatch.chdir(tmp_path)
        for name, share in (("a.png", 1), ("sub/b.png", 0.7), ("c d.jpg", 0.01)):  # whole, its end away, all but away
            data = (root / name).read_bytes()
            (root / name).write_bytes(data[: int(len(data) * share)])
        write_csv(root, FOLDER_HEADER + FOLDER_ROWS + "a.png,a.png,1,2,3,4,,,\n")
        result = evaluate(monkeypatch, capfd, "dataset=folder", f"dataset.root={root}", "run_dir=run")
        assert result.returncode == 3, result.stderr
        assert json.loads((tmp_path / "run/summary.json").read_text())["pairs"] == 1
        broken = {each["pair"]: each["reason"] for each in json.loads((tmp_path / "run/broken.json").read_text())}
        assert set(broken) == {"a.png -> sub/b.png", "a.png -> c d.jpg"}
        assert "b.png is damaged" in broken["a.png -> sub/b.png"] and "c d.jpg" in broken["a.png -> c d.jpg"]

    def test_none_that_can_be_read_is_a_mistake(self, root):
        write_csv(root, "source,target,x,y\npairs.csv,a.png,1,1\n")
        with pytest.raises(UserError, match="pairs.csv lists 1 pair .* none can be read.* not an image that Pillow"):
            Folder(root)


class TestUsersPictures:
    """A picture gives the same pixels to an evaluation as to the other commands."""

    def test_a_gray_copy_with_16_bits_gives_the_same_score(self, root, tmp_path, monkeypatch, capfd):
        monkeypatch.chdir(tmp_path)
        for name in ("a.png", "sub/b.png", "c d.jpg"):
            gray = Image.open(root / name).convert("L")
            path = (root / name).with_suffix(".png")
            gray.save(path)
            sixteen = np.asarray(Image.open(path)).astype(np.uint16) * 257
            Image.fromarray(sixteen).save(path.with_name(f"sixteen {path.name}"))
        rows = FOLDER_ROWS.replace(".jpg", ".png")
        write_csv(root, FOLDER_HEADER + rows, "eight.csv")
        for name in ("a.png", "b.png", "c d.png"):
            rows = rows.replace(name, f"sixteen {name}")
        write_csv(root, FOLDER_HEADER + rows, "sixteen.csv")
        found = [Folder(root, f"{name}.csv") for name in ("eight", "sixteen")]
        for pairs in zip(*(each.pairs for each in found), strict=True):
            for side in ("source", "target"):
                pixels = [np.asarray(each.image(getattr(pair, side))) for each, pair in zip(found, pairs, strict=True)]
                assert np.array_equal(*pixels) and pixels[0].std() > 1

    def test_hidden_colors_are_white(self, root):
        Image.new("RGBA", (20, 20), (255, 0, 0, 0)).save(root / "clear.png")
        write_csv(root, "source,target,x,y\nclear.png,a.png,1,1\n")
        assert np.asarray(Folder(root).image("clear.png")).min() == 255

    def test_floats_cost_their_pairs_and_are_called_what_they_are(self, root, tmp_path, monkeypatch, capfd):
        monkeypatch.chdir(tmp_path)
        Image.new("F", (20, 20), 0.5).save(root / "float.tif")
        write_csv(root, FOLDER_HEADER + FOLDER_ROWS + "a.png,float.tif,1,2,3,4,,,\n")
        result = evaluate(monkeypatch, capfd, "dataset=folder", f"dataset.root={root}", "run_dir=run")
        assert result.returncode == 3, result.stderr
        ((broken),) = json.loads((tmp_path / "run/broken.json").read_text())
        assert broken["pair"] == "a.png -> float.tif" and "pixels without a fixed range" in broken["reason"]

    def test_one_that_was_replaced_since_its_points_were_checked(self, root):
        write_csv(root, FOLDER_HEADER + FOLDER_ROWS)
        found = Folder(root)
        Image.new("RGB", (6, 4)).save(root / "a.png")
        with pytest.raises(UserError, match="a.png has 6 x 4 pixels, and had 60 x 40 when its points were checked"):
            found.image("a.png")


class TestBoxes:
    @pytest.mark.parametrize("side, size", [("source", (60, 40)), ("target", (30, 50))])
    def test_of_masks(self, root, side, size):
        mask = np.zeros(size[::-1], np.uint8)
        mask[4:20, 3:17] = 1
        (root / "masks").mkdir()
        Image.fromarray(mask).save(root / "masks/m.png")
        write_csv(
            root, f"source,target,x,y,{side}_mask\na.png,sub/b.png,1,2,masks/m.png\na.png,sub/b.png,5,2,masks/m.png\n"
        )
        write_json(root, folder_entry(**{f"{side}_mask": "masks\\m.png"}))
        for table in ("pairs.csv", "pairs.json"):
            (pair,) = Folder(root, table).pairs
            boxes = (pair.source_box, pair.target_box)
            assert boxes == ((3, 4, 17, 20), None) if side == "source" else (None, (3, 4, 17, 20))

    def test_on_some_pairs_alone_is_said_in_one_line(self, root):
        write_json(root, folder_entry(target_box=[2, 3, 30, 40]), folder_entry(target="c d.jpg"))
        with pytest.warns(UserWarning, match="box is known in 1 of 2 pairs.*mean different things") as told:
            Folder(root)
        assert len(told) == 1 and "\n" not in str(told[0].message)

    @pytest.mark.parametrize("boxes", [[None, None], [[2, 3, 30, 40], [1, 1, 9, 9]]])
    def test_on_all_or_none_is_not_remarked_on(self, root, boxes, recwarn):
        entries = [folder_entry(target_box=boxes[0]), folder_entry(target="c d.jpg", target_box=boxes[1])]
        write_json(root, *entries)
        assert len(Folder(root).pairs) == 2 and not recwarn


class TestUnknownTruth:
    def test_is_asked_for_without_an_answer(self, root):
        write_csv(root, FOLDER_HEADER + "a.png,sub/b.png,1,2,,,,,\na.png,sub/b.png,5,6,7,8,,,\n")
        (pair,) = Folder(root).pairs
        assert pair.query_points.tolist() == [[1, 2], [5, 6]]
        assert np.isnan(pair.target_points[0]).all() and pair.target_points[1].tolist() == [7, 8]

    def test_columns_of_it_may_be_away(self, root):
        write_csv(root, "source,target,x,y\na.png,sub/b.png,1,2\n")
        write_json(root, folder_entry(target_points=[None, [1, 2]]), folder_entry(target="c d.jpg"))
        (of_csv,), of_json = Folder(root, "pairs.csv").pairs, Folder(root, "pairs.json").pairs
        unknown = [np.isnan(pair.target_points).all(1).tolist() for pair in (of_csv, *of_json)]
        assert unknown == [[True], [True, False], [True, True]]

    def test_is_found_and_not_scored(self, root, tmp_path, monkeypatch, capfd):
        monkeypatch.chdir(tmp_path)
        write_csv(root, FOLDER_HEADER + FOLDER_ROWS + "a.png,c d.jpg,30,30,,,tail,dog,1\n")
        result = evaluate(monkeypatch, capfd, "dataset=folder", f"dataset.root={root}", "run_dir=run")
        assert result.returncode == 0, result.stderr
        summary = json.loads((tmp_path / "run" / "summary.json").read_text())
        assert (summary["pairs"], summary["points"]) == (2, 3)
        (record,) = (tmp_path / "run/predictions/image_patches").glob("*.json")
        found = json.loads(record.read_text())["predictions"]
        assert [len(prediction["predicted"]) for prediction in found] == [2, 2]

    def test_of_all_points_leaves_matches_alone(self, root, tmp_path, monkeypatch, capfd):
        monkeypatch.chdir(tmp_path)
        write_csv(root, "source,target,x,y\na.png,sub/b.png,1,2\n")
        result = evaluate(monkeypatch, capfd, "dataset=folder", f"dataset.root={root}", "run_dir=run")
        assert result.returncode == 0, result.stderr
        assert "not scored" in result.stdout and result.stdout.splitlines()[-1] == "run"
        assert list((tmp_path / "run/predictions/image_patches").glob("*.json"))


@pytest.mark.parametrize("table", ["csv", "json"])
def test_a_whole_evaluation(root, tmp_path, monkeypatch, capfd, table):
    monkeypatch.chdir(tmp_path)
    if table == "csv":
        write_csv(root, FOLDER_HEADER + FOLDER_ROWS)
    else:
        write_json(
            root,
            folder_entry(target_points=[[7.5, 40], [1, 2]]),
            folder_entry(target="c d.jpg", target_points=[[1, 2], [3, 4]]),
        )
    result = evaluate(monkeypatch, capfd, "dataset=folder", f"dataset.root={root}", "run_dir=run")
    assert result.returncode == 0, result.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["pairs"], summary["points"]) == (2, 3 if table == "csv" else 4)


def test_a_mistake_ends_an_evaluation_with_one_sentence(root, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    result = evaluate(monkeypatch, capfd, "dataset=folder")
    assert result.returncode == 2 and "dataset.root" in result.stderr
    result = evaluate(monkeypatch, capfd, "dataset=folder", f"dataset.root={root}")
    assert result.returncode == 2 and result.stderr.count("\n") == 1 and "pairs.csv" in result.stderr
    assert not (tmp_path / "outputs").exists()
