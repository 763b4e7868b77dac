"""A folder of one's own pictures, with the pairs in a table: pairs.csv or pairs.json.

pairs.csv has one row per point, and a header with the names of its columns in any order:

    source,target,x,y,target_x,target_y,name,category,visible,source_mask,target_mask
    cats/tom.jpg,cats/mia.jpg,120,80,131.5,77,left eye,cat,1,,masks/mia.png
    cats/tom.jpg,cats/mia.jpg,60,95,,,tail,cat,,,masks/mia.png

    source, target            the pictures, as paths from the folder; the rows with the same two make a pair
    x, y                      the point in the source
    target_x, target_y        where it is in the target; empty, or no such columns: unknown, so it is found, not scored;
                              with `dataset.ask=all` an empty one says that the target does not show the point
    name                      of the point; else it has a number
    category                  of the pair, the same in all its rows; else all pairs are of one
    visible                   0 to leave a point out, whose places are then not looked at; else 1 or 2
    source_mask, target_mask  PNGs of the pictures' sizes that are 0 round the object: its box is that of the rest

pairs.json has the same as a list of pairs, of which the first three are needed; null is an unknown point:

    [{"source": "cats/tom.jpg", "target": "cats/mia.jpg", "points": [[120, 80], [60, 95]],
      "target_points": [[131.5, 77], null], "names": ["left eye", "tail"], "visible": [1, 1], "category": "cat",
      "source_box": [10, 20, 210, 180], "target_box": [0, 15, 190, 200]}]

in which masks can stand in place of boxes. Or it is a JSON of COCO with key-points, from which pairs are made by the
rule of `sdcorr.datasets.coco`: all, or `per_category` of each category.

Everything is in pixels of the picture as one sees it (turned as its EXIF says), x to the right, y down; the center of
the top-left pixel is (0.5, 0.5). A box is x0, y0, x1, y1 of the object, which PCK takes its thresholds from; without a
box they come from the picture. Files are in UTF-8, separated by commas.

A mistake in the table is for its author to mend, so it ends everything, with its line. A picture that is damaged costs
its pairs alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sdcorr.datasets import coco
from sdcorr.datasets.asking import ALL, VISIBLE, check_ask
from sdcorr.datasets.base import Box, Pair
from sdcorr.datasets.boxes import box_of_mask, impossible
from sdcorr.datasets.lookup import Pictures
from sdcorr.datasets.pictures import PictureFiles
from sdcorr.datasets.reading import Broken, Once, gather
from sdcorr.datasets.tables import BOXES, MASKS, NEEDED, Point, csv_points, json_points, read_text
from sdcorr.errors import UserError
from sdcorr.files import readable
from sdcorr.images import as_seen, read_image
from sdcorr.strict_json import loads

TABLE = "pairs"  # .csv or .json, where no other is named
SHOWN = 5  # mistakes that are told at once


class Folder(PictureFiles):
    """The pairs of a table, in the order in which they first appear; an image's key is its path from the folder.

    Args:
        root: the folder with the pictures.
        pairs: the table, a path from the folder or from where the program runs; else pairs.csv or pairs.json in it.
        per_category: how many pairs are drawn of each category of a JSON of COCO; None for all.
        seed: of these draws.
        ask: `visible`, or `all`: a point without a place in the target is then one that the target does not show, and
            none whose place is unknown.

    Raises:
        UserError: with the first mistakes in the table, each with its place; or if no picture can be read.
    """

    name = "folder"
    split = "all"
    title = "the folder"

    def __init__(
        self,
        root: str | Path,
        pairs: str | None = None,
        per_category: int | None = None,
        seed: int = 0,
        ask: str = VISIBLE,
    ) -> None:
        check_ask(ask)
        self.folder = Path(root)
        self._table = path = _table(self.folder, pairs)
        self._pictures = Pictures(self.folder)
        text = read_text(path)
        plain: Any = _plain(path, text) if path.suffix.lower() == ".json" else None
        if coco.is_coco(plain):
            self.pairs, self.broken = _of_coco(path, plain, self._pictures, per_category, seed, ask)
        elif per_category is not None:
            raise UserError(f"dataset.per_category is for a JSON of COCO, and {path} lists its pairs: leave it away.")
        else:
            found = csv_points(path.name, text) if plain is None else json_points(path.name, plain)
            self.pairs, self.broken = _of_table(path, *found, self._pictures, ask)
        _warn_of_boxes(self.pairs)

    @property
    def identity(self) -> dict[str, str]:
        """What tells runs on this folder from runs on another one, whose pictures may have the same names."""
        return {"folder": str(self.folder.resolve())}

    @property
    def called(self) -> str:
        """By the folder's name, and by the table's if that is not the usual one."""
        names = [self.folder.resolve().name, *([] if self._table.stem == TABLE else [self._table.stem])]
        return "-".join([self.name, *(filter(None, map(readable, names)))])

    def path(self, key: str) -> Path:
        """The file of that picture."""
        return self.folder / key

    def image(self, key: str) -> Image.Image:
        """The picture of that key as one sees it.

        Raises:
            UserError: if it is missing, cannot be read, or has another size than when the table was checked.
        """
        image = read_image(self._pictures.path(key), as_seen)
        size = self._pictures.sizes.get(key, image.size)
        if image.size != size:
            raise UserError(
                f"{self._pictures.path(key)} has {image.size[0]} x {image.size[1]} pixels, and had {size[0]} x "
                f"{size[1]} when its points were checked: run the same command again."
            )
        return image


def _table(folder: Path, name: str | None) -> Path:
    """The path of the table with the pairs."""
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}: give dataset.root=PATH of the folder with your pictures.")
    if name is not None:
        for path in (folder / name, Path(name)):
            if path.is_file() and path.suffix.lower() in (".csv", ".json"):
                return path
        raise UserError(f"dataset.pairs={name} is no .csv or .json file in {folder} or here: check the path.")
    found = [path for path in (folder / f"{TABLE}.csv", folder / f"{TABLE}.json") if path.is_file()]
    if len(found) != 1:
        there = "neither pairs.csv nor pairs.json" if not found else "both pairs.csv and pairs.json"
        raise UserError(f"There is {there} in {folder}: say which table to use with dataset.pairs=FILE.")
    return found[0]


def _plain(path: Path, text: str) -> Any:
    """What a JSON table says, a list of pairs or a JSON of COCO."""
    try:
        plain = loads(text, path.name)
    except ValueError as error:
        raise _of_mistakes(path, [str(error)]) from None
    if not isinstance(plain, list) and not coco.is_coco(plain):
        lists = ", ".join(coco.LISTS)
        raise _of_mistakes(path, [f"{path.name} is not a list of pairs, nor one of COCO with the lists {lists}"])
    return plain


def _of_coco(
    path: Path, plain: dict[str, Any], pictures: Pictures, per_category: int | None, seed: int, ask: str
) -> tuple[tuple[Pair, ...], Broken]:
    objects, mistakes, left_out = coco.read_objects(path.name, plain)
    chosen = coco.choose(objects, per_category, seed) if not mistakes else []
    keys = {each: pictures.key(each.file) for each in dict.fromkeys(each for pair in chosen for each in pair)}
    for each, key in keys.items():
        if missing := pictures.look(key):
            mistakes.append(f"{each.where}: {missing}")
        elif key in pictures.sizes:
            mistakes += coco.faults(each, pictures.sizes[key])
    if mistakes:
        raise _of_mistakes(path, list(dict.fromkeys(mistakes)))
    if left_out:
        warnings.warn(f"Of the objects in {path} these are left out: {left_out}.", stacklevel=3)

    def id_of(pair: tuple[coco.Annotated, coco.Annotated]) -> str:
        return f"{_id([keys[each] for each in pair])}:{pair[0].category}"  # two pictures may have more than one

    def make(pair: tuple[coco.Annotated, coco.Annotated]) -> Pair:
        both = [keys[each] for each in pair]
        return coco.pair_of(id_of(pair), *pair, both, [pictures.size(key) for key in both], ask)

    return gather(chosen, make, id_of, str(path))


def _of_table(
    path: Path, written: Sequence[Point], mistakes: list[str], pictures: Pictures, ask: str
) -> tuple[tuple[Pair, ...], Broken]:
    points = [replace(each, source=pictures.key(each.source), target=pictures.key(each.target)) for each in written]
    first: dict[str, str] = {}
    by_pair: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        by_pair.setdefault((point.source, point.target), []).append(point)
        for key in (point.source, point.target):
            first.setdefault(key, point.where)
    for key, where in first.items():
        if missing := pictures.look(key):
            mistakes.append(f"{where}: {missing}")

    def box_of(mask: tuple[str, tuple[int, int]]) -> Box:
        return box_of_mask(pictures.path(pictures.key(mask[0])), mask[1])

    boxes = Once(box_of)
    of_pairs = {both: _check(members, pictures, boxes, mistakes) for both, members in by_pair.items()}
    if mistakes:
        raise _of_mistakes(path, mistakes)
    if not points:
        raise UserError(f"{path} has no point in it: give it at least one, with {', '.join(NEEDED)}.")
    return gather(
        list(by_pair),
        lambda both: _pair(by_pair[both], [pictures.size(key) for key in both], of_pairs[both], ask),
        _id,
        str(path),
    )


def _check(
    points: Sequence[Point], pictures: Pictures, boxes: Once[tuple[str, tuple[int, int]], Box], mistakes: list[str]
) -> tuple[Box | None, Box | None]:
    """Adds what is wrong with the points of a pair, beside each other and in their pictures; its boxes."""
    start = points[0]
    sizes = [pictures.sizes.get(key) for key in (start.source, start.target)]
    places: dict[tuple[float, float], Point] = {}
    for point in points:
        mistakes += [
            f"{point.where} has another {what} than {start.where}, which is of the same pair"
            for what in ("category", *BOXES, *MASKS)
            if getattr(point, what) != getattr(start, what)
        ]
        if not point.visible:
            continue
        for key, size, (x, y) in zip((point.source, point.target), sizes, (point.place, point.truth), strict=True):
            if size and not (0 <= x <= size[0] and 0 <= y <= size[1]) and x == x:
                mistakes.append(
                    f"{point.where}: ({x:g}, {y:g}) is outside {key}, which is {size[0]} x {size[1]} pixels"
                )
        if (earlier := places.setdefault(point.place, point)) is not point:
            mistakes.append(f"{point.where} repeats the point of {earlier.where}")
    found: list[Box | None] = []
    for side, size in zip(("source", "target"), sizes, strict=True):
        box, mask = getattr(start, f"{side}_box"), getattr(start, f"{side}_mask")
        try:
            if box and mask:
                raise UserError(f"there are both a {side}_box and a {side}_mask: leave one away")
            box = boxes[mask, size] if mask and size else box
        except UserError as error:
            mistakes.append(f"{start.where}: {str(error).removesuffix('.')}")
        if box and size and (wrong := impossible(box, size)):
            mistakes.append(f"{start.where.partition(', point')[0]}: {side}_box {wrong}")
        found.append(box)
    return found[0], found[1]


def _of_mistakes(path: Path, mistakes: Sequence[str]) -> UserError:
    more = f"; and {len(mistakes) - SHOWN} more" if len(mistakes) > SHOWN else ""
    number = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    return UserError(f"{path} has {number}: {'; '.join(mistakes[:SHOWN])}{more}: mend the table.")


def _warn_of_boxes(pairs: Sequence[Pair]) -> None:
    """Says so if the thresholds of PCK are shares of boxes in some pairs and of whole pictures in others."""
    boxed = sum(pair.target_box is not None for pair in pairs)
    if 0 < boxed < len(pairs):
        warnings.warn(
            f"The target's box is known in {boxed:,} of {len(pairs):,} pairs: there PCK's threshold is a share of the "
            "box, and in the others of the whole picture, so that the scores of the two kinds mean different things.",
            stacklevel=3,
        )


def _id(keys: Sequence[str]) -> str:
    """`source -> target`, in quotes where a name has an arrow in it, so that no two pairs have the same."""
    return " -> ".join(repr(key) if "->" in key else key for key in keys)


def _pair(points: Sequence[Point], sizes: Sequence[tuple[int, int]], boxes: Sequence[Box | None], ask: str) -> Pair:
    keys = points[0].source, points[0].target
    asked, truths = np.array([point.visible for point in points]), np.array([point.truth for point in points])
    hidden = asked & np.isnan(truths).any(axis=1) if ask == ALL else None
    return Pair(
        id=_id(keys),
        category=points[0].category or "all",
        source=keys[0],
        target=keys[1],
        source_size=sizes[0],
        target_size=sizes[1],
        source_points=np.array([point.place for point in points]),
        target_points=truths,
        visible=asked if hidden is None else asked & ~hidden,
        names=tuple(point.name or str(number) for number, point in enumerate(points, start=1)),
        source_box=boxes[0],
        target_box=boxes[1],
        hidden=hidden,
    )
