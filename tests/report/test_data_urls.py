import base64
import io

import numpy as np
import pytest
from PIL import Image

from sdcorr.report.data_urls import Room, maps_url, picture_url

DRAWS = np.random.default_rng(0)


def decoded(url: str) -> Image.Image:
    head, _, data = url.partition(",")
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(DRAWS.integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_a_small_picture_keeps_its_pixels_and_a_large_one_is_shrunk() -> None:
    small = noise(64, 48)
    assert np.array_equal(np.asarray(decoded(picture_url(small, Room(1e6, 1)))), np.asarray(small))
    assert decoded(picture_url(noise(500, 250), Room(1e6, 1))).size == (320, 160)


@pytest.mark.parametrize("share", [6_000, 12_000, 60_000])
def test_pictures_keep_to_the_room_that_there_is(share: int) -> None:
    pictures = [noise(200, 150).resize((500, 375), Image.Resampling.BICUBIC) for _ in range(10)]
    room = Room(10 * share, 10)
    urls = [picture_url(picture, room) for picture in pictures]
    assert sum(map(len, urls)) <= 10 * share and room.left >= 0
    assert sum(map(len, urls)) > 0.3 * min(10 * share, 300_000), "room was left that a better picture could have had"


def test_what_one_leaves_is_for_those_after_it() -> None:
    room = Room(30, 3)
    assert room.fit([lambda: "x" * 4, lambda: "y"]) == "x" * 4
    assert room.fit([lambda: "x" * 13, lambda: "y"]) == "x" * 13  # (30 - 4) / 2
    assert room.fit([lambda: "x" * 14, lambda: None, lambda: "y" * 20]) == "y" * 20  # the last, whatever it is


def test_maps_are_tiles_each_over_its_own_range() -> None:
    ramp = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4).repeat(8, 0).repeat(8, 1)  # (32, 32)
    maps = np.stack([[ramp, 1e-6 * ramp.T], [5 - ramp, np.full_like(ramp, 0.3)], [ramp, ramp]])  # (3, 2, 32, 32)
    sheet = np.asarray(decoded(maps_url(maps, Room(1e6, 1))).convert("L")).astype(float)
    tiles = sheet.reshape(3, 32, 2, 32).swapaxes(1, 2)
    for point, layer, wanted in ((0, 0, ramp), (0, 1, ramp.T), (1, 0, 1 - ramp), (1, 1, 0 * ramp)):
        assert np.abs(tiles[point, layer] - 255 * wanted).mean() < 6
    tight = decoded(maps_url(maps, Room(10, 1)))
    assert tight.size == (2 * 8, 3 * 8)  # fewer cells where there is no room
