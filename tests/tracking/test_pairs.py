"""The table of pairs, read back from an offline run."""

import json

import pytest
from PIL import Image


@pytest.fixture(scope="module")
def rows(evaluated) -> list[dict]:
    return evaluated.run.table("tables/pairs")


def test_rows_are_bounded_and_of_every_category(rows) -> None:
    assert len(rows) == 4 and {row["category"] for row in rows} == {"bird", "fish", "lamp"}


def test_numbers_are_those_of_the_records(evaluated, rows) -> None:
    files = (evaluated.folder / "out/a-run/predictions/prompt").glob("*.json")
    records = [json.loads(path.read_text()) for path in files]
    found = {each["id"]: (record, each) for record in records for each in record["predictions"]}
    for row in rows:
        record, each = found[row["pair"]]
        assert row["seconds of source"] == record["seconds"] and row["points"] == len(each["predicted"]) == 3
        assert row["confidence"] == pytest.approx(sum(each["confidence"]) / 3)
        known = 2 if row["category"] == "lamp" else 3  # the truth of a point of the lamp is not known
        for name in ("PCK@0.10", "PCK@0.10 same_pixel", "PCK@0.10 transfer_crops=1"):
            assert row[name] * known == pytest.approx(round(row[name] * known))
    shares = [row["PCK@0.10"] for row in rows if row["category"] == "bird"]
    assert evaluated.summary["pck@0.10/per_point/category/bird"] == pytest.approx(sum(shares) / len(shares))


def test_pictures_are_there(rows) -> None:
    for row in rows:
        sizes = {}
        for name in ("source", "target", "attention"):
            with Image.open(row[name]) as picture:
                sizes[name] = picture.size
        assert sizes["source"] == sizes["target"] == (224, 224)
        assert sizes["attention"] == (3 * 112 + 2 * 3, 2 * 112 + 3)


def test_all_of_it_lies_in_the_run_folder(evaluated) -> None:
    home = (evaluated.folder / "out/a-run/wandb").resolve()
    assert evaluated.run.files and all(home in path.resolve().parents for path in evaluated.run.files.values())
