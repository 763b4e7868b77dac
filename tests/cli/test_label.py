"""`sdcorr label` from end to end, with a small random model on pictures that nobody has annotated."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from sdcorr.cli.label import main
from sdcorr.labels.folder import read_labels
from sdcorr.labels.pictures import read_picture
from tests.labels.fakes import Blobs
from tests.models import TWO_LEVEL_LAYERS


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder, blobs = tmp_path_factory.mktemp("pictures"), Blobs("abc")
    for key in "abc":
        blobs.image(key).save(folder / f"{key}.png")
    return folder


def words(pictures: Path, model: Path, out: Path) -> list[str]:
    return [
        *("dataset=pictures", f"dataset.root={pictures}", f"out={out}", "points=3", "sources=2", "embeddings=null"),
        *("method=read_once", "model=toybox", f"model.path={model}", f"model.layers=[{','.join(TWO_LEVEL_LAYERS)}]"),
        *("method.steps=2", "method.restarts=1", "method.crop_pool=2", "method.consensus_block=mid_block"),
        "filters={confidence:null,margin:null,way_back:null,likeness:null,layers:null,support:null}",
    ]


def test_a_folder_of_pictures_becomes_a_data_set(pictures, two_level_folder, tmp_path, capsys):
    out = tmp_path / "labels"
    asked = words(pictures, two_level_folder, out)
    assert main([*asked, "export=[coco,tracks]"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out)
    labels = read_labels(out)
    assert len(labels) == 2 * 2 * 3 and labels.column("kept").to_pylist() == [True] * 12
    table = pq.read_table(out / "pictures").to_pylist()
    assert [row["key"] for row in table] == ["a.png", "b.png", "c.png"]
    with Image.open(pictures / "b.png") as picture:
        assert np.array_equal(read_picture(table[1]["png"]), picture)
    settings = yaml.safe_load((out / "settings.yaml").read_text())
    assert settings["method"]["kind"] == "sdcorr.methods.read_once.ReadOnce"
    assert settings["method"]["settings"]["steps"] == 2 and settings["method"]["model"]
    sheet = (out / "README.md").read_text()
    assert "12 labels, of which 12 (100.0%) are kept: 6 points of 2 source pictures, followed to 4 targets" in sheet
    with Image.open(out / "sheet.png") as image:
        assert image.width > 500
    assert (out / "labels.coco.json").exists() and (out / "labels.tracks.json").exists()

    before = {path: path.stat().st_mtime_ns for path in (out / "labels").iterdir()}
    assert main([*asked, "sources=3", "filters.confidence=1.1"]) == 0  # one more source; and others are kept
    assert not any(read_labels(out).column("kept").to_pylist())
    assert len(list((out / "labels").iterdir())) == len(before) + 1
    assert main([*asked, "method.steps=3"]) == 2
    assert "method.settings.steps is 2 there and 3 here" in capsys.readouterr().err


def test_a_method_without_maps_is_refused(pictures, tmp_path, capsys):
    asked = ["dataset=pictures", f"dataset.root={pictures}", f"out={tmp_path}", "methods=[same_pixel]"]
    assert main(asked) == 2
    assert "same_pixel has none: give methods=[read_once], say" in capsys.readouterr().err
