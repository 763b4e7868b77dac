"""`sdcorr.match`: pictures of any form, taken as one sees them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sdcorr
from sdcorr.toybox.dataset import drawing

QUICK = ["method.steps=2", "method.restarts=1", "method.transfer_crops=1"]
POINTS = [[20, 20], [40.5, 30]]
SOURCE, TARGET = drawing("2/cat/0").image.copy(), drawing("2/cat/0/0").image
SOURCE.paste("white", (0, 0, 12, 8))  # where `transparent` hides something


@pytest.fixture(scope="module")
def expected() -> sdcorr.Match:
    return sdcorr.match(SOURCE, TARGET, POINTS, *QUICK)


def test_a_match(expected: sdcorr.Match) -> None:
    assert expected.points.shape == (2, 2) and expected.confidence.shape == (2,)
    assert (expected.points >= 0).all() and (expected.points <= TARGET.size).all()
    matcher = sdcorr.load(*QUICK)  # the same, step by step
    from sdcorr.pictures import name_picture

    keys = [name_picture(image, "").key for image in (SOURCE, TARGET)]
    embeddings = matcher.optimize(SOURCE, np.array(POINTS), keys[0])
    maps = matcher.transfer(TARGET, embeddings, np.array(POINTS), *keys)
    assert np.allclose(matcher.localize(maps, TARGET.size).points, expected.points, atol=1e-3)


def test_several_targets(expected: sdcorr.Match) -> None:
    wide = TARGET.resize((128, 64))
    found = sdcorr.match(SOURCE, [wide, TARGET], POINTS, *QUICK)
    assert len(found) == 2
    assert np.allclose(found[1].points, expected.points, atol=1e-3)
    assert (found[0].points <= (128, 64)).all()


def turned(tmp_path: Path) -> Path:
    """A file in which the picture lies on its side, with the note that it is to be turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    SOURCE.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    return tmp_path / "turned.png"


def transparent() -> Image.Image:
    """The picture, with other colors hidden where it is white."""
    pixels = np.dstack([np.asarray(SOURCE), np.full((64, 64), 255, np.uint8)])
    pixels[(pixels == 255).all(-1)] = (9, 200, 30, 0)
    return Image.fromarray(pixels)


FORMS = {
    "path": lambda folder: (SOURCE.save(folder / "a.png"), folder / "a.png")[1],
    "text": lambda folder: (SOURCE.save(folder / "a.png"), str(folder / "a.png"))[1],
    "turned": turned,
    "turned, opened": lambda folder: Image.open(turned(folder)),
    "RGBA": lambda folder: transparent(),
    "array": lambda folder: np.asarray(SOURCE),
    "array with alpha": lambda folder: np.asarray(transparent()),
    "16 bits": lambda folder: np.asarray(SOURCE).astype(np.uint16) * 257,
    "floats": lambda folder: np.asarray(SOURCE) / 255,
    "single floats": lambda folder: (np.asarray(SOURCE) / 255).astype(np.float32),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_in_any_form_is_the_same_picture(form: str, expected: sdcorr.Match, tmp_path: Path) -> None:
    found = sdcorr.match(FORMS[form](tmp_path), TARGET, POINTS, *QUICK)
    assert np.array_equal(found.points, expected.points)


def test_gray_in_any_form_is_the_same_picture(tmp_path: Path) -> None:
    gray = SOURCE.convert("L")
    deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    deep.save(tmp_path / "deep.png")
    forms = [gray, np.asarray(gray), deep, tmp_path / "deep.png", gray.convert("LA"), np.asarray(gray) / 255]
    first, *others = (sdcorr.match(form, TARGET, POINTS, *QUICK).points for form in forms)
    for points in others:
        assert np.array_equal(points, first)


@pytest.mark.parametrize(
    "call, complaint",
    [
        (("nowhere.png", TARGET, POINTS), "There is no image nowhere.png"),
        ((SOURCE, [], POINTS), "There is no target"),
        ((SOURCE, TARGET, [[64.5, 2]]), "outside source, which is 64 x 64 pixels"),
        ((SOURCE, TARGET, np.array([[np.nan, 2]])), "not a pair of numbers"),
        ((SOURCE, TARGET, POINTS, "method.restart=2"), "method.restart"),
        ((np.zeros((3, 64, 64), np.uint8), TARGET, POINTS), r"shape \(3, 64, 64\) is no picture: give \(H, W\)"),
        ((SOURCE, np.zeros((64, 64)) - 0.1, POINTS), "not from 0 to 1"),
    ],
)
def test_mistakes(call: tuple, complaint: str) -> None:
    with pytest.raises(sdcorr.UserError, match=complaint):
        sdcorr.match(*call)
