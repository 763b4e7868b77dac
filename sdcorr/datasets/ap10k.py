"""AP-10K: mammals and other animals of 54 species in 23 families with 17 key-points (Yu et al. 2021).

The unpacked archive is read as it is: the three COCO files of its first split, and the pictures.

    annotations/ap10k-{train,val,test}-split1.json
        images       id, file_name, width, height
        annotations  image_id, category_id, bbox (x, y, width, height), keypoints 17 x (x, y, v), v being 0, 1 or 2
        categories   id, name (the species), supercategory (the family)
    data/000000000001.jpg ...

The pairs are made by the rules of the benchmark of GeoAware-SC (its notebook prepare_ap10k), which come out otherwise
on every file system, since they sample files in the order in which the system lists them. Here everything is sorted
and the draws are seeded by name, so the list is always the same, but it is not the list behind published numbers; of
those, no two projects need have the same (MARCO's script, made from the notebook, swaps half of the pairs of two
species, which the notebook does not). `sdcorr inspect` prints the digest by which two machines compare their lists.
"""

from __future__ import annotations

import json
import math
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from sdcorr.datasets.asking import VISIBLE, check_ask, hidden_points
from sdcorr.datasets.base import Box, Pair
from sdcorr.datasets.pictures import PictureFiles
from sdcorr.datasets.reading import find_folder, gather, get_it, read_text
from sdcorr.errors import UserError

POINTS = (
    *("left eye", "right eye", "nose", "neck", "root of tail"),
    *("left shoulder", "left elbow", "left front paw", "right shoulder", "right elbow", "right front paw"),
    *("left hip", "left knee", "left back paw", "right hip", "right knee", "right back paw"),
)
FILES = tuple(f"ap10k-{part}-split1.json" for part in ("train", "val", "test"))
CROWDS = "ap-10k_is_crowd.txt"  # GeoAware-SC's list of images with several animals, an id a line
KNOWN_IMAGES = 10_015
ENOUGH = 3  # key-points that an image, and a pair, must have
SPLITS = {"test": (30, 0), "val": (20, 30)}  # images of a species, and how many are left behind them
# how many pairs are drawn at most from a species, a family or two families
KINDS: dict[str, dict[str, float]] = {
    "intra_species": {"test": math.inf, "val": math.inf},
    "cross_species": {"test": 900, "val": 400},
    "cross_family": {"test": 30, "val": 20},
}


@dataclass(frozen=True, eq=False)
class Animal:
    """What is annotated in one image, raw, in pixels of the image.

    One that cannot be read might have had all points: its pairs are drawn too, and listed as broken.
    """

    number: int
    key: str
    species: str
    family: str
    size: tuple[int, int] = (0, 0)  # (W, H)
    box: Box = (0, 0, 0, 0)
    points: np.ndarray = field(default_factory=lambda: np.full((len(POINTS), 2), np.nan))  # (17, 2) float64
    # (17,) float64: 0 not labeled, 1 labeled but hidden, 2 visible
    seen: np.ndarray = field(default_factory=lambda: np.full(len(POINTS), 2.0))
    unreadable: str = ""  # why it has no numbers


class AP10K(PictureFiles):
    """Pairs of animals of one species, of two species of a family, or of two families; keys are file names.

    Images with several animals (GeoAware-SC's list if it lies in the root folder as ap-10k_is_crowd.txt; else those
    with more than one annotation) or less than three key-points are left out. Of every species, in the order of the
    images' ids, the last 30 are `test` and the 20 before them `val`; a species without images in a split has no pairs
    there, as the king cheetah in val. Two images make a pair if sum(v_source / 2 * v_target / 2) >= 3; what counts as
    visible is v > 0. Within a species every two images are one pair, the smaller id being the source. Across species
    at most 900 (val: 400) pairs are drawn in a family, across families at most 30 (20) of any two; the source is of the
    species, or the family, whose name comes first, since the notebook never swaps the two of a pair.

    Args:
        root: the folder ap-10k, or the one that holds it.
        split: test or val.
        kind: intra_species, cross_species or cross_family.
        ask: `visible`, or `all`: points that are labeled in the source alone as well. One that is labeled in the
            target as hidden, v = 1, has a place there and is a visible one, as it is to the benchmark.

    Raises:
        UserError: if there is no such split, kind or way to ask, a file is missing or not in the format, or no
            pair can be read.
    """

    name = "ap10k"
    title = "AP-10K"

    def __init__(self, root: str | Path, split: str = "test", kind: str = "intra_species", ask: str = VISIBLE) -> None:
        check_ask(ask)
        for setting, value, known in (("split", split, SPLITS), ("kind", kind, KINDS)):
            if value not in known:
                raise UserError(f"AP-10K has no dataset.{setting}={value}: choose one of {', '.join(known)}.")
        self.split = split
        self.folder = find_folder(root, ("ap-10k",), _has_annotations, self.title, self.name)
        animals = _of_split(_animals(self.folder), split)
        chosen = list(_choose(animals, kind, split))
        if not chosen:
            raise UserError(
                f"No two images of the {split} split in {self.folder} make a pair of kind {kind}: choose another "
                f"dataset.kind, or {get_it(self.name)}."
            )
        make = partial(_pair, ask)
        self.pairs, self.broken = gather(chosen, make, lambda item: f"{item[1].number}-{item[2].number}", self.title)

    @property
    def identity(self) -> dict[str, str]:
        """By what images with several animals were told: it changes which images, and so which pairs there are."""
        return {"crowds": CROWDS if _crowds(self.folder) else "images with several annotations"}

    def path(self, key: str) -> Path:
        """The file of that picture."""
        return self.folder / "data" / key


def _has_annotations(folder: Path) -> bool:
    return (folder / "annotations").is_dir()


def _animals(folder: Path) -> list[Animal]:
    """The first animal of every image, sorted by the image's id, without crowds and images with too few points."""
    images: dict[int, Any] = {}
    categories: dict[int, tuple[str, str]] = {}
    annotations: list[tuple[str, Any]] = []  # where it is (file: entry), and the entry
    for name in FILES:
        path = folder / "annotations" / name
        try:
            plain = json.loads(read_text(path, "ap10k"))
            images |= {int(image["id"]): image for image in plain["images"]}
            categories |= {int(one["id"]): (one["name"], one["supercategory"]) for one in plain["categories"]}
            annotations += [(f"{name}: annotation {one['id']}", one) for one in plain["annotations"]]
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path} is not in the format of AP-10K ({type(error).__name__}: {error}): {get_it('ap10k')}."
            ) from None
    if len(images) != KNOWN_IMAGES:
        warnings.warn(
            f"{folder} lists {len(images):,} images, and the published AP-10K has {KNOWN_IMAGES:,}: its pairs will be "
            "others.",
            stacklevel=3,
        )
    try:
        times = Counter(int(one["image_id"]) for _, one in annotations)
        crowds = _crowds(folder) or {number for number, count in times.items() if count > 1}
        first = {int(one["image_id"]): (where, one) for where, one in reversed(annotations)}
        animals = [
            _animal(where, images[number], one, *categories[int(one["category_id"])])
            for number, (where, one) in sorted(first.items())
            if number not in crowds
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"An annotation in {folder / 'annotations'} names no image or species that is there "
            f"({type(error).__name__}: {error}): {get_it('ap10k')}."
        ) from None
    return [animal for animal in animals if (animal.seen > 0).sum() >= ENOUGH]


def _animal(where: str, image: dict[str, Any], annotation: dict[str, Any], species: str, family: str) -> Animal:
    number, key = int(image["id"]), str(image["file_name"])
    try:
        table = np.array(annotation["keypoints"], dtype=np.float64).reshape(len(POINTS), 3)
        x, y, width, height = (float(value) for value in annotation["bbox"])
        size = (int(image["width"]), int(image["height"]))
        if not (
            np.isfinite(table).all()
            and np.isfinite([x, y]).all()
            and min(width, height) > 0
            and max(width, height) < math.inf
        ):
            raise ValueError("a coordinate is not finite, or the box is empty")
        if min(size) < 1:
            raise ValueError("the image has no size")
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{where} lacks 17 readable key-points, a box or a size ({type(error).__name__}: {error})"
        return Animal(number, key, species, family, unreadable=reason)
    return Animal(number, key, species, family, size, (x, y, x + width, y + height), table[:, :2], table[:, 2])


def _of_split(animals: Sequence[Animal], split: str) -> list[Animal]:
    """The images of a split, species by species."""
    count, behind = SPLITS[split]
    chosen: list[Animal] = []
    for species in sorted({animal.species for animal in animals}):
        members = [animal for animal in animals if animal.species == species]
        last = len(members) - behind
        chosen += members[max(last - count, 0) : max(last, 0)]
    return chosen


def _choose(animals: Sequence[Animal], kind: str, split: str) -> Iterator[tuple[str, Animal, Animal]]:
    """Category, source and target of every pair of a kind."""
    if not animals:
        return
    seen = np.stack([one.seen for one in animals]) / 2  # (n, 17)
    enough = seen @ seen.T >= ENOUGH  # (n, n) source, target
    species, families = (np.array([getattr(one, rank) for one in animals]) for rank in ("species", "family"))
    label = families if kind == "cross_family" else species
    allowed = enough & (np.triu(label[:, None] == label, 1) if kind == "intra_species" else label[:, None] < label)
    if kind == "intra_species":
        groups = [(name, name, species == name) for name in sorted(set(species))]
    elif kind == "cross_species":
        groups = [(name, name, families == name) for name in sorted(set(families))]
    else:
        both = combinations(sorted(set(families)), 2)
        groups = [("all", f"{one} {other}", (families == one) | (families == other)) for one, other in both]
    for category, name, members in groups:
        (index,) = np.nonzero(members)
        pairs = index[np.argwhere(allowed[np.ix_(index, index)])]  # (m, 2)
        for source, target in _draw(pairs, KINDS[kind][split], f"{split} {kind} {name}"):
            yield category, animals[source], animals[target]


def _draw(pairs: np.ndarray, most: float, name: str) -> np.ndarray:
    """At most so many rows of `pairs` (m, 2), in their order; which ones depends on the name and on m alone."""
    if len(pairs) <= most:
        return pairs
    lots = np.random.default_rng(list(name.encode())).random(len(pairs))
    return pairs[np.sort(np.argsort(lots, kind="stable")[: int(most)])]


def _pair(ask: str, item: tuple[str, Animal, Animal]) -> Pair:
    category, source, target = item
    for animal in (source, target):
        if animal.unreadable:
            raise UserError(animal.unreadable)
    kinds = {"species": (source.species, target.species), "family": (source.family, target.family)}
    return Pair(
        id=f"{source.number}-{target.number}",
        category=category,
        source=source.key,
        target=target.key,
        source_size=source.size,
        target_size=target.size,
        source_points=source.points,
        target_points=target.points,
        visible=(source.seen > 0) & (target.seen > 0),
        names=POINTS,
        source_box=source.box,
        target_box=target.box,
        ambiguous=np.array([name.startswith(("left ", "right ")) for name in POINTS]),
        flags={
            f"{side}_{rank}": both[i] for rank, both in kinds.items() for i, side in enumerate(("source", "target"))
        },
        hidden=hidden_points(ask, source.seen > 0, target.seen > 0),
        target_alone=tuple(np.array(POINTS)[(target.seen > 0) & (source.seen == 0)].tolist()),
    )


def _crowds(folder: Path) -> set[int]:
    path = folder / CROWDS
    try:
        return {int(line) for line in path.read_text().split()}
    except FileNotFoundError:
        return set()
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a list of image ids, one a line ({error}): mend it or remove it.") from None
