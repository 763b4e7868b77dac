"""CUB-200-2011: birds with 15 named parts (Wah et al. 2011), in the two pair lists that papers use.

The unpacked archive is read as it is. Its text files are separated by spaces, without a header; an image is known by
its number (README of the archive):

    images.txt              image, path below images/
    image_class_labels.txt  image, class
    classes.txt             class, name such as 001.Black_footed_Albatross
    train_test_split.txt    image, 1 for training and 0 for test
    bounding_boxes.txt      image, x, y, width, height
    parts/parts.txt         part, name such as left eye
    parts/part_locs.txt     image, part, x, y, visible; 15 lines an image, 0.0 0.0 0 for a part that is not seen

Points and boxes are kept raw. Hedlin et al. use them so; ACSM and ASIC take the pixels for numbered from 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from pathlib import Path

import numpy as np

from sdcorr.datasets.asking import VISIBLE, check_ask, hidden_points
from sdcorr.datasets.base import Box, Pair
from sdcorr.datasets.pictures import PictureFiles
from sdcorr.datasets.reading import find_folder, gather, get_it, read_text, warn_of_totals
from sdcorr.errors import UserError
from sdcorr.images import image_size

CLASSES = ("1", "2", "3")  # Black-footed, Laysan and Sooty Albatross: the classes of both pair lists
SPLITS = {"test": "0", "train": "1"}  # what train_test_split.txt says of their images
PAIRINGS = {"hedlin": combinations, "acsm": permutations}
PUBLISHED = {"hedlin": 1248, "acsm": 2496}  # pairs of the test split, before ACSM's cleaning


@dataclass(frozen=True, eq=False)
class Bird:
    """What is annotated in one image, raw, in pixels of the image."""

    path: str  # below images/
    size: tuple[int, int]  # (W, H)
    box: Box
    points: np.ndarray  # (15, 2) float64
    visible: np.ndarray  # (15,) bool


class CUB(PictureFiles):
    """Pairs of birds of one class; an image's key is its path below `images/`.

    `pairs="hedlin"` are those of Hedlin et al.: of every class all unordered pairs, the image that images.txt lists
    first being the source. `pairs="acsm"` are all ordered pairs, as ACSM and ASIC take them; these two leave out images
    by a list of their own ("cleaned"), which is not part of the data set, so theirs are somewhat fewer. A pair without
    a part that is seen in both images is kept.

    Args:
        root: the folder CUB_200_2011, or the one that holds it.
        split: test or train.
        pairs: hedlin or acsm.
        ask: `visible`, or `all`: parts that are seen in the source alone as well.

    Raises:
        UserError: if there is no such split, list or way to ask, a file is missing or not in the format, or no
            pair can be read.
    """

    name = "cub"
    title = "CUB-200-2011"

    def __init__(self, root: str | Path, split: str = "test", pairs: str = "hedlin", ask: str = VISIBLE) -> None:
        check_ask(ask)
        for setting, value, known in (("split", split, SPLITS), ("pairs", pairs, PAIRINGS)):
            if value not in known:
                raise UserError(f"CUB has no dataset.{setting}={value}: choose one of {', '.join(known)}.")
        self.split = split
        self.folder = find_folder(root, ("CUB_200_2011",), _has_lists, self.title, self.name)
        self.expected = {"pairs": PUBLISHED[pairs]} if split == "test" else {}
        by_class = _images_of_classes(self.folder, split)
        chosen = [
            (category, source, target)
            for category, numbers in by_class.items()
            for source, target in PAIRINGS[pairs](numbers, 2)
        ]
        if not chosen:
            raise UserError(f"The lists in {self.folder} have no two {split} images of a class: {get_it(self.name)}.")
        paths = {number: path for images in by_class.values() for number, path in images.items()}
        birds = _Birds(self.folder, paths, ask)
        self.pairs, self.broken = gather(chosen, birds.pair, lambda item: f"{item[1]}-{item[2]}", self.title)
        warn_of_totals(self.title, split, len(chosen), self.expected)

    def path(self, key: str) -> Path:
        """The file of that picture."""
        return self.folder / "images" / key


def _has_lists(folder: Path) -> bool:
    return (folder / "images.txt").is_file()


def _images_of_classes(folder: Path, split: str) -> dict[str, dict[str, str]]:
    """Name of each of the classes -> number -> path of its images in the split, in the order of images.txt."""
    names, labels, used = (
        _Column(folder / f"{name}.txt") for name in ("classes", "image_class_labels", "train_test_split")
    )
    chosen: dict[str, dict[str, str]] = {names[label].split(".", 1)[-1]: {} for label in CLASSES}
    for number, path in _Column(folder / "images.txt").items():
        if used[number] == SPLITS[split] and labels[number] in CLASSES:
            chosen[names[labels[number]].split(".", 1)[-1]][number] = path
    return chosen


class _Birds:
    """The annotations of some images, given as number -> path."""

    def __init__(self, folder: Path, paths: Mapping[str, str], ask: str) -> None:
        self._ask = ask
        self.parts = _Column(folder / "parts" / "parts.txt")
        self._boxes = {number: (line, rest) for line, number, rest in _rows(folder / "bounding_boxes.txt")}
        self._places: dict[str, list[tuple[int, str]]] = {number: [] for number in paths}
        for line, number, rest in _rows(folder / "parts" / "part_locs.txt"):
            if number in paths:
                self._places[number].append((line, rest))
        self._folder = folder
        self._birds: dict[str, Bird | str] = {}  # or why it cannot be read
        for number, path in paths.items():
            try:
                size = image_size(folder / "images" / path)
                self._birds[number] = Bird(path, size, self._box(number), *self._points(number))
            except UserError as error:
                self._birds[number] = str(error)

    def pair(self, item: tuple[str, str, str]) -> Pair:
        """The pair of a category and the numbers of two images. Raises UserError if one of them cannot be read."""
        category, *numbers = item
        source, target = (self._bird(number) for number in numbers)
        names = tuple(self.parts.values())
        return Pair(
            id="-".join(numbers),
            category=category,
            source=source.path,
            target=target.path,
            source_size=source.size,
            target_size=target.size,
            source_points=source.points,
            target_points=target.points,
            visible=source.visible & target.visible,
            names=names,
            source_box=source.box,
            target_box=target.box,
            ambiguous=np.array([name.startswith(("left ", "right ")) for name in names]),
            hidden=hidden_points(self._ask, source.visible, target.visible),
        )

    def _bird(self, number: str) -> Bird:
        if isinstance(bird := self._birds[number], str):
            raise UserError(bird)
        return bird

    def _box(self, number: str) -> Box:
        if number not in self._boxes:
            raise UserError(f"bounding_boxes.txt has no line for image {number}: {get_it('cub')}.")
        line, rest = self._boxes[number]
        where = f"{self._folder / 'bounding_boxes.txt'}, line {line}"
        x, y, width, height = _numbers(where, rest, 4)
        if width <= 0 or height <= 0:
            raise UserError(f"{where} has a box of {width:g} x {height:g} pixels: {get_it('cub')}.")
        return x, y, x + width, y + height

    def _points(self, number: str) -> tuple[np.ndarray, np.ndarray]:
        """The parts of one image: points (15, 2) and whether they are visible (15,), in the order of parts.txt."""
        found: dict[str, Sequence[float]] = {}
        for line, rest in self._places[number]:
            where = f"{self._folder / 'parts' / 'part_locs.txt'}, line {line}"
            part, _, numbers = rest.partition(" ")
            if part not in self.parts or part in found:
                known = "a second line for" if part in found else "an unknown"
                raise UserError(f"{where} has {known} part {part} of image {number}: {get_it('cub')}.")
            found[part] = _numbers(where, numbers, 3)
        if len(found) < len(self.parts):
            raise UserError(
                f"part_locs.txt has {len(found)} of the {len(self.parts)} parts of image {number}: {get_it('cub')}."
            )
        table = np.array([found[part] for part in self.parts])  # (15, 3) x, y, visible
        return table[:, :2], table[:, 2] != 0


class _Column(dict[str, str]):
    """A table of two columns, number -> the rest of the line. Raises UserError for a number that it lacks."""

    def __init__(self, path: Path) -> None:
        super().__init__((number, rest) for _, number, rest in _rows(path))
        self._path = path

    def __missing__(self, number: str) -> str:
        raise UserError(f"{self._path} has no line for number {number}: {get_it('cub')}.")


def _numbers(where: str, text: str, count: int) -> list[float]:
    try:
        numbers = [float(word) for word in text.split()]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise UserError(f"{where} ends with {text!r} instead of {count} numbers: {get_it('cub')}.")
    return numbers


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """Of each line of a table where it is, from 1, the number that it starts with, and the rest."""
    for line, text in enumerate(read_text(path, "cub").splitlines(), start=1):
        number, _, rest = text.strip().partition(" ")
        if number:
            yield line, number, rest.strip()
