"""Pictures and maps as data URLs, as good as the room that is left for them allows."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from PIL import Image

from sdcorr.run.attention_maps import to_bytes

SMALL = 128  # pixels a side up to which a picture is kept as it is, for an enlarged one shows every loss
# longest side in pixels and quality of WebP, from the best to the smallest
PICTURES = ((SMALL, None), (320, 85), (320, 70), (320, 50), (256, 50), (256, 35), (192, 35), (128, 30))
MAPS = ((1, 60), (1, 30), (2, 50), (4, 50))  # by what the cells a side are divided, and quality
LONGEST = 16_383  # pixels a side that WebP can have
NO_PICTURE = "data:image/gif;base64,R0lGODlhAQABAIAAAJmZmQAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw=="  # one gray pixel


class Room:
    """Characters for a known number of things; what one of them leaves is shared by those after it."""

    def __init__(self, characters: float, things: int) -> None:
        self.left, self.things = characters, things
        self._first = 0  # what fitted last is likely to fit again, and trying takes time

    def fit(self, makers: Sequence[Callable[[], str | None]]) -> str:
        """The text of the first maker that has one and keeps to its share, or else of the last, the smallest.

        What is better than the one that fitted last by more than a step is not tried.
        """
        share = self.left / max(self.things, 1)
        number, text = self._first, makers[self._first]()
        while number + 1 < len(makers) and (text is None or len(text) > share):
            number += 1
            text = makers[number]()
        self._first = max(number - 1, 0)
        self.left, self.things = self.left - len(text or ""), self.things - 1
        return text or ""


def picture_url(image: Image.Image, room: Room) -> str:
    """A picture, made smaller if it is large; one that is small already keeps its pixels.

    Args:
        image: RGB, of any size.
        room: for pictures.
    """
    return room.fit([partial(_picture, image, *how) for how in PICTURES])


def maps_url(maps: np.ndarray, room: Room) -> str:
    """Maps as one gray picture, a row of tiles a point and a column a layer, each map over its own range.

    Args:
        maps: (P, L, k, k) float.
        room: for maps.
    """
    points, layers, cells, _ = maps.shape
    tiles = to_bytes(maps)[0].transpose(0, 2, 1, 3).reshape(points * cells, layers * cells)

    def made(divisor: int, quality: int) -> str:
        side = max(min(cells // divisor, LONGEST // max(points, layers)), 1)
        sheet = Image.fromarray(tiles)
        if side != cells:
            sheet = sheet.resize((layers * side, points * side), Image.Resampling.BOX)  # no tile mixes with the next
        return _url(sheet, quality)

    return room.fit([partial(made, *how) for how in MAPS])


def _picture(image: Image.Image, side: int, quality: int | None) -> str | None:
    if quality is None and max(image.size) > side:
        return None
    shrunk = image
    if max(image.size) > side:
        shrunk = image.copy()
        shrunk.thumbnail((side, side), Image.Resampling.LANCZOS)
    return _url(shrunk, quality)


def _url(image: Image.Image, quality: int | None) -> str:
    """Without loss if there is no quality."""
    file = io.BytesIO()
    image.save(file, format="WEBP", **({"lossless": True} if quality is None else {"quality": quality, "method": 2}))
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
