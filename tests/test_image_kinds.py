"""What the pixels of a picture of any kind mean: bits, ranges, transparency, colors."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from sdcorr.errors import UserError
from sdcorr.images import as_seen, read_image, to_rgb, upright_size
from tests.pictures import BYTES, COLORS, FULL, GRAY, GRAY_ALPHA, GRAYS, RGB, WHITE, png, tiff, written


def gray_files(times):
    """The 8-bit picture with 16 bits, in every format that has them."""
    big, little = ((GRAYS.astype(np.uint16) * times).astype(f"{order}u2") for order in "><")
    packed = io.BytesIO()
    Image.fromarray(little.astype(np.uint16)).save(packed, "TIFF", compression="tiff_lzw")
    return {
        "gray.png": png((4, 2), 16, GRAY, [row.tobytes() for row in big]),
        "little.tif": tiff((4, 2), 16, little.tobytes()),
        "big.tif": tiff((4, 2), 16, big.tobytes(), order=">"),
        "packed.tif": packed.getvalue(),
        "gray.pgm": b"P5 4 2 65535\n" + big.tobytes(),
    }


def color_files(times):
    big, little = ((COLORS.astype(np.uint16) * times).astype(f"{order}u2") for order in "><")
    return {
        "color.png": png((4, 2), 16, RGB, [row.tobytes() for row in big]),
        "little.tif": tiff((4, 2), 16, little.tobytes(), samples=3, photometric=2),
        "big.tif": tiff((4, 2), 16, big.tobytes(), samples=3, photometric=2, order=">"),
    }


class TestSixteenBits:
    @pytest.mark.parametrize("look", [to_rgb, as_seen])
    @pytest.mark.parametrize("times", [FULL, BYTES])
    @pytest.mark.parametrize("name", gray_files(FULL))
    def test_a_gray_copy_has_the_pixels_of_the_original(self, tmp_path, name, times, look):
        image = read_image(written(tmp_path / name, gray_files(times)[name]), look)
        assert np.array_equal(np.asarray(image), np.repeat(GRAYS[..., None], 3, axis=-1))

    @pytest.mark.parametrize("look", [to_rgb, as_seen])
    @pytest.mark.parametrize("times", [FULL, BYTES])
    @pytest.mark.parametrize("name", color_files(FULL))
    def test_so_has_a_copy_in_color(self, tmp_path, name, times, look):
        image = read_image(written(tmp_path / name, color_files(times)[name]), look)
        assert np.array_equal(np.asarray(image), COLORS)

    def test_a_tiff_whose_zero_is_white(self, tmp_path):
        inverted = (255 - GRAYS).astype("<u2") * FULL
        path = written(tmp_path / "white.tif", tiff((4, 2), 16, inverted.tobytes(), photometric=0))
        assert np.array_equal(np.asarray(read_image(path))[..., 0], GRAYS)

    def test_a_tiff_of_twelve_bits(self, tmp_path):
        content = tiff((4, 1), 12, bytes([0x00, 0x0F, 0xFF, 0x80, 0x06, 0x40]))  # 0x000 0xfff 0x800 0x640
        assert np.asarray(read_image(written(tmp_path / "twelve.tif", content)))[0, :, 0].tolist() == [0, 255, 128, 100]

    def test_gray_with_alpha(self, tmp_path):
        pixels = np.array([[100, 255], [0, 0], [100, 0]], dtype=">u2") * FULL
        path = written(tmp_path / "alpha.png", png((3, 1), 16, GRAY_ALPHA, [pixels.tobytes()]))
        assert np.asarray(read_image(path, as_seen))[0, :, 0].tolist() == [100, 255, 255]


class TestWithoutARange:
    @pytest.mark.parametrize("look", [to_rgb, as_seen])
    @pytest.mark.parametrize(
        "name, content, mode",
        [
            ("float.tif", tiff((2, 1), 32, np.array([0, 0.5], "<f4").tobytes(), sample_format=3), "F"),
            ("whole.tif", tiff((2, 1), 32, np.array([0, 9], "<u4").tobytes()), "I"),
            ("signed.tif", tiff((2, 1), 16, np.array([-5, 9], "<i2").tobytes(), sample_format=2), "I"),
            ("float.pfm", b"Pf\n2 1\n-1.0\n" + np.array([0, 0.5], "<f4").tobytes(), "F"),
        ],
    )
    def test_is_refused_and_not_called_damaged(self, tmp_path, name, content, mode, look):
        with pytest.raises(UserError) as caught:
            read_image(written(tmp_path / name, content), look)
        said = str(caught.value)
        assert f"{name} has pixels without a fixed range (mode {mode} of Pillow): save it with 8 bits" in said
        assert "damaged" not in said and "\n" not in said


class TestTransparency:
    @pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
    def test_of_a_channel_shows_white(self, tmp_path, suffix):
        image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
        image.putpixel((1, 0), (0, 0, 255, 0))  # blue, and not seen
        image.save(tmp_path / f"a.{suffix}", **({"lossless": True, "exact": True} if suffix == "webp" else {}))
        seen = read_image(tmp_path / f"a.{suffix}", as_seen)
        assert [seen.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), WHITE]

    def test_half_of_it_is_half_white(self):
        assert as_seen(Image.new("RGBA", (1, 1), (0, 0, 0, 128))).getpixel((0, 0)) == (127, 127, 127)
        assert as_seen(Image.new("LA", (1, 1), (0, 128))).getpixel((0, 0)) == (127, 127, 127)

    @pytest.mark.parametrize("suffix", ["png", "gif"])
    def test_of_a_palette(self, tmp_path, suffix):
        image = Image.new("P", (2, 1))
        image.putpalette([255, 0, 0, 0, 0, 255])
        image.putpixel((1, 0), 1)
        image.save(tmp_path / f"p.{suffix}", transparency=1)
        seen = read_image(tmp_path / f"p.{suffix}", as_seen)
        assert [seen.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), WHITE]

    @pytest.mark.parametrize(
        "depth, color, row, key, values",
        [
            (1, GRAY, bytes([0b01000000]), [1], [0, 255]),
            (2, GRAY, bytes([0b01100000]), [1], [255, 170]),
            (4, GRAY, bytes([0x9F]), [9], [255, 255]),
            (4, GRAY, bytes([0x90]), [9], [255, 0]),
            (8, GRAY, bytes([9, 10]), [9], [255, 10]),
            (16, GRAY, struct.pack(">HH", 40000, 10000), [40000], [255, 39]),
            (16, RGB, struct.pack(">6H", *[40000] * 3, *[10000] * 3), [40000] * 3, [255, 39]),
        ],
    )
    def test_of_one_color_at_any_depth(self, tmp_path, depth, color, row, key, values):
        content = png((2, 1), depth, color, [row], tRNS=struct.pack(f">{len(key)}H", *key))
        seen = read_image(written(tmp_path / "key.png", content), as_seen)
        assert np.asarray(seen)[0, :, 0].tolist() == values

    def test_is_left_alone_in_a_benchmark(self):
        assert to_rgb(Image.new("RGBA", (1, 1), (0, 0, 255, 0))).getpixel((0, 0)) == (0, 0, 255)


class TestKinds:
    @pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBX", "YCbCr", "HSV", "LAB", "CMYK"])
    def test_every_mode_without_alpha(self, mode):
        seen = as_seen(Image.new("RGB", (5, 3), (255, 255, 255)).convert(mode) if mode != "LAB" else _lab_white())
        assert seen.mode == "RGB" and seen.size == (5, 3) and min(seen.getpixel((4, 2))) >= 254

    @pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBA", "RGBa"])
    def test_every_mode_with_alpha(self, mode):
        assert as_seen(Image.new(mode, (5, 3))).getpixel((4, 2)) == WHITE  # nothing is to be seen

    def test_the_first_of_several_pictures(self, tmp_path):
        first, second = (Image.new("RGB", (4, 4), color) for color in ("red", "blue"))
        for name in ("a.gif", "a.webp", "a.png", "a.tif"):
            options = {"lossless": True} if name == "a.webp" else {}
            first.save(tmp_path / name, save_all=True, append_images=[second], **options)
            assert read_image(tmp_path / name, as_seen).getpixel((1, 1)) == (255, 0, 0), name

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("name", ["turned.jpg", "turned.png", "turned.webp", "turned.tif"])
    def test_turned_as_its_exif_says(self, tmp_path, name, orientation):
        image, exif = Image.new("L", (64, 32)), Image.Exif()
        image.paste(255, (0, 0, 32, 16))  # the top left quarter of what is stored
        exif[0x0112] = orientation
        image.convert("RGB").save(tmp_path / name, exif=exif)
        seen = read_image(tmp_path / name, as_seen)
        assert seen.size == upright_size(tmp_path / name) == ((32, 64) if orientation > 4 else (64, 32))
        quarters = np.asarray(seen.convert("L").resize((2, 2), Image.Resampling.BOX)) > 127
        row, column = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}[
            orientation
        ]
        assert quarters[row, column] and quarters.sum() == 1
        assert as_seen(seen).size == seen.size  # once is enough

    def test_exif_after_the_pixels_of_a_png(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 6
        content = png(
            (4, 2), 8, GRAY, [row.tobytes() for row in GRAYS], after_eXIf=exif.tobytes().removeprefix(b"Exif\0\0")
        )
        path = written(tmp_path / "late.png", content)
        assert upright_size(path) == read_image(path, as_seen).size == (2, 4)

    def test_no_orientation_at_all(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 0  # which occurs in CUB
        Image.new("RGB", (6, 4)).save(tmp_path / "zero.jpg", exif=exif)
        assert upright_size(tmp_path / "zero.jpg") == read_image(tmp_path / "zero.jpg", as_seen).size == (6, 4)


def _lab_white():
    return Image.merge("LAB", [Image.new("L", (5, 3), value) for value in (255, 128, 128)])
