"""TSS: 400 pairs of objects with dense flow between their foregrounds (Taniai, Sinha and Sato, CVPR 2016).

The unpacked archive is read as it is:

    {FG3DCar,JODS,PASCAL}/<pair>/
        image1.png image2.png    the pictures, of different sizes, some of them gray
        mask1.png  mask2.png     the foreground of each, 255 (or 1 of a palette, or some of its edge 16 to 207), on 0
        flow1.flo  flow2.flo     flow1: for every pixel of image 1, how far its match in image 2 is away; flow2: back
        flip_gt.txt              1 if the object is mirrored in one of the two, else 0
    test_pairs_tss.csv           weakalign's list, or test_pairs.csv, if it lies in the root folder: image A, image B,
                                 flow direction, whether A is to be mirrored, category

A .flo file of Middlebury: the number 202021.25, width and height, then width * height times (right, down), row after
row; 4 bytes each, little endian. A flow beyond 1e9, or not finite, is unknown.

Here every pair is asked in both directions. The query points are pixels of the source's foreground, and the truth is
where the source's flow sends them. The published metric is dense: the share of the foreground's pixels with a known
flow that land within 0.05 times the longer side of the image *they are sent into* (the official kit's `1to2`: flow1,
and the size of image 2), averaged over images. Papers on warping call the two images the other way round: there the
flow is on the grid of the target and points into the source, by whose size the error is measured. That is our target.

Ours is the Monte-Carlo estimate of that metric over `points` pixels a pair, one drawn from each of so many equal parts
of the foreground. Its standard error is at most that of independent draws, the binomial one: sqrt(p (1 - p) / points)
for a pair, and at most 0.5 / sqrt(points * pairs) for a mean over pairs, which is 0.3 percentage points with 40 points
and 800 pairs. A truth may lie outside the image; the published metric counts it, and so do we.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np

from sdcorr.datasets.base import Pair
from sdcorr.datasets.boxes import around, read_mask
from sdcorr.datasets.pictures import PictureFiles
from sdcorr.datasets.reading import find_folder, gather, get_it, read_rows, warn_of_totals
from sdcorr.errors import UserError

SUBSETS = {"FG3DCar": 195, "JODS": 81, "PASCAL": 124}  # and how many pairs of images each has
FLIPS = {"0": "no", "1": "yes"}
LISTS = ("test_pairs_tss.csv", "test_pairs.csv")
MAGIC = 202021.25  # exact in float32
UNKNOWN = 1e9  # a flow as long as this says that there is none


class TSS(PictureFiles):
    """Pairs of objects with query points spread over the source; keys are paths, the category is the subset.

    `flags["flip"]` is yes where the object is mirrored in one of the two images, by weakalign's list if it is there,
    else by flip_gt.txt; the pictures themselves are left as they are. Boxes are those of the masks.

    Args:
        root: the folder TSS_CVPR2016, or the one that holds it.
        split: test; there is no other.
        points: query points of a pair, the same at every call; all of a foreground that has less pixels.

    Raises:
        UserError: if the split or the number of points is not possible, there is no TSS in the folder, weakalign's
            list is not in the format, or no pair can be read.
    """

    name = "tss"
    title = "TSS"

    def __init__(self, root: str | Path, split: str = "test", points: int = 40) -> None:
        if split != "test":
            raise UserError(f"TSS has no split '{split}', only test: leave dataset.split away.")
        if points < 1:
            raise UserError(f"dataset.points={points} leaves nothing to ask for: give 1 or more.")
        self.split, self._points = split, points
        self.folder = find_folder(root, ("TSS_CVPR2016",), _has_subsets, self.title, self.name)
        self.expected = {"pairs": 2 * sum(SUBSETS.values())} | {f"category/{k}": 2 * n for k, n in SUBSETS.items()}
        self._flips = _listed_flips(self.folder)
        mask = lru_cache(maxsize=4)(_foreground)  # both directions of a folder need both masks
        directions = [(folder, *views) for folder in _folders(self.folder) for views in ((1, 2), (2, 1))]
        if not directions:
            raise UserError(f"There is no folder of a pair in {self.folder}: {get_it(self.name)}.")
        self.pairs, self.broken = gather(
            directions, lambda item: self._pair(mask, *item), lambda item: "{}/{}-{}".format(*item), self.title
        )
        warn_of_totals(self.title, split, len(directions), self.expected)

    def path(self, key: str) -> Path:
        """The file of that picture."""
        return self.folder / key

    def _pair(self, mask: Callable[[Path], np.ndarray], name: str, *views: int) -> Pair:
        """The pair of a folder from one of its views, 1 or 2, to the other. `mask` reads masks."""
        folder, id = self.folder / name, f"{name}/{views[0]}-{views[1]}"
        source, target = (mask(folder / f"mask{view}.png") for view in views)  # (H, W)
        path = folder / f"flow{views[0]}.flo"
        flow = read_flow(path)  # (H, W, 2)
        if flow.shape[:2] != source.shape:
            (height, width), (high, wide) = flow.shape[:2], source.shape
            raise UserError(f"{path} is {width} x {height} pixels and its mask {wide} x {high}: {get_it(self.name)}.")
        asked = source & np.isfinite(flow[..., 0])
        if not asked.any():
            raise UserError(f"{path} knows no flow of the foreground: {get_it(self.name)}.")
        pixels = spread(asked, self._points, np.random.default_rng(list(id.encode())))  # (n, 2)
        points = pixels + 0.5  # centers of pixels
        keys, sizes = [f"{name}/image{view}.png" for view in views], [mask.shape[::-1] for mask in (source, target)]
        return Pair(
            id=id,
            category=name.split("/")[0],
            source=keys[0],
            target=keys[1],
            source_size=sizes[0],
            target_size=sizes[1],
            source_points=points,
            target_points=points + flow[pixels[:, 1], pixels[:, 0]],
            visible=np.ones(len(points), dtype=bool),
            names=tuple(f"({x}, {y})" for x, y in pixels.tolist()),
            source_box=around(source),
            target_box=around(target),
            flags=_flip(folder, self._flips.get(name)),
        )


def read_flow(path: Path) -> np.ndarray:
    """Reads a .flo file of Middlebury.

    Returns:
        (H, W, 2) float32, right and down in pixels; NaN where it is unknown.

    Raises:
        UserError: if the file is missing, is not a .flo file, or has another length than its sizes ask for.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"The flow {path} cannot be read ({error.strerror}): {get_it('tss')}.") from None
    if len(data) < 12 or np.frombuffer(data, "<f4", 1)[0] != MAGIC:
        raise UserError(f"{path} is not a .flo file, which starts with {MAGIC}: {get_it('tss')}.")
    width, height = np.frombuffer(data, "<i4", 2, offset=4).tolist()
    if min(width, height) < 1 or len(data) != 12 + 8 * width * height:
        raise UserError(
            f"{path} has {len(data)} bytes, which is not a flow of {width} x {height} pixels: {get_it('tss')}."
        )
    flow = np.frombuffer(data, "<f4", offset=12).reshape(height, width, 2)
    length = np.abs(flow)
    known = (length[..., 0] < UNKNOWN) & (length[..., 1] < UNKNOWN)  # (H, W); False for NaN too
    return np.where(known[..., None], flow, np.float32(np.nan))


def spread(mask: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Draws pixels that lie evenly over a mask: one from each of `count` parts of it, equal to a pixel.

    The pixels are put in the order of a Z-shaped curve, whose stretches are compact patches, and a pixel is drawn
    from each of `count` stretches of equal length. A mean over the drawn pixels is therefore an estimate of the mean
    over the mask that varies no more than that of as many independent draws.

    Args:
        mask: (H, W) bool.
        count: n, at least 1.
        generator: of the draws.

    Returns:
        (n, 2) int64 column and row, or all M pixels of a mask with no more than n.
    """
    rows, columns = np.nonzero(mask)
    if len(rows) <= count:
        return np.stack([columns, rows], axis=-1)
    width, height = (_every_other_bit(length) for length in mask.shape[::-1])
    place = width[columns] | height[rows] << 1  # (M,) along the curve
    ends = np.linspace(0, len(rows), count + 1).astype(int)
    drawn = ends[:-1] + (generator.random(count) * np.diff(ends)).astype(int)  # (n,) ranks along the curve
    chosen = np.argpartition(place, drawn)[drawn]
    return np.stack([columns[chosen], rows[chosen]], axis=-1)


def _every_other_bit(length: int) -> np.ndarray:
    """The numbers below `length` with a zero between any two of their binary digits, (length,) int64."""
    numbers, apart = np.arange(length, dtype=np.int64), np.zeros(length, dtype=np.int64)
    for bit in range(max(length - 1, 1).bit_length()):
        apart |= (numbers >> bit & 1) << 2 * bit
    return apart


def _foreground(path: Path) -> np.ndarray:
    """The foreground of a mask, (H, W) bool. Raises UserError if it has none or cannot be read."""
    mask = read_mask(path)
    if not mask.any():
        raise UserError(f"The mask {path} has no foreground: {get_it('tss')}.")
    return mask


def _has_subsets(folder: Path) -> bool:
    return any((folder / subset).is_dir() for subset in SUBSETS)


def _folders(root: Path) -> list[str]:
    """The folders of pairs below the root, such as JODS/cars_1, sorted."""
    paths = [path for subset in SUBSETS for path in sorted((root / subset).glob("[!.]*")) if path.is_dir()]
    return [path.relative_to(root).as_posix() for path in paths]


def _flip(folder: Path, listed: str | None) -> dict[str, str]:
    """The flag of a folder; empty if nothing that can be read says whether its object is mirrored."""
    try:
        said = (folder / "flip_gt.txt").read_text(encoding="utf-8").strip() if listed is None else listed
    except (OSError, UnicodeDecodeError):
        return {}
    return {"flip": FLIPS[said]} if said in FLIPS else {}


def _listed_flips(root: Path) -> dict[str, str]:
    """0 or 1, as weakalign's list says of every folder of a pair; empty without the list."""
    flips: dict[str, str] = {}
    path = next((root / name for name in LISTS if (root / name).is_file()), None)
    rows = read_rows(path, "tss")[1] if path else []
    for row in rows:
        cells = [cell.strip() for cell in row.cells]
        said = cells[3] if len(cells) > 3 else ""
        if said not in FLIPS:
            raise UserError(f"{row.where} has no flip of 0 or 1 in its fourth column: get it again, or remove it.")
        folder = "/".join(PurePosixPath(cells[0]).parts[-3:-1])
        flips[folder] = max(flips.get(folder, "0"), said)
    return flips
