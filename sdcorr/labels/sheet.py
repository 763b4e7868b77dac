"""A random sample of labels to look at: each a point in its source picture beside its match."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sdcorr.files import write_whole
from sdcorr.visualize.tiles import GAP, dotted

COLUMNS = 6  # pairs of pictures in a row
PAIRS = 36
POINTS = 6  # of a pair, at most


def write_sheet(folder: Path, labels: Sequence[dict[str, object]], image: Callable[[str], Image.Image]) -> None:
    """Draws some of the labels: pairs of pictures, drawn at random, with up to POINTS of their labels.

    Args:
        folder: of the labels; sheet.png is written there.
        labels: rows that are kept.
        image: reads a picture by its key.

    Raises:
        UserError: if it cannot be written.
    """
    of_pair: dict[tuple[object, object], list[dict[str, object]]] = {}
    for row in labels:
        of_pair.setdefault((row["source"], row["target"]), []).append(row)
    draws = np.random.default_rng(0)
    names = list(of_pair)
    chosen = [names[index] for index in sorted(draws.permutation(len(names))[:PAIRS])]
    tiles = [_tile(of_pair[name][:POINTS], image) for name in chosen]
    if not tiles:
        return
    height, width = (max(tile.shape[side] for tile in tiles) for side in (0, 1))
    rows = -(-len(tiles) // COLUMNS)
    sheet = np.full((rows * (height + 2 * GAP), COLUMNS * (width + 2 * GAP), 3), 255, np.uint8)
    for number, tile in enumerate(tiles):
        y, x = (step * (side + 2 * GAP) for step, side in zip(divmod(number, COLUMNS), (height, width), strict=True))
        sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "PNG")
    write_whole(folder / "sheet.png", file.getvalue())


def _tile(rows: Sequence[dict[str, object]], image: Callable[[str], Image.Image]) -> np.ndarray:
    """The two pictures of some labels beside each other; a point and its match have one color."""
    sides = [
        dotted(image(str(rows[0][side])), np.array([[row[f"{side}_x"], row[f"{side}_y"]] for row in rows], dtype=float))
        for side in ("source", "target")
    ]
    height = max(side.shape[0] for side in sides)
    padded = [np.pad(side, ((0, height - side.shape[0]), (0, GAP), (0, 0)), constant_values=255) for side in sides]
    return np.concatenate(padded, 1)
