"""Pictures that are read: files, arrays and what users give, as RGB and as tensors."""

import io
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from sdcorr.errors import UserError
from sdcorr.images import as_seen, image_size, image_to_tensor, read_image, read_picture, upright_size
from tests.pictures import BYTES, COLORS, FULL, GRAYS, WHITE, written


class TestReadImage:
    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
    def test_any_mode_becomes_rgb(self, tmp_path, mode):
        path = tmp_path / "image.png"
        Image.new("RGB", (5, 3), (255, 0, 0)).convert(mode).save(path)
        image = read_image(path)
        assert image.mode == "RGB" and image.size == (5, 3)
        expected = (76, 76, 76) if mode == "L" else (255, 0, 0)
        assert image.getpixel((4, 2)) == expected

    @pytest.mark.parametrize("read", [read_image, image_size, upright_size, read_picture])
    def test_missing(self, tmp_path, read):
        with pytest.raises(UserError, match="There is no image .*nothing.png"):
            read(tmp_path / "nothing.png")

    @pytest.mark.parametrize("read", [read_image, image_size, upright_size, read_picture])
    def test_folder(self, tmp_path, read):
        with pytest.raises(UserError, match="is a folder, not an image"):
            read(tmp_path)

    def test_no_image(self, tmp_path):
        with pytest.raises(UserError, match="text.png is not an image .*save it as PNG or JPEG"):
            read_image(written(tmp_path / "text.png", b"no pixels here"))

    def test_empty(self, tmp_path):
        with pytest.raises(UserError, match="nothing.png is empty: copy it again"):
            read_image(written(tmp_path / "nothing.png", b""))

    def test_what_the_system_does_not_open(self, tmp_path):
        (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
        with pytest.raises(UserError, match=r"loop.png cannot be read \(Too many levels of symbolic links\)"):
            read_image(tmp_path / "loop.png")

    @pytest.mark.parametrize("suffix", ["png", "jpg"])
    def test_cut_short(self, tmp_path, suffix):
        path = tmp_path / f"cut.{suffix}"
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(UserError, match=f"cut.{suffix} is damaged"):
            read_image(path)

    @pytest.mark.parametrize("read", [read_image, image_size, upright_size])
    def test_more_pixels_than_pillow_reads(self, tmp_path, monkeypatch, read):
        Image.new("1", (40, 30)).save(tmp_path / "poster.png")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
        with pytest.raises(UserError) as caught:
            read(tmp_path / "poster.png")
        assert "poster.png has more than 1,000 pixels, the most that is read here: make it smaller" in str(caught.value)
        assert "damaged" not in str(caught.value)

    def test_a_large_photograph_is_no_attack(self, tmp_path, monkeypatch):
        Image.new("1", (40, 20)).save(tmp_path / "large.png")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
            assert read_image(tmp_path / "large.png").size == (40, 20)

    @pytest.mark.filterwarnings("ignore")  # of Pillow, about what it passes over
    @pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "tif", "bmp", "ppm"])
    def test_damage_of_any_kind_is_one_sentence(self, tmp_path, suffix):
        path, draws = tmp_path / f"torn.{suffix}", np.random.default_rng(0)
        Image.fromarray(COLORS).resize((24, 24)).save(path)
        whole = path.read_bytes()
        for _ in range(60):
            torn = bytearray(whole)
            for place in draws.integers(0, min(len(torn), 200), 4):
                torn[place] = draws.integers(256)
            path.write_bytes(torn)
            for read in (upright_size, lambda path: read_image(path, as_seen)):
                try:
                    read(path)
                except UserError as error:
                    assert "\n" not in str(error)


class TestPicture:
    def test_a_path_a_pillow_image_and_an_array_are_the_same(self, tmp_path):
        Image.fromarray(COLORS).save(tmp_path / "a.png")
        for given in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.open(tmp_path / "a.png"), COLORS):
            assert np.array_equal(np.asarray(read_picture(given)), COLORS)

    @pytest.mark.parametrize(
        "array, pixel",
        [
            (GRAYS, (100, 100, 100)),
            (GRAYS[..., None], (100, 100, 100)),
            (GRAYS.astype(np.uint16) * FULL, (100, 100, 100)),
            ((GRAYS.astype(np.uint16) * BYTES).astype(">u2"), (100, 100, 100)),
            (COLORS[::-1][::-1], (100, 17, 1)),
            (COLORS.astype(np.uint16) * FULL, (100, 17, 1)),
            (np.dstack([COLORS, np.zeros_like(GRAYS)]), WHITE),
            (torch.from_numpy(COLORS), (100, 17, 1)),
        ],
    )
    def test_arrays(self, array, pixel):
        seen = read_picture(array)
        assert seen.size == (4, 2) and seen.mode == "RGB" and seen.getpixel((2, 0)) == pixel

    @pytest.mark.parametrize(
        "array, words",
        [
            (GRAYS.astype(np.int32), "int32 has no fixed range"),
            (GRAYS > 3, "bool has no fixed range"),
            (np.zeros((3, 20, 30), np.uint8), r"shape \(3, 20, 30\) is no picture: give \(H, W\)"),
            (np.zeros((0, 5), np.uint8), r"shape \(0, 5\) is no picture"),
            (np.uint8(3), r"shape \(\) is no picture"),
            (None, "is no picture"),
        ],
    )
    def test_what_is_none(self, array, words):
        with pytest.raises(UserError, match=words):
            read_picture(array)

    def test_a_pillow_image_that_cannot_be_read(self, tmp_path):
        Image.fromarray(COLORS).resize((64, 64)).save(tmp_path / "a.png")
        (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:-40])
        with pytest.raises(UserError, match="The picture is damaged"):
            read_picture(Image.open(tmp_path / "a.png"))
        with pytest.raises(UserError, match="The picture has pixels without a fixed range"):
            read_picture(Image.new("F", (2, 2)))

    def test_an_image_in_memory_is_turned(self):
        exif = Image.Exif()
        exif[0x0112] = 6
        file = io.BytesIO()
        Image.new("RGB", (6, 4)).save(file, "JPEG", exif=exif)
        assert read_picture(Image.open(file)).size == (4, 6)


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
        with pytest.raises(UserError, match="without a fixed range"):
            read_picture(Image.new(mode, (5, 3)))

    @pytest.mark.parametrize(
        "pixels, complaint",
        [
            (np.zeros((3, 5, 2), np.uint8), r"shape \(3, 5, 2\)"),
            (np.zeros((1, 3, 5, 3), np.uint8), "shape"),
            (np.zeros((0, 5, 3), np.uint8), "shape"),
            (np.zeros((3, 5), np.int64), "int64 has no fixed range: give uint8, uint16, or floats"),
            (np.zeros((3, 5), bool), "bool"),
            (np.full((3, 5), np.nan), "from 0 to 1"),
            (np.full((3, 5), 255.0), "from 0 to 1"),
            (None, "no picture"),
        ],
    )
    def test_arrays_that_are_no_picture(self, pixels, complaint):
        with pytest.raises(UserError, match=complaint):
            read_picture(pixels)

    def test_a_file_that_was_opened_and_is_cut_short(self, tmp_path):
        path = tmp_path / "cut.png"
        Image.effect_noise((64, 64), 90).save(path)
        path.write_bytes(path.read_bytes()[:1000])
        with pytest.raises(UserError, match="The picture is damaged"):
            read_picture(Image.open(path))

    def test_home(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        Image.new("RGB", (5, 3)).save(tmp_path / "a.png")
        assert read_picture("~/a.png").size == (5, 3)

    @pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "I;16", "P"])
    def test_a_picture_that_nobody_looked_at(self, mode):
        with pytest.raises(UserError, match=f"the mode {mode} is not RGB: give sdcorr.read_picture"):
            image_to_tensor(Image.new(mode, (4, 4)), 2)
