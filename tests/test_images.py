import io
import struct
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from sdcorr.errors import UserError
from sdcorr.images import as_seen, image_size, image_to_tensor, read_image, read_picture, to_rgb, upright_size
from tests.pictures import GRAY, GRAY_ALPHA, RGB, png, tiff

GRAYS = np.array([[0, 1, 100, 200], [254, 255, 17, 128]], dtype=np.uint8)  # (2, 4) an 8-bit picture
COLORS = np.stack([GRAYS, GRAYS[::-1], GRAYS[:, ::-1]], axis=-1)  # (2, 4, 3)
FULL, BYTES = 257, 256  # what 8 bits are multiplied with to make them 16: all of the range, or a shift
WHITE = (255, 255, 255)


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


def written(path, content):
    path.write_bytes(content)
    return path


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
