"""PF-Willow (Ham et al. 2016): 100 photographs of 10 classes, 900 ordered pairs, a test split only.

    <folder>/<class>/<name>.png        the classes in CLASSES, parentheses and all; PF-WILLOW or PF-dataset
    test_pairs.csv                     or test_pairs_pf.csv, in the folder or beside it: a header, then a row a pair

A row has 42 columns, read by position: both images as `PF-dataset/<class>/<name>.png`, then x of ten points of the
first, y of them, x of the second's, y of them. All ten are seen in both images; there are no boxes. Points are kept as
they are written, pixels of the original png. MATLAB wrote them, so they nominally count from 1: weakalign subtracts
one, the code that the paper's numbers come from does not.
"""

import os
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from sdcorr.datasets.base import Benchmark, Pair
from sdcorr.datasets.reading import Once, Row, find_file, find_folder, gather, read_rows, warn_of_totals
from sdcorr.errors import UserError
from sdcorr.images import image_size, read_image

CLASSES = (
    *("car(G)", "car(M)", "car(S)", "duck(S)", "motorbike(G)", "motorbike(M)", "motorbike(S)"),
    *("winebottle(M)", "winebottle(wC)", "winebottle(woC)"),
)
FOLDERS = ("PF-WILLOW", "PF-dataset")
LISTS = ("test_pairs.csv", "test_pairs_pf.csv")
POINTS = 10
COLUMNS = 2 + 4 * POINTS


class PFWillow(Benchmark):
    """The test pairs of PF-Willow. An image's key is `<class>/<name>.png`, and a pair's category the class.

    Args:
        root: the folder with the classes' folders, or the one round it.
        split: `test`, the only one.

    Raises:
        UserError: if the data are not there, or no pair can be read.
    """

    name = "pfwillow"
    title = "PF-Willow"

    def __init__(self, root: str, split: str = "test"):
        if split != "test":
            raise UserError(f"PF-Willow has no split '{split}', only test: leave dataset.split away.")
        self.split = split
        self.folder = find_folder(root, FOLDERS, _has_classes, self.title, self.name)
        places = (self.folder, Path(root), self.folder.parent)
        _, rows = read_rows(find_file(places, LISTS, "list of pairs", self.name), self.name)
        self.expected = {"pairs": 900, "images": 100, "points": 9000} | {f"category/{name}": 90 for name in CLASSES}
        self._sizes = Once(image_size)
        self.pairs, self.broken = gather(rows, self._pair, Row.pair_id, self.title)
        warn_of_totals(self.title, split, len(rows), self.expected)

    def image(self, key: str) -> Image.Image:
        """The RGB image of that key. Raises UserError if the file is missing or cannot be read."""
        return read_image(self.folder / key)

    def _pair(self, row: Row) -> Pair:
        if len(row.cells) != COLUMNS:
            raise UserError(
                f"{row.where} has {len(row.cells)} columns instead of {COLUMNS}, two images and {POINTS} points in "
                f"each: get the list again with `python -m sdcorr.datasets.fetch.prepare {self.name}`."
            )
        source, target = (_key(cell) for cell in row.cells[:2])
        points = np.array(row.floats(row.cells[2:], self.name)).reshape(2, 2, POINTS)  # (image, axis, point)
        category = PurePosixPath(source).parent.name
        return Pair(
            id=row.pair_id(category=category),
            category=category,
            source=source,
            target=target,
            source_size=self._sizes[self.folder / source],
            target_size=self._sizes[self.folder / target],
            source_points=points[0].T,
            target_points=points[1].T,
            visible=np.ones(POINTS, dtype=bool),
            names=tuple(map(str, range(POINTS))),
        )


def _has_classes(folder: Path) -> bool:
    return any(os.path.isdir(folder / name) for name in CLASSES)


def _key(cell: str) -> str:
    """`<class>/<name>.png` of an image's path, whatever the archive's folder is called in the list."""
    return "/".join(PurePosixPath(cell.strip()).parts[-2:])
