"""What a search has found, to look at: the point that was asked for, then every hit with its place and cosine."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sdcorr.errors import UserError
from sdcorr.images import as_seen, read_image
from sdcorr.retrieval.index import Hit
from sdcorr.visualize.tiles import SIDE, dotted
from sdcorr.visualize.words import plain

COLUMNS = 6
LINE = 16  # pixels of a tile's words
GAP = 8
MOST_LETTERS = 34


def sheet(source: Image.Image, point: Sequence[float], hits: Sequence[Hit], pictures: Path) -> bytes:
    """The sheet as a PNG file's bytes.

    Args:
        source: the picture with the point.
        point: xy, pixels of it.
        hits: what was found.
        pictures: the folder of their pictures.
    """
    tiles = [_tile(source, point, "asked for")]
    for rank, hit in enumerate(hits, start=1):
        words = f"{rank}  {hit.cosine:.2f}  {plain(_end(hit.picture))}"
        try:
            tiles.append(_tile(read_image(pictures / hit.picture, as_seen), hit.point, words))
        except UserError:
            tiles.append(_tile(Image.new("RGB", (SIDE, SIDE), "lightgray"), None, f"{words} (gone)"))
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    across, down = SIDE + GAP, SIDE + LINE + GAP
    whole = Image.new("RGB", (columns * across + GAP, rows * down + GAP), "white")
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        whole.paste(tile, (GAP + column * across, GAP + row * down))
    file = io.BytesIO()
    whole.save(file, "PNG")
    return file.getvalue()


def _tile(image: Image.Image, point: Sequence[float] | None, words: str) -> Image.Image:
    tile = Image.new("RGB", (SIDE, SIDE + LINE), "white")
    points = np.zeros((0, 2)) if point is None else np.asarray([point], dtype=float)
    small = Image.fromarray(dotted(image, points))
    tile.paste(small, ((SIDE - small.width) // 2, LINE + (SIDE - small.height) // 2))
    ImageDraw.Draw(tile).text((0, 1), words, fill="black", font=ImageFont.load_default(11))
    return tile


def _end(name: str) -> str:
    """The end of a path, which tells more than its beginning."""
    return name if len(name) <= MOST_LETTERS else f"…{name[1 - MOST_LETTERS :]}"
