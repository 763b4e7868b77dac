import pytest
from PIL import Image

from sdcorr.datasets.unannotated import Unannotated
from sdcorr.errors import UserError


def test_pictures_are_grouped_by_their_folder(tmp_path):
    for name in ("loose.JPG", "cats/b.png", "cats/a.jpeg", "cats/kittens/c.webp", ".hidden/d.png"):
        path = tmp_path / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10)).save(path)
    (tmp_path / "mine" / "cats" / "notes.txt").write_text("none")
    found = Unannotated(tmp_path / "mine")
    assert found.called == "pictures-mine"
    assert found.groups == {
        "cats": ["cats/a.jpeg", "cats/b.png"],
        "cats/kittens": ["cats/kittens/c.webp"],
        "mine": ["loose.JPG"],
    }
    assert found.image("cats/b.png").size == (20, 10)
    assert len(found.digest("cats/b.png")) == 16
    with pytest.raises(UserError, match="has pictures and no pairs: it is there for `sdcorr label`"):
        _ = found.pairs


def test_a_picture_is_turned_as_one_sees_it(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(tmp_path / "a.jpg", exif=exif)
    assert Unannotated(tmp_path).image("a.jpg").size == (10, 20)


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match="There is no folder .*nowhere"):
        Unannotated(tmp_path / "nowhere")
    with pytest.raises(UserError, match="There is no picture"):
        Unannotated(tmp_path)
