import numpy as np
import pytest
from PIL import Image

from sdcorr.datasets.boxes import around, box_of_mask, foreground, impossible, impossible_of, read_mask
from sdcorr.errors import UserError
from tests.run.fakes import make_pair

SIZE = (100, 50)


class TestImpossible:
    @pytest.mark.parametrize(
        "box",
        [
            (0, 0, 100, 50),
            (0.5, 0.5, 1.5, 1.5),  # one pixel
            (-1, 10, 101, 51),  # as in CUB
            (-10, -5, 110, 55),  # an object that is cut off
            (99, 49, 105, 54),
        ],
    )
    def test_what_can_be(self, box):
        assert impossible(box, SIZE) == ""

    @pytest.mark.parametrize(
        "box, words",
        [
            ((0, 0, 1920, 1080), "goes beyond its picture of 100 x 50 pixels"),
            ((0, 0, 200, 40), "goes beyond"),
            ((-60, 0, 50, 40), "goes beyond"),
            ((10, 10, 20, 60), "goes beyond"),
            ((100, 10, 120, 20), "lies outside its picture of 100 x 50 pixels"),
            ((10, 50, 20, 53), "lies outside"),
            ((-8, 10, 0, 20), "lies outside"),
            ((10, -4, 20, -1), "lies outside"),
            ((500, 500, 600, 600), "lies outside"),
            ((10, 10, 10 + 1e-9, 20), "is less than a pixel"),
            ((0.1, 0.2, 0.6, 0.9), "is less than a pixel"),  # shares of the picture
            ((20, 10, 10, 20), "is [20, 10, 10, 20], which is not x0, y0, x1, y1 with x0 < x1 and y0 < y1"),
            ((10, 10, 10, 20), "x0 < x1"),
            ((0, 0, float("nan"), 20), "are not four numbers"),
            ((0, 0, float("inf"), 20), "are not four numbers"),
        ],
    )
    def test_what_cannot(self, box, words):
        assert words in impossible(box, SIZE)

    def test_a_small_picture_s_box_may_leave_it_by_a_pixel(self):
        assert impossible((-1, 0, 9, 5), (8, 4)) == "" and "beyond" in impossible((-1.1, 0, 8, 4), (8, 4))

    def test_both_boxes_of_a_pair(self):
        assert impossible_of(make_pair()) == impossible_of(make_pair(source_box=None, target_box=None)) == ""
        assert impossible_of(make_pair(target_box=(0, 0, 800, 900))).startswith(
            "The box of the target is [0, 0, 800, 900]"
        )
        assert "source" in impossible_of(make_pair(source_box=(5, 5, 5.5, 9)))


def mask_in(mode):
    """The block from (2, 1) to (5, 3) of a picture of 8 x 4, as a mask of that mode."""
    block = np.zeros((4, 8), np.uint8)
    block[1:3, 2:5] = 1
    if mode in ("LA", "RGBA"):  # opaque there; the colors are the photograph's
        colors = np.full((4, 8, len(mode) - 1), 77, np.uint8)
        return Image.fromarray(np.dstack([colors, block * 200]))
    if mode == "RGB":
        return Image.fromarray(np.dstack([block * 0, block * 3, block * 0]))
    if mode == "I;16":
        return Image.fromarray(block.astype(np.uint16) * 256)
    image = Image.fromarray(block if mode in ("L", "P") else block * 255)
    if mode == "P":
        image.putpalette([255, 255, 255, 0, 0, 0])  # the object is black on white
    return image if mode in ("L", "P") else image.convert(mode)


class TestMasks:
    @pytest.mark.parametrize("mode", ["1", "L", "P", "I;16", "RGB", "LA", "RGBA"])
    def test_not_zero_in_every_mode(self, tmp_path, mode):
        mask_in(mode).save(tmp_path / "mask.png")
        assert box_of_mask(tmp_path / "mask.png", (8, 4)) == (2, 1, 5, 3)
        assert read_mask(tmp_path / "mask.png").sum() == 6

    def test_colors_count_where_alpha_is_the_same_everywhere(self, tmp_path):
        mask_in("RGB").convert("RGBA").save(tmp_path / "mask.png")
        assert box_of_mask(tmp_path / "mask.png", (8, 4)) == (2, 1, 5, 3)

    def test_a_mask_is_turned_as_its_picture_is(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 6  # clockwise: (x, y) of 8 x 4 becomes (4 - y, x)
        mask_in("L").save(tmp_path / "mask.png", exif=exif)
        assert box_of_mask(tmp_path / "mask.png", (4, 8)) == (1, 2, 3, 5)

    def test_around_the_whole(self):
        assert around(np.ones((3, 5), bool)) == (0, 0, 5, 3)

    @pytest.mark.parametrize(
        "make, name, words",
        [
            (lambda: mask_in("L"), "mask.jpg", "mask.jpg is no PNG, and other formats blur its edge"),
            (lambda: mask_in("L").resize((16, 8)), "mask.png", "has 16 x 8 pixels and its picture 8 x 4"),
            (lambda: Image.new("L", (8, 4)), "mask.png", "is zero everywhere"),
            (lambda: Image.new("L", (8, 4), 2), "mask.png", "is zero nowhere: the background must be 0"),
        ],
    )
    def test_what_is_none(self, tmp_path, make, name, words):
        make().save(tmp_path / name)
        with pytest.raises(UserError, match=words):
            box_of_mask(tmp_path / name, (8, 4))

    def test_one_that_is_not_there(self, tmp_path):
        with pytest.raises(UserError, match="There is no image .*none.png"):
            box_of_mask(tmp_path / "none.png", (8, 4))

    def test_foreground_is_a_picture_of_two_values(self):
        assert set(np.unique(np.asarray(foreground(mask_in("L"))))) == {0, 255}
