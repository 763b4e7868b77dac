"""A folder of one's own pictures, with the pairs in a table: pairs.csv or pairs.json.

pairs.csv has a row a point, and a header with the names of its columns in any order:

    source,target,x,y,target_x,target_y,name,category,visible
    cats/tom.jpg,cats/mia.jpg,120,80,131.5,77,left eye,cat,1
    cats/tom.jpg,cats/mia.jpg,60,95,,,tail,cat,

    source, target       the pictures, as paths from the folder; the rows with the same two make a pair
    x, y                 the point in the source
    target_x, target_y   where it is in the target; empty, or both columns away: unknown, so it is found, not scored
    name                 of the point; else it has a number
    category             of the pair, the same in all its rows; else all pairs are of one
    visible              0 to leave a point out, else 1

pairs.json has the same as a list of pairs, of which the first three are needed; null is an unknown point:

    [{"source": "cats/tom.jpg", "target": "cats/mia.jpg", "points": [[120, 80], [60, 95]],
      "target_points": [[131.5, 77], null], "names": ["left eye", "tail"], "category": "cat",
      "source_box": [10, 20, 210, 180], "target_box": [0, 15, 190, 200]}]

Everything is in pixels of the picture as one sees it (turned as its EXIF says), x to the right, y down; the center of
the top-left pixel is (0.5, 0.5). A box is x0, y0, x1, y1 of the object. Files are in UTF-8, separated by commas.

A mistake in the table is for its author to mend, so it ends everything, with its line. A picture that is damaged costs
its pairs alone.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from sdcorr.datasets.base import Pair
from sdcorr.datasets.pictures import PictureFiles
from sdcorr.datasets.reading import gather, upright_size
from sdcorr.datasets.tables import NEEDED, Point, read_points
from sdcorr.errors import UserError
from sdcorr.images import read_image

SHOWN = 5  # mistakes that are told at once


class Folder(PictureFiles):
    """The pairs of a table, in the order in which they first appear; an image's key is its path from the folder.

    Args:
        root: the folder with the pictures.
        pairs: the table, a path from the folder or from where the program runs; else pairs.csv or pairs.json in it.

    Raises:
        UserError: with the first mistakes in the table, each with its place; or if no picture can be read.
    """

    name = "folder"
    split = "all"
    title = "the folder"

    def __init__(self, root: str | Path, pairs: str | None = None) -> None:
        self.folder = Path(root)
        path = _table(self.folder, pairs)
        points, mistakes = read_points(path)
        sizes, damaged = _sizes(self.folder, points, mistakes)
        _check(points, sizes, mistakes)
        if mistakes:
            more = f"; and {len(mistakes) - SHOWN} more" if len(mistakes) > SHOWN else ""
            number = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
            raise UserError(f"{path} has {number}: {'; '.join(mistakes[:SHOWN])}{more}: mend the table.")
        if not points:
            raise UserError(f"{path} has no point in it: give it at least one, with {', '.join(NEEDED)}.")
        by_pair: dict[tuple[str, str], list[Point]] = {}
        for point in points:
            by_pair.setdefault((point.source, point.target), []).append(point)

        def make(pictures: tuple[str, str]) -> Pair:
            for key in pictures:
                if key in damaged:
                    raise damaged[key]
            return _pair(by_pair[pictures], sizes)

        self.pairs, self.broken = gather(list(by_pair), make, _id, str(path))

    @property
    def identity(self) -> dict[str, str]:
        """What tells runs on this folder from runs on another one, whose pictures may have the same names."""
        return {"folder": str(self.folder.resolve())}

    def path(self, key: str) -> Path:
        """The file of that picture."""
        return self.folder / key

    def image(self, key: str) -> Image.Image:
        """The RGB image of that key, turned upright. Raises UserError if it is missing or cannot be read."""
        return ImageOps.exif_transpose(read_image(self.path(key)))


def _table(folder: Path, name: str | None) -> Path:
    """The path of the table with the pairs."""
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}: give dataset.root=PATH of the folder with your pictures.")
    if name is not None:
        for path in (folder / name, Path(name)):
            if path.is_file() and path.suffix.lower() in (".csv", ".json"):
                return path
        raise UserError(f"dataset.pairs={name} is no .csv or .json file in {folder} or here: check the path.")
    found = [path for path in (folder / "pairs.csv", folder / "pairs.json") if path.is_file()]
    if len(found) != 1:
        there = "neither pairs.csv nor pairs.json" if not found else "both pairs.csv and pairs.json"
        raise UserError(f"There is {there} in {folder}: say which table to use with dataset.pairs=FILE.")
    return found[0]


def _sizes(
    folder: Path, points: Sequence[Point], mistakes: list[str]
) -> tuple[dict[str, tuple[int, int]], dict[str, UserError]]:
    """(W, H) of all the pictures whose files begin as one, and why not of the others.

    For a picture that is not there a mistake is added, at the place where it is first named.
    """
    first: dict[str, str] = {}
    for point in points:
        first.setdefault(point.source, point.where)
        first.setdefault(point.target, point.where)
    sizes, damaged = {}, {}
    for key, where in first.items():
        if not os.path.isfile(folder / key):
            mistakes.append(f"{where}: there is no picture {key} in the folder")
            continue
        try:
            sizes[key] = upright_size(folder / key)
        except UserError as error:
            damaged[key] = error
    return sizes, damaged


def _check(points: Sequence[Point], sizes: Mapping[str, tuple[int, int]], mistakes: list[str]) -> None:
    """Adds what is wrong with points beside each other and beside their pictures."""
    pairs: dict[tuple[str, str], Point] = {}
    places: dict[tuple[str, str, float, float], Point] = {}
    for point in points:
        for key, (x, y) in ((point.source, point.place), (point.target, point.truth)):
            width, height = sizes.get(key, (math.inf, math.inf))
            if not math.isnan(x) and not (0 <= x <= width and 0 <= y <= height):
                mistakes.append(f"{point.where}: ({x:g}, {y:g}) is outside {key}, which is {width} x {height} pixels")
        if (earlier := places.setdefault((point.source, point.target, *point.place), point)) is not point:
            mistakes.append(f"{point.where} repeats the point of {earlier.where}")
        earlier = pairs.setdefault((point.source, point.target), point)
        for what in ("category", "source_box", "target_box"):
            if getattr(point, what) != getattr(earlier, what):
                mistakes.append(f"{point.where} has another {what} than {earlier.where}, which is of the same pair")


def _id(pictures: tuple[str, str]) -> str:
    return " -> ".join(pictures)


def _pair(points: Sequence[Point], sizes: Mapping[str, tuple[int, int]]) -> Pair:
    source, target = points[0].source, points[0].target
    return Pair(
        id=_id((source, target)),
        category=points[0].category or "all",
        source=source,
        target=target,
        source_size=sizes[source],
        target_size=sizes[target],
        source_points=np.array([point.place for point in points]),
        target_points=np.array([point.truth for point in points]),
        visible=np.array([point.visible for point in points]),
        names=tuple(point.name or str(number) for number, point in enumerate(points, start=1)),
        source_box=points[0].source_box,
        target_box=points[0].target_box,
    )
