"""A user's own pictures: what is asked for, and what is refused before any work."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdcorr.errors import UserError
from sdcorr.pictures import (
    check_points,
    claim_folder,
    name_picture,
    read_request,
)

IMAGE = Image.new("RGB", (40, 20), "red")


def test_a_request_from_files_images_and_arrays(tmp_path: Path) -> None:
    IMAGE.save(tmp_path / "a.png")
    asked = read_request(tmp_path / "a.png", [[1, 2]], [str(tmp_path / "a.png"), IMAGE, np.asarray(IMAGE)])
    assert len({asked.source.key, *(target.key for target in asked.targets)}) == 1  # named by its pixels alone
    assert asked.source.path == tmp_path / "a.png"
    assert [target.path.name for target in asked.targets] == ["a.png", "target", "target"]
    assert asked.points.tolist() == [[1, 2]]


def test_an_opened_file_keeps_its_name(tmp_path: Path) -> None:
    IMAGE.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:
        assert read_request(opened, [[1, 2]], [IMAGE]).source.path == tmp_path / "a.png"


def test_a_request_needs_a_target() -> None:
    with pytest.raises(UserError, match="There is no target"):
        read_request(IMAGE, [[1, 2]], [])


@pytest.mark.parametrize(
    "points",
    [
        [[1, 2], [40, 20]],
        ((1, 2), (40, 20)),
        np.array([[1, 2], [40, 20]], np.float32),
        [np.array([1, 2]), (np.int64(40), np.float32(20))],
    ],
)
def test_points_in_any_form(points) -> None:
    found = check_points(points, name_picture(IMAGE, "a.png"))
    assert found.dtype == np.float64 and found.tolist() == [[1, 2], [40, 20]]


@pytest.mark.parametrize(
    "points, complaint",
    [
        ([], "empty"),
        (np.zeros((0, 2)), "empty"),
        (7, "points=7 is not a list"),
        ("1,2", "is not a list"),
        (np.array([1.0, 2.0]), "Point 1, 1.0, is not a pair"),
        ([[1, 2], [3]], "Point 2"),
        ([[1, 2, 3]], "Point 1"),
        ([[1, "2"]], "Point 1"),
        ([[1, 2], [float("nan"), 2]], "Point 2, .*nan.*, is not a pair of numbers"),
        (np.array([[np.inf, 2]]), "Point 1"),
        ([[40.5, 2]], "Point 1, .*, is outside a.png, which is 40 x 20 pixels: give x from 0 to 40 and y from 0 to 20"),
        ([[1, -0.1]], "outside"),
    ],
)
def test_points_that_are_refused(points, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        check_points(points, name_picture(IMAGE, "a.png"))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"Cannot write to .*file.* choose another folder"):
        claim_folder(str(tmp_path / "file"))
    assert not list(claim_folder(str(tmp_path / "new" / "folder")).iterdir())
