"""PF-PASCAL (Ham et al. 2018): pairs of PASCAL VOC photographs of the same class and like poses, 20 classes.

    <folder>/JPEGImages/<image>.jpg             PF-PASCAL or PF-dataset-PASCAL; long side 300, not VOC's own files
    <folder>/Annotations/<class>/<image>.mat    kps (N, 2), NaN where a point is unseen, and bbox x0 y0 x1 y1
    <list>.csv                                  in the folder, beside it or in image_pairs/; a header, then a row a pair

Two families of lists are about, `test_pairs.csv`, `val_pairs.csv`, `trn_pairs.csv` of the POSTECH archive and
`test_pairs_pf_pascal.csv`, `train_pairs.csv` and so on of weakalign and NC-Net. All begin with the columns
source_image, target_image and class (counted from 1); test may go on with XA, YA, XB, YB (the points seen in both,
separated by semicolons), val and train with flip (1: both pictures are mirrored). Where a list has no points, they come
from Annotations. Points are kept as they are written, pixels of these jpgs; MATLAB wrote them, so they nominally count
from 1, which the published protocols do not undo. A copy is about in which test's list is val's, which is noticed by
how many pairs of each class it has. Train lists 613 distinct pairs of photographs in 735 places, each in
both directions, as they are and mirrored; 95 of test's pairs are in train too, which matters to what is trained on it.
"""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from sdcorr.datasets.asking import ALL, VISIBLE, check_ask, hidden_points
from sdcorr.datasets.base import Box, Pair
from sdcorr.datasets.matfile import read_mat
from sdcorr.datasets.pictures import PictureFiles
from sdcorr.datasets.reading import Once, Row, find_file, find_folder, gather, read_rows, warn_of_totals
from sdcorr.digests import combined
from sdcorr.errors import UserError
from sdcorr.images import image_size

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
FOLDERS = ("PF-PASCAL", "PF-dataset-PASCAL")
LISTS = {
    "trn": ("trn_pairs.csv", "train_pairs.csv", "train_pairs_pf_pascal.csv"),
    "val": ("val_pairs.csv", "val_pairs_pf_pascal.csv"),
    "test": ("test_pairs.csv", "test_pairs_pf_pascal.csv"),
}
BY_CLASS = {
    "val": (16, 31, 11, 6, 10, 32, 19, 27, 14, 3, 7, 24, 9, 28, 13, 8, 1, 14, 20, 15),
    "test": (15, 30, 10, 6, 8, 32, 19, 27, 13, 3, 8, 24, 9, 27, 12, 7, 1, 13, 20, 15),
}
EXPECTED = {"trn": {"pairs": 2940}, "val": {"pairs": 308}, "test": {"pairs": 299, "points": 2414, "images": 506}}
POINTS = ("XA", "YA", "XB", "YB")
MIRRORED = "@mirrored"  # ends the key of a mirrored picture
AGAIN = "get the data set again with `sdcorr prepare pfpascal`"
LIST_AGAIN = AGAIN.replace("data set", "list")
SAME = 0.01  # pixels within which a list's point and an annotation's are the same


class Annotation(NamedTuple):
    """What is known of the object in one image."""

    points: np.ndarray  # (N, 2) float64 pixels, NaN where unseen
    box: Box | None


class PFPascal(PictureFiles):
    """One split of PF-PASCAL. An image's key is `JPEGImages/<image>.jpg`, with `@mirrored` after it if it is.

    Points of a list are called by their row in Annotations, as the other splits' are; without Annotations by their
    place in the list, and there are no boxes then.

    Args:
        root: the folder with JPEGImages, or the one round it.
        split: `trn`, `val` or `test`.
        ask: `visible`, or `all`: points that Annotations has of the source alone as well.

    Raises:
        UserError: if the data are not there, there is no such way to ask, or no pair can be read.
    """

    name = "pfpascal"
    title = "PF-PASCAL"

    def __init__(self, root: str, split: str = "test", ask: str = VISIBLE) -> None:
        check_ask(ask)
        if split not in LISTS:
            raise UserError(f"PF-PASCAL has no split '{split}': choose dataset.split= one of {', '.join(LISTS)}.")
        self.split, self._ask = split, ask
        self.folder = find_folder(root, FOLDERS, _has_images, self.title, self.name)
        homes = (self.folder, Path(root), self.folder.parent)
        places = [place for home in homes for place in (home, home / "image_pairs")]
        path = find_file(places, LISTS[split], f"list of {split} pairs", self.name)
        header, rows = read_rows(path, self.name)
        by_class = zip(CLASSES, BY_CLASS.get(split, ()), strict=False)
        self.expected = EXPECTED[split] | {f"category/{name}": count for name, count in by_class}
        self._columns = _columns(header, len(rows[0].cells))
        _refuse_another_split(path, split, rows, self._columns)
        self._measured, self._annotations = Once(image_size), Once(read_annotation)
        self._annotated = (self.folder / "Annotations").is_dir() or not set(POINTS) <= set(self._columns)
        if ask == ALL and not (self.folder / "Annotations").is_dir():
            raise UserError(f"dataset.ask=all needs {self.folder / 'Annotations'}, which says what is unseen: {AGAIN}.")
        self._strangers: list[str] = []  # rows whose points are not those of the annotations
        self.pairs, self.broken = gather(rows, self._pair, Row.pair_id, self.title)
        warn_of_totals(self.title, split, len(rows), self.expected)
        if self._strangers:
            warnings.warn(
                f"In {len(self._strangers)} of {len(self.pairs)} pairs the points of the list are not those of "
                f"Annotations ({self._strangers[0]} first): the list's are used.",
                stacklevel=2,
            )

    def path(self, key: str) -> Path:
        """The file of that picture; it shows the scene as it is, mirrored or not."""
        return self.folder / key.removesuffix(MIRRORED)

    def digest(self, key: str) -> str:
        """That of the picture's file, another one if it is mirrored; see `Benchmark.digest`."""
        found = super().digest(key)
        return combined([found, MIRRORED]) if key.endswith(MIRRORED) else found

    def image(self, key: str) -> Image.Image:
        """The RGB image of that key. Raises UserError if the file is missing or cannot be read."""
        image = super().image(key)
        return ImageOps.mirror(image) if key.endswith(MIRRORED) else image

    def _pair(self, row: Row) -> Pair:
        cells = _cells(row, self._columns)
        category, mirrored = _category(row, cells), cells.get("flip") == "1"
        images = [PurePosixPath(cells[column]).stem for column in ("source_image", "target_image")]
        sizes = [self._measured[self.folder / "JPEGImages" / f"{image}.jpg"] for image in images]
        annotations = [self.folder / "Annotations" / category / f"{image}.mat" for image in images]
        names, source, target = self._objects(row, cells, annotations)
        if mirrored:
            source, target = mirror(source, sizes[0][0]), mirror(target, sizes[1][0])
        keys = [f"JPEGImages/{image}.jpg{MIRRORED * mirrored}" for image in images]
        seen = [np.asarray(np.isfinite(each.points).all(axis=1)) for each in (source, target)]
        return Pair(
            id=row.pair_id(images[0], images[1], category) + MIRRORED * mirrored,
            category=category,
            source=keys[0],
            target=keys[1],
            source_size=sizes[0],
            target_size=sizes[1],
            source_points=source.points,
            target_points=target.points,
            visible=seen[0] & seen[1],
            names=names,
            source_box=source.box,
            target_box=target.box,
            flags={"mirrored": "yes" if mirrored else "no"} if "flip" in cells else {},
            hidden=hidden_points(self._ask, *seen),
        )

    def _objects(
        self, row: Row, cells: Mapping[str, str], annotations: Sequence[Path]
    ) -> tuple[tuple[str, ...], Annotation, Annotation]:
        """The names of the key-points, and both objects as they are before any mirroring."""
        known = [self._annotations[path] for path in annotations] if self._annotated else []
        if known and len(known[0].points) != len(known[1].points):
            counts = " and ".join(str(len(each.points)) for each in known)
            raise UserError(f"{row.where}: Annotations has {counts} key-points of these two images: {AGAIN}.")
        if not set(POINTS) <= cells.keys():
            return _numbered(known[0].points), known[0], known[1]
        points = _listed(row, cells)
        called = identities(points, [each.points for each in known]) if known else None
        if known and called is None:
            self._strangers.append(row.where)
        names = called or _numbered(points[0])
        if self._ask == ALL and called:
            names, points = _with_unseen(names, points, [each.points for each in known])
        source, target = (each.box for each in known) if known else (None, None)
        return names, Annotation(points[0], source), Annotation(points[1], target)


def read_annotation(path: Path) -> Annotation:
    """Key-points and box of one image; a row of the key-points is the same part in all images of a class.

    Raises:
        UserError: if the file is missing, damaged or lacks one of them.
    """
    found = read_mat(path)
    points, boxes = found.get("kps", np.empty(0)), found.get("bbox", np.empty(0))
    if points.ndim != 2 or points.shape[1] != 2 or not boxes.size or boxes.size % 4 or not np.isfinite(boxes).all():
        raise UserError(f"{path} lacks kps (N x 2) or bbox (1 x 4): {AGAIN}.")
    return Annotation(points, tuple(boxes.reshape(-1, 4)[0].tolist()))


def mirror(annotation: Annotation, width: int) -> Annotation:
    """The object as it is in the mirrored picture of that width: x becomes W - x."""
    points = annotation.points * (-1, 1) + (width, 0)
    if annotation.box is None:
        return Annotation(points, None)
    x0, y0, x1, y1 = annotation.box
    return Annotation(points, (width - x1, y0, width - x0, y1))


def identities(points: Sequence[np.ndarray], annotated: Sequence[np.ndarray]) -> tuple[str, ...] | None:
    """The rows of the annotations that are these points in both images; None if one is not among them.

    Args:
        points: (V, 2) of the source and of the target.
        annotated: (N, 2) likewise, NaN where unseen.
    """
    near = [abs(all_[None] - some[:, None]).max(-1) <= SAME for some, all_ in zip(points, annotated, strict=True)]
    same = near[0] & near[1]  # (V, N); what is compared with NaN is not the same
    return tuple(map(str, same.argmax(1).tolist())) if same.any(1).all() else None


def _with_unseen(
    names: tuple[str, ...], points: Sequence[np.ndarray], annotated: Sequence[np.ndarray]
) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """Names and points (V, 2) of a list, and after them those that are annotated in the source alone."""
    seen = [np.isfinite(each).all(axis=1) for each in annotated]
    alone = np.flatnonzero(seen[0] & ~seen[1])
    both = [np.concatenate([some, all_[alone]]) for some, all_ in zip(points, annotated, strict=True)]
    return (*names, *map(str, alone.tolist())), both


def _has_images(folder: Path) -> bool:
    return (folder / "JPEGImages").is_dir()


def _refuse_another_split(path: Path, split: str, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Raises UserError if a list has as many pairs of every class as that of another split."""
    place = columns.index("class")
    numbers = Counter(row.cells[place].strip() for row in rows if len(row.cells) > place)
    found = tuple(numbers[str(number)] for number in range(1, len(CLASSES) + 1))
    for other, known in BY_CLASS.items():
        if other != split and found == known:
            raise UserError(
                f"{path} is the list of {other}, not of {split}: it has {len(rows)} pairs, of every class as many as "
                f"{other} has. Say dataset.split={other}, or {LIST_AGAIN}."
            )


def _columns(header: Sequence[str], count: int) -> tuple[str, ...]:
    """What the columns are called: by their header if it is a known one, else by their number."""
    if {"source_image", "target_image", "class"} <= set(header):
        return tuple(header)
    return ("source_image", "target_image", "class", *{4: ("flip",), 7: POINTS}.get(count, ()))


def _cells(row: Row, columns: Sequence[str]) -> dict[str, str]:
    if len(row.cells) != len(columns):
        raise UserError(
            f"{row.where} has {len(row.cells)} columns instead of {len(columns)} ({', '.join(columns)}): {LIST_AGAIN}."
        )
    cells = {column: cell.strip() for column, cell in zip(columns, row.cells, strict=True)}
    if cells.get("flip", "0") not in ("0", "1"):
        raise UserError(f"{row.where}: flip is {cells['flip']!r} instead of 0 or 1: {LIST_AGAIN}.")
    return cells


def _category(row: Row, cells: Mapping[str, str]) -> str:
    number = cells["class"]
    if not number.isdecimal() or not 1 <= int(number) <= len(CLASSES):
        raise UserError(f"{row.where}: class is {number!r} instead of a number from 1 to {len(CLASSES)}: {LIST_AGAIN}.")
    return CLASSES[int(number) - 1]


def _listed(row: Row, cells: Mapping[str, str]) -> list[np.ndarray]:
    """The points of source and target, two of (V, 2), from the columns of a list."""
    axes = [row.floats(cells[column].strip(";").split(";"), PFPascal.name) for column in POINTS]
    if len(set(map(len, axes))) > 1:
        counts = ", ".join(f"{len(axis)} in {column}" for axis, column in zip(axes, POINTS, strict=True))
        raise UserError(f"{row.where} has not as many numbers in each column ({counts}): {LIST_AGAIN}.")
    return [np.stack(axes[:2], axis=1), np.stack(axes[2:], axis=1)]


def _numbered(points: np.ndarray) -> tuple[str, ...]:
    return tuple(map(str, range(len(points))))
