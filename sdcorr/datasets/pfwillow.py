"""PF-Willow (Ham et al. 2016): 100 photographs of 10 classes, 900 ordered pairs, a test split only.

    <folder>/<class>/<name>.png        the classes in CLASSES, parentheses and all; the folder is one of FOLDERS
    <folder>/<class>/<name>.mat        pts_coord (2, 10): x and y of ten points
    test_pairs.csv                     or test_pairs_pf.csv, in the folder or beside it: a header, then a row a pair

A row has 42 columns, read by position: both images as `PF-dataset/<class>/<name>.png`, then x of ten points of the
first, y of them, x of the second's, y of them. Without a list it is made of the .mat files, in the same order: class by
class all ordered pairs of its images, sorted by name. All ten points are seen in both images; there are no boxes.
Points are kept as they are written, pixels of the original png. MATLAB wrote them, so they nominally count from 1:
weakalign subtracts one, the code that the paper's numbers come from does not.
"""

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from sdcorr.datasets.base import Pair
from sdcorr.datasets.matfile import read_mat
from sdcorr.datasets.pictures import PictureFiles
from sdcorr.datasets.reading import Once, Row, find_file, find_folder, gather, get_it, read_rows, warn_of_totals
from sdcorr.errors import UserError
from sdcorr.images import image_size

CLASSES = (
    *("car(G)", "car(M)", "car(S)", "duck(S)", "motorbike(G)", "motorbike(M)", "motorbike(S)"),
    *("winebottle(M)", "winebottle(wC)", "winebottle(woC)"),
)
FOLDERS = ("PF-WILLOW", "PF-dataset", "PF-dataset-WILLOW")
LISTS = ("test_pairs.csv", "test_pairs_pf.csv")
POINTS = 10
COLUMNS = 2 + 4 * POINTS


class Unlisted(NamedTuple):
    """A pair that no list names."""

    number: int  # where it would be in one, from 1
    source: str  # `<class>/<name>`
    target: str


class PFWillow(PictureFiles):
    """The test pairs of PF-Willow. An image's key is `<class>/<name>.png`, and a pair's category the class.

    Args:
        root: the folder with the classes' folders, or the one round it.
        split: `test`, the only one.

    Raises:
        UserError: if the data are not there, or no pair can be read.
    """

    name = "pfwillow"
    title = "PF-Willow"

    def __init__(self, root: str, split: str = "test") -> None:
        if split != "test":
            raise UserError(f"PF-Willow has no split '{split}', only test: leave dataset.split away.")
        self.split = split
        self.folder = find_folder(root, FOLDERS, _has_classes, self.title, self.name)
        self.expected = {"pairs": 900, "images": 100, "points": 9000} | {f"category/{name}": 90 for name in CLASSES}
        self._measured, self._annotations = Once(image_size), Once(read_annotation)
        places = (self.folder, Path(root), self.folder.parent)
        listed = any((place / name).is_file() for place in places for name in LISTS)
        items: Sequence[Row | Unlisted] = [] if listed else _unlisted(self.folder)
        items = items or read_rows(find_file(places, LISTS, "list of pairs", self.name), self.name)[1]
        self.pairs, self.broken = gather(items, self._pair, _id, self.title)
        warn_of_totals(self.title, split, len(items), self.expected)

    def path(self, key: str) -> Path:
        """The file of that picture."""
        return self.folder / key

    def _pair(self, item: Row | Unlisted) -> Pair:
        if isinstance(item, Row):
            source, target, *points = self._listed(item)
        else:
            source, target = f"{item.source}.png", f"{item.target}.png"
            points = [self._annotations[self.folder / f"{name}.mat"] for name in (item.source, item.target)]
        return Pair(
            id=_id(item),
            category=PurePosixPath(source).parent.name,
            source=source,
            target=target,
            source_size=self._measured[self.folder / source],
            target_size=self._measured[self.folder / target],
            source_points=points[0],
            target_points=points[1],
            visible=np.ones(POINTS, dtype=bool),
            names=tuple(map(str, range(POINTS))),
        )

    def _listed(self, row: Row) -> tuple[str, str, np.ndarray, np.ndarray]:
        """Both images' keys, and the points (10, 2) of each, of a row of a list."""
        if len(row.cells) != COLUMNS:
            raise UserError(
                f"{row.where} has {len(row.cells)} columns instead of {COLUMNS}, two images and {POINTS} points in "
                f"each: get the list again with `sdcorr prepare {self.name}`."
            )
        points = np.array(row.floats(row.cells[2:], self.name)).reshape(2, 2, POINTS)  # (image, axis, point)
        return _key(row.cells[0]), _key(row.cells[1]), points[0].T, points[1].T


def read_annotation(path: Path) -> np.ndarray:
    """The points of one image, (10, 2), from its .mat file.

    Raises:
        UserError: if the file is missing, damaged or does not have ten points.
    """
    points = read_mat(path).get("pts_coord", np.empty(0))
    if points.shape != (2, POINTS) or not np.isfinite(points).all():
        raise UserError(f"{path} lacks pts_coord, x and y of {POINTS} points: {get_it('pfwillow')}.")
    return points.T


def _id(item: Row | Unlisted) -> str:
    if isinstance(item, Row):
        return item.pair_id(category=PurePosixPath(_key(item.cells[0])).parent.name)
    names = [PurePosixPath(name) for name in (item.source, item.target)]
    return f"{item.number:04d}-{names[0].name}-{names[1].name}:{names[0].parent}"


def _unlisted(folder: Path) -> list[Unlisted]:
    """All pairs of images that have a .mat file, in the order of the published list."""
    pairs: list[tuple[str, str]] = []
    for name in CLASSES:
        images = sorted(path.stem for path in (folder / name).glob("[!.]*.mat"))
        pairs += permutations((f"{name}/{image}" for image in images), 2)
    return [Unlisted(number, *pair) for number, pair in enumerate(pairs, start=1)]


def _has_classes(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in CLASSES)


def _key(cell: str) -> str:
    """`<class>/<name>.png` of an image's path, whatever the archive's folder is called in the list."""
    return "/".join(PurePosixPath(cell.strip()).parts[-2:])
