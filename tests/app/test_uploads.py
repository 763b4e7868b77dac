"""Pictures as strangers send them."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from sdcorr.app import uploads
from sdcorr.app.refusal import Refusal
from sdcorr.app.uploads import read_upload, shown
from sdcorr.pictures import read_request

LEFT_RED = np.zeros((20, 40, 3), np.uint8)
LEFT_RED[:, :20, 0] = 255  # red | black


def encoded(image: Image.Image, format: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A file of a few bytes whose header claims a size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


RGB = Image.fromarray(LEFT_RED)
FRAMES = [Image.new("RGB", (40, 20), color) for color in ("red", "blue")]
ODD = {
    "gray": (encoded(RGB.convert("L")), (76, 76, 76)),
    "palette": (encoded(RGB.convert("P", palette=Image.Palette.ADAPTIVE)), (255, 0, 0)),
    "transparent": (encoded(Image.new("RGBA", (40, 20), (0, 0, 255, 0))), (255, 255, 255)),
    "16 bits": (encoded(Image.fromarray(np.full((20, 40), 128 * 257, np.uint16))), (128, 128, 128)),
    "CMYK": (encoded(RGB.convert("CMYK"), "JPEG", quality=100), (255, 0, 0)),
    "GIF": (encoded(RGB.convert("P", palette=Image.Palette.ADAPTIVE), "GIF"), (255, 0, 0)),
    "a phone's": (encoded(FRAMES[0], "MPO", save_all=True, append_images=FRAMES[1:]), (254, 0, 0)),
    "WebP": (encoded(RGB, "WEBP", lossless=True), (255, 0, 0)),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_pictures_look_as_they_should(name: str) -> None:
    content, color = ODD[name]
    image = read_upload(content).image
    assert image.mode == "RGB" and image.size == (40, 20)
    assert np.abs(np.subtract(image.getpixel((4, 10)), color)).max() <= 6


def test_a_photograph_is_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter, clockwise: what is left in the file is on top
    image = read_upload(encoded(RGB, "JPEG", quality=100, exif=exif)).image
    assert image.size == (20, 40)
    assert image.getpixel((10, 4))[0] > 200 and image.getpixel((10, 35))[0] < 50


BAD = {
    "text": (b"#!/bin/sh\necho no picture", 415, "not a picture"),
    "empty": (b"", 415, "not a picture"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "not a picture"),
    "cut short": (encoded(Image.effect_noise((200, 200), 90))[:900], 422, "damaged"),
    "many pixels": (png_of_size(8000, 6000), 413, "40 million pixels"),
    "a bomb": (png_of_size(60000, 60000), 413, "40 million pixels"),
    "animated": (encoded(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), 422, "is animated"),
    "tiny": (encoded(Image.new("RGB", (1, 1))), 422, "1 x 1"),
    "many bytes": (bytes(uploads.MOST_BYTES + 1), 413, "20 MB"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_a_sentence(name: str) -> None:
    content, status, words = BAD[name]
    with pytest.raises(Refusal, match=words) as refused:
        read_upload(content)
    assert refused.value.status == status


def test_a_picture_has_the_command_lines_key(tmp_path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(RGB))
    path = str(tmp_path / "a.png")
    assert read_upload(encoded(RGB)).key == read_request(path, [[1, 1]], [path]).source.key


def test_large_pictures_are_shown_smaller() -> None:
    content, media_type = shown(Image.new("RGB", (4000, 2000)))
    assert Image.open(io.BytesIO(content)).size == (1600, 800) and media_type == "image/jpeg"
