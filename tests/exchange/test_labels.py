"""Labels in the forms that others read, from rows that are written by hand."""

import json

import pytest
from PIL import Image

from sdcorr.datasets.folder import Folder
from sdcorr.errors import UserError
from sdcorr.exchange.labels import check_formats, export, tracks

SIZES = {"a.png": (64, 48), "b.png": (64, 64), "c.png": (32, 32)}


def row(track: int, target: str, x: float, y: float, source: str = "a.png") -> dict:
    return {
        "track": f"{source}#{track}",
        "category": "cat",
        "source": source,
        "target": target,
        "source_x": 10.0 + track,
        "source_y": 20.0,
        "target_x": x,
        "target_y": y,
        "confidence": 0.75,
    }


ROWS = [row(0, "b.png", 1, 2), row(1, "b.png", 3, 4), row(1, "c.png", 5, 6), row(0, "a.png", 7, 8, source="b.png")]


def test_our_own_reader_of_coco_finds_the_labels_as_pairs(tmp_path):
    for name, size in SIZES.items():
        Image.new("RGB", size).save(tmp_path / name)
    path = export("coco", ROWS, SIZES, tmp_path)
    pairs = {pair.id: pair for pair in Folder(tmp_path, pairs=path.name).pairs}
    of_a = [pair for pair in pairs.values() if pair.category == "a.png"]
    assert {(pair.source, pair.target) for pair in of_a} == {("a.png", "b.png"), ("a.png", "c.png"), ("b.png", "c.png")}
    first = next(pair for pair in of_a if pair.target == "b.png")
    assert first.names == ("a.png#0", "a.png#1")
    assert first.source_points.tolist() == [[10, 20], [11, 20]]
    assert first.target_points.tolist() == [[1, 2], [3, 4]]
    last = next(pair for pair in of_a if (pair.source, pair.target) == ("a.png", "c.png"))
    assert last.visible.tolist() == [False, True] and last.true_points.tolist() == [[5, 6]]
    assert {(pair.source, pair.target) for pair in pairs.values() if pair.category == "b.png"} == {("a.png", "b.png")}


def test_a_box_is_the_whole_picture(tmp_path):
    made = json.loads(export("coco", ROWS, SIZES, tmp_path).read_text())
    annotation = next(each for each in made["annotations"] if each["image_id"] == 1 and each["category_id"] == 1)
    assert annotation["bbox"] == [0, 0, 64, 48] and annotation["num_keypoints"] == 2


def test_tracks_have_a_view_in_every_picture_and_the_source():
    made = tracks(ROWS, SIZES)
    assert [image["key"] for image in made["images"]] == list(SIZES)
    first, second = made["objects"]
    assert [len(track["views"]) for track in first["tracks"]] == [2, 3]
    assert first["tracks"][1]["views"] == [
        {"image": 0, "xy": [11, 20], "confidence": 1.0},
        {"image": 1, "xy": [3, 4], "confidence": 0.75},
        {"image": 2, "xy": [5, 6], "confidence": 0.75},
    ]
    assert second["source"] == "b.png" and second["tracks"][0]["views"][0]["image"] == 1


def test_other_forms_are_refused():
    with pytest.raises(UserError, match="export=csv is not legal: give a list of coco, tracks"):
        check_formats(["coco", "csv"])
