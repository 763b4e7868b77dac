"""An index of pictures: points are found in them, nothing is read twice, and nothing old is found."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdcorr.cli.index import main as index_command
from sdcorr.cli.search import main as search_command
from sdcorr.errors import UserError
from sdcorr.methods.finder import Finder
from sdcorr.retrieval import PictureIndex
from sdcorr.retrieval.cells import halved, to_cells
from sdcorr.retrieval.folder import IndexFolder
from sdcorr.retrieval.work import bring_up_to_date, look
from sdcorr.student.files import make_network, save_student

SIDE = 32
MADE_BY = {"_target_": "tests.student.surroundings.Surroundings", "side": SIDE}
CELLS = 16


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Finder:
    """A student that knows colors."""
    path = tmp_path_factory.mktemp("student")
    save_student(path, make_network(MADE_BY).eval(), MADE_BY, 0.02, {})
    return Finder.load(path)


def texture(seed: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    cells = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for number in range(12):
        path = folder / ("a" if number % 2 else "b") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        texture(number, (64, 48) if number % 3 else (50, 80)).save(path)
    return folder


class Counted:
    """Reads pictures, and counts them."""

    def __init__(self, finder: Finder) -> None:
        self.finder, self.count = finder, 0

    def __call__(self, images: list[Image.Image]) -> list:
        self.count += len(images)
        return self.finder.read_rgb(images)


def test_a_cell_is_kept_to_a_hundredth(finder: Finder) -> None:
    (features,) = finder.read([texture(3)])
    cells = to_cells(features, CELLS)
    assert cells.values.shape == (CELLS**2, 54) and cells.values.dtype == np.int8
    exact = features.values.flatten(1).T.numpy()
    assert np.abs(np.linalg.norm(cells.features, axis=1) - 1).max() < 0.01
    near = halved(cells)
    assert near.shape == (CELLS**2 // 4, 54) and np.allclose(np.linalg.norm(near, axis=1), 1, atol=1e-5)
    assert np.abs(cells.cosines(exact[:3]).reshape(3, -1) - exact[:3] @ exact.T).max() < 0.01


def test_a_point_is_found_in_the_picture_that_has_it(finder: Finder, pictures: Path, tmp_path: Path) -> None:
    folder = IndexFolder(tmp_path / "index")
    bring_up_to_date(folder, pictures, finder.read_rgb, CELLS)
    index = PictureIndex(IndexFolder(folder.folder), finder.peaks)
    assert len(index) == 12
    for number, point in ((4, (40.0, 30)), (6, (20.0, 60)), (9, (11.0, 41))):
        (source,) = finder.read([texture(number, (64, 48) if number % 3 else (50, 80))])
        best, *others = index.search(source, point, most=5)
        assert best.picture == f"{'a' if number % 2 else 'b'}/{number}.png"
        assert best.cosine > max(0.85, others[0].cosine) and len(others) == 4
        assert np.hypot(*np.subtract(best.point, point)) < 4  # a cell is 4 pixels, or 5
        assert [hit.cosine for hit in others] == sorted((hit.cosine for hit in others), reverse=True)
        assert index.search(source, point, most=5, exact=True) == [best, *others]


def test_nothing_is_read_twice_and_nothing_old_is_found(finder: Finder, pictures: Path, tmp_path: Path) -> None:
    folder, read = tmp_path / "index", Counted(finder)
    changes, _ = bring_up_to_date(IndexFolder(folder), pictures, read, CELLS)
    assert read.count == 12 == len(changes.new)
    assert not bring_up_to_date(IndexFolder(folder), pictures, read, CELLS)[0] and read.count == 12
    os.utime(pictures / "a/1.png", (1, 1))  # other dates, the same bytes
    assert not bring_up_to_date(IndexFolder(folder), pictures, read, CELLS)[0] and read.count == 12
    assert "a/1.png" in json.loads((folder / "stamps.json").read_text())
    assert not look(IndexFolder(folder), pictures)

    texture(77).save(pictures / "a/3.png")
    (pictures / "b/2.png").unlink()
    texture(88).save(pictures / "new.png")
    (pictures / "torn.png").write_bytes(b"no picture")
    stale = look(IndexFolder(folder), pictures)
    assert (stale.new, stale.changed, stale.gone) == (["new.png", "torn.png"], ["a/3.png"], ["b/2.png"])
    assert str(stale) == "2 new, 1 changed, 1 gone"
    (gone,) = finder.read([texture(2)])
    assert PictureIndex(IndexFolder(folder), finder.peaks).search(gone, (9, 9), 1)[0].picture == "b/2.png"
    left = PictureIndex(IndexFolder(folder), finder.peaks, stale.stale).search(gone, (9, 9), 12)
    assert {"b/2.png", "a/3.png"}.isdisjoint(hit.picture for hit in left) and len(left) == 10

    _, unread = bring_up_to_date(IndexFolder(folder), pictures, read, CELLS)
    assert read.count == 14 and unread == ["torn.png"]
    index = PictureIndex(IndexFolder(folder), finder.peaks, look(IndexFolder(folder), pictures).stale)
    for seed, name in ((77, "a/3.png"), (88, "new.png")):
        (source,) = finder.read([texture(seed)])
        assert index.search(source, (20, 20), 1)[0].picture == name
    everything = index.search(gone, (9, 9), 50)
    assert len(everything) == 12 and "b/2.png" not in {hit.picture for hit in everything}


def test_neighbors_that_were_lost_are_found_again(finder: Finder, pictures: Path, tmp_path: Path) -> None:
    folder, read = tmp_path / "index", Counted(finder)
    bring_up_to_date(IndexFolder(folder), pictures, read, CELLS)
    for name in ("neighbors.json", "neighbors.faiss"):
        (folder / name).write_bytes((folder / name).read_bytes()[:20])
        with pytest.raises(UserError, match="no index that is finished: make one with `sdcorr index`"):
            PictureIndex(IndexFolder(folder), finder.peaks)
        bring_up_to_date(IndexFolder(folder), pictures, read, CELLS)
        assert len(PictureIndex(IndexFolder(folder), finder.peaks)) == 12
    assert read.count == 12
    part = next((folder / "parts").iterdir())
    part.write_bytes(b"cut off")
    with pytest.raises(UserError, match="not a whole part of an index .*: delete it and index again"):
        look(IndexFolder(folder), pictures)


def test_the_commands(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texture(4).save(tmp_path / "mine.png")
    here, mine, out = str(pictures), str(tmp_path / "mine.png"), str(tmp_path / "out")
    with pytest.raises(UserError, match="There is no index in .*: make one with `sdcorr index"):
        search_command([here, mine, "--point", "40,30"])
    index_command([here, "--cells", "16"])
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == f"{here}/.sdcorr/search" and "12 pictures (12 new)" in told[-2]
    search_command([here, mine, "--point", "40,30", "--most", "3", "--out", out])
    assert capsys.readouterr().out.splitlines()[-1] == out
    found = json.loads((tmp_path / "out" / "hits.json").read_text())
    assert found["point"] == [40, 30] and len(found["hits"]) == 3
    assert found["hits"][0]["picture"] == "b/4.png"
    assert np.hypot(*np.subtract(found["hits"][0]["point"], (40, 30))) < 4
    assert Image.open(tmp_path / "out" / "hits.png").width > 800
    (pictures / "b/4.png").unlink()
    search_command([here, mine, "--point", "40,30", "--most", "3", "--out", out])
    assert "(1 gone): `sdcorr index" in capsys.readouterr().err
    for words, sentence in (
        (["method=unet_features"], "was made with something else"),
        (["--cells", "8"], "cells is 16 there and 8 here"),
        (["--cells", "7"], "give an even number from 2 to 64"),
        (["method=same_pixel"], "indexed by features, and same_pixel has none"),
    ):
        with pytest.raises(UserError, match=sentence):
            index_command([here, *words])
    for point, sentence in (("400,30", "is not in the picture"), ("4", "is not a point")):
        with pytest.raises(UserError, match=sentence):
            search_command([here, mine, "--point", point])
    with pytest.raises(UserError, match="There is no folder"):
        index_command([str(tmp_path / "nowhere")])


@pytest.mark.slow
def test_a_killed_index_goes_on(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(170):
        texture(number).save(pictures / f"{number}.png")
    command = [sys.executable, "-m", "sdcorr", "index", str(pictures)]
    parts = pictures / ".sdcorr" / "search" / "parts"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        while running.poll() is None and len(list(parts.glob("*.safetensors"))) < 1:
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
    kept = {path: path.read_bytes() for path in parts.glob("*.safetensors")}
    assert 1 <= len(kept) < 3  # it was at work
    subprocess.run(command, check=True, capture_output=True)
    assert all(path.read_bytes() == content for path, content in kept.items())
    folder = IndexFolder(pictures / ".sdcorr" / "search")
    assert len(folder.pictures) == 170 == len({each.number for each in folder.pictures.values()})
    assert max(each.number for each in folder.pictures.values()) == 169  # none was read twice
