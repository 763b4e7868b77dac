import os
import unicodedata

import pytest
from PIL import Image

from sdcorr.datasets.lookup import Pictures
from tests.datasets.fixtures import save_image

COMPOSED, APART = (unicodedata.normalize(form, "Käfer") for form in ("NFC", "NFD"))


@pytest.fixture
def folder(tmp_path):
    save_image(tmp_path / "own/sub/a.png", (40, 30))
    return tmp_path / "own"


def test_every_way_to_write_a_path_is_one_picture(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    (folder.parent / "link").symlink_to(folder)
    for root in (folder, folder.parent / "link", type(folder)("own")):
        written = ["sub/a.png", "./sub//a.png", "sub\\a.png", "sub/../sub/a.png", str(folder / "sub/a.png")]
        pictures = Pictures(root)
        assert {pictures.key(each) for each in written} == {"sub/a.png"}
        assert pictures.look("sub/a.png") == "" and pictures.sizes == {"sub/a.png": (40, 30)}


@pytest.mark.parametrize("on_disk, written", [(COMPOSED, APART), (APART, COMPOSED)])
def test_letters_in_one_part_or_two(folder, on_disk, written):
    save_image(folder / on_disk / f"{on_disk}.png", (8, 8))
    pictures = Pictures(folder)
    for name in (f"{written}/{written}.png", f"{on_disk}/{written}.png", f"{written}\\{on_disk}.png"):
        key = pictures.key(name)
        assert key == f"{on_disk}/{on_disk}.png" and pictures.look(key) == ""
    assert pictures.key(str(folder / written / f"{written}.png")) == f"{on_disk}/{on_disk}.png"


def test_a_backslash_that_is_part_of_a_name(folder):
    save_image(folder / "odd\\name.png", (8, 8))
    assert Pictures(folder).key("odd\\name.png") == "odd\\name.png"


def test_pictures_outside_have_a_path_from_the_folder(folder, tmp_path):
    save_image(tmp_path / "other/b.png", (8, 8))
    pictures = Pictures(folder)
    assert pictures.key("../other/b.png") == pictures.key(str(tmp_path / "other/b.png")) == "../other/b.png"


def test_one_that_is_not_there(folder):
    pictures = Pictures(folder)
    assert pictures.key("sub\\none.png") == "sub/none.png"
    assert pictures.look("sub/none.png") == "there is no picture sub/none.png in the folder"
    assert pictures.look(pictures.key("sub/A.PNG")) == "there is no picture sub/A.PNG in the folder, but a.png"
    assert pictures.look("nowhere/a.png") == "there is no picture nowhere/a.png in the folder"
    assert pictures.look("sub") == "there is no picture sub in the folder"


def test_a_damaged_one_is_no_mistake_in_the_table(folder):
    (folder / "torn.png").write_bytes(b"no picture")
    pictures = Pictures(folder)
    assert pictures.look("torn.png") == ""
    with pytest.raises(Exception, match="torn.png is not an image"):
        pictures.size("torn.png")


def test_a_picture_is_looked_at_once_and_folders_only_if_need_be(folder, monkeypatch):
    opened, listed = [], []
    open_, listdir = Image.open, os.listdir
    monkeypatch.setattr(Image, "open", lambda *args, **options: opened.append(args) or open_(*args, **options))
    monkeypatch.setattr(os, "listdir", lambda path: listed.append(path) or listdir(path))
    pictures = Pictures(folder)
    for _ in range(3):
        pictures.look(pictures.key("sub/a.png"))
    assert len(opened) == 1 and not listed
    for number in range(50):
        pictures.look(pictures.key(f"sub/none-{number}.png"))
    assert len(listed) == 2  # the folder and sub, once each


def test_letters_that_the_system_s_encoding_lacks(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("os.fsencode", lambda name: name.encode("ascii"))
    assert "猫.png cannot be looked for" in (said := Pictures(tmp_path).look("猫.png")) and "PYTHONUTF8=1" in said
    assert Pictures(tmp_path).look("cat.png") == "there is no picture cat.png in the folder"
