import numpy as np
import pytest
import torch
from PIL import Image

from sdcorr.errors import UserError
from sdcorr.images import image_to_tensor, read_image, read_picture


class TestReadImage:
    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
    def test_any_mode_becomes_rgb(self, tmp_path, mode):
        path = tmp_path / "image.png"
        Image.new("RGB", (5, 3), (255, 0, 0)).convert(mode).save(path)
        image = read_image(path)
        assert image.mode == "RGB" and image.size == (5, 3)
        expected = (76, 76, 76) if mode == "L" else (255, 0, 0)
        assert image.getpixel((4, 2)) == expected

    def test_missing(self, tmp_path):
        with pytest.raises(UserError, match="There is no image .*nothing.png"):
            read_image(tmp_path / "nothing.png")

    def test_folder(self, tmp_path):
        with pytest.raises(UserError, match="is a folder, not an image"):
            read_image(tmp_path)

    def test_no_image(self, tmp_path):
        path = tmp_path / "text.png"
        path.write_text("no pixels here")
        with pytest.raises(UserError, match="text.png is not an image"):
            read_image(path)

    @pytest.mark.parametrize("suffix", ["png", "jpg"])
    def test_cut_short(self, tmp_path, suffix):
        path = tmp_path / f"cut.{suffix}"
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(UserError, match=f"cut.{suffix} is damaged"):
            read_image(path)


class TestImageToTensor:
    def test_values_and_axes(self):
        image = Image.new("RGB", (2, 2))
        image.putpixel((1, 0), (255, 51, 0))  # right of the top row
        tensor = image_to_tensor(image, 2)
        assert tensor.dtype == torch.float32
        assert tensor[:, 0, 1].tolist() == pytest.approx([1, 0.2, 0])
        assert tensor.sum().item() == pytest.approx(1.2)

    @pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16"])
    def test_another_mode_is_answered_with_what_to_do(self, mode):
        with pytest.raises(UserError, match=r"read_picture"):
            image_to_tensor(Image.new(mode, (4, 4)), 4)

    def test_is_squashed_to_a_square(self):
        image = Image.new("RGB", (8, 2))
        image.paste((255, 255, 255), (0, 0, 4, 2))  # the left half
        tensor = image_to_tensor(image, 4)
        assert tensor.shape == (3, 4, 4)
        assert tensor[0, :, 0].tolist() == [1] * 4 and tensor[0, :, 3].tolist() == [0] * 4


class TestReadPicture:
    """All forms of one picture: tests/test_api.py."""

    @pytest.mark.parametrize(
        "pixels, expected",
        [
            (np.full((3, 5), 65535, np.uint16), (255, 255, 255)),
            (np.full((3, 5, 3), 257, np.uint16), (1, 1, 1)),
            (np.full((3, 5, 3), 0.5), (128, 128, 128)),
            (np.full((3, 5), 0.999, np.float16), (255, 255, 255)),
            (np.full((3, 5, 4), [255, 0, 0, 51], np.uint8), (255, 204, 204)),  # a fifth of red on white
            (np.full((5, 3, 3), [1, 2, 3], np.uint8).transpose(1, 0, 2), (1, 2, 3)),
        ],
    )
    def test_arrays(self, pixels, expected):
        image = read_picture(pixels)
        assert image.mode == "RGB" and image.size == (5, 3) and image.getpixel((4, 2)) == expected

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "I;16"])
    def test_every_mode_of_pillow_that_has_a_range(self, mode):
        image = read_picture(Image.new(mode, (5, 3)))
        assert image.mode == "RGB" and image.size == (5, 3)

    @pytest.mark.parametrize("mode", ["I", "F"])
    def test_pixels_without_a_range(self, mode):
        with pytest.raises(UserError, match="32 bits"):
            read_picture(Image.new(mode, (5, 3)))

    @pytest.mark.parametrize(
        "pixels, complaint",
        [
            (np.zeros((3, 5, 2), np.uint8), r"shape \(3, 5, 2\)"),
            (np.zeros((1, 3, 5, 3), np.uint8), "shape"),
            (np.zeros((0, 5, 3), np.uint8), "shape"),
            (np.zeros((3, 5), np.int64), "int64, not of uint8, uint16 or floats"),
            (np.zeros((3, 5), bool), "bool"),
            (np.full((3, 5), np.nan), "from 0 to 1"),
            (np.full((3, 5), 255.0), "from 0 to 1"),
            (None, "shape"),
        ],
    )
    def test_arrays_that_are_no_picture(self, pixels, complaint):
        with pytest.raises(UserError, match=f"This picture cannot be used .*{complaint}"):
            read_picture(pixels)

    def test_a_file_that_was_opened_and_is_cut_short(self, tmp_path):
        path = tmp_path / "cut.png"
        Image.effect_noise((64, 64), 90).save(path)
        path.write_bytes(path.read_bytes()[:1000])
        with pytest.raises(UserError, match="This picture cannot be used"):
            read_picture(Image.open(path))

    def test_home(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        Image.new("RGB", (5, 3)).save(tmp_path / "a.png")
        assert read_picture("~/a.png").size == (5, 3)
