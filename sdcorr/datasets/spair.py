"""SPair-71k (Min et al. 2019): 18 categories of PASCAL VOC photographs, pairs that differ in view, scale and occlusion.

    <root>/Layout/<size>/<split>.txt              a line a pair, such as 000001-2008_002719-2008_004100:aeroplane
    <root>/PairAnnotation/<split>/<line>.json     points and boxes (x0 y0 x1 y1), both images' [W, H, channels]
    <root>/JPEGImages/<category>/<image>.jpg

The colon does not survive some file systems and archivers: `_`, `%3A` and the private character that Windows shares
put in its place are understood, in layouts as in the names of annotations. Annotations list only points that are seen
in both images, as whole numbers, which are kept as they are; for the others see `sdcorr.datasets.spair_images`. An
image may belong to two categories, so its key is `<category>/<image>`. Nothing is mirrored.

Two versions of the archive are about, and what differs is not documented: the dataset card has a digest of the
annotations (`sdcorr inspect dataset=spair`), which tells runs on one from runs on the other.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sdcorr.datasets.asking import VISIBLE, check_ask
from sdcorr.datasets.base import Pair
from sdcorr.datasets.cache import recall, remember, stamps
from sdcorr.datasets.pictures import PictureFiles
from sdcorr.datasets.reading import (
    find_folder,
    gather,
    get_it,
    many_small_objects,
    read_text,
    warn_of_totals,
)
from sdcorr.datasets.spair_images import ImagePoints
from sdcorr.errors import UserError
from sdcorr.images import image_size

CATEGORIES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dog", "horse"),
    *("motorbike", "person", "pottedplant", "sheep", "train", "tvmonitor"),
)
PAIRS = (690, 650, 702, 702, 870, 644, 564, 600, 646, 640, 600, 600, 702, 650, 862, 664, 756, 692)
TEST_PAIRS = dict(zip(CATEGORIES, PAIRS, strict=True))  # of the large test split
SIZES = {
    "large": {"trn": 53340, "val": 5384, "test": 12234},
    "small": {"trn": 10652, "val": 1070, "test": 2438},
}
SPLITS = tuple(SIZES["large"])
FLAGS = {  # what the numbers of an annotation mean (the archive's devkit)
    "viewpoint_variation": ("easy", "medium", "hard"),
    "scale_variation": ("easy", "medium", "hard"),
    "truncation": ("none", "source", "target", "both"),
    "occlusion": ("none", "source", "target", "both"),
    "mirror": ("no", "yes"),
}
SIDES = {"src": "source", "trg": "target"}  # in an annotation, and here
IMAGE_SIZES = ("src_imsize", "trg_imsize")
COLONS = (":", "_", "%3A", "%3a", "\uf03a")  # and what stands in its place
LINE = re.compile(r"(?P<number>\d+)-(?P<source>[^-:]+)-(?P<target>[^-:]+):(?P<category>\w+)")
READERS = 16  # threads, since a file on a network disk is mostly waited for
WORTH_A_CACHE = 500  # annotations; fewer take less than a second


Categories = Sequence[str] | str | None  # names, or one of them; None for all


class Entry(NamedTuple):
    """A line of a layout."""

    number: str
    source: str  # image, as in its file's name
    target: str
    category: str


class SPair(PictureFiles):
    """One split of SPair-71k. An image's key is `<category>/<image>`.

    A pair's flags are words: viewpoint_variation and scale_variation easy, medium or hard; truncation and occlusion
    none, source, target or both; mirror no or yes; source_pose and target_pose as annotated.

    Args:
        root: the folder with Layout, PairAnnotation and JPEGImages, or the one round it.
        split: `trn`, `val` or `test`.
        size: `large`, which is what papers use, or `small`.
        categories: names, or one of them; None for all.
        ask: `visible`, or `all`: points that the source shows and the target does not as well.

    Raises:
        UserError: if the data are not there, there is no such split, size, category or way to ask, or no pair can be
            read.
    """

    name = "spair"
    title = "SPair-71k"

    def __init__(
        self, root: str, split: str = "test", size: str = "large", categories: Categories = None, ask: str = VISIBLE
    ) -> None:
        check_ask(ask)
        chosen = chosen_categories(split, size, categories)
        self.split, self._ask = split, ask
        self._cache = f"{self.name}-{split}-{size}"
        self.folder = find_folder(root, ("SPair-71k",), _has_layout, self.title, self.name)
        layout = self.folder / "Layout" / size / f"{split}.txt"
        text = read_text(layout, self.name)
        lines = dict.fromkeys(with_colon(line.strip()) for line in text.splitlines() if line.strip())  # each once
        lines = [line for line in lines if not chosen or line.rpartition(":")[2] in chosen]
        if not lines:
            raise UserError(f"{layout} lists no pair{' of ' * bool(chosen)}{', '.join(chosen)}: {get_it(self.name)}.")
        self.expected = expected(split, size, chosen)
        self._read(lines)
        warn_of_totals(self.title, split, len(lines), self.expected)

    def path(self, key: str) -> Path:
        """The file of that picture."""
        return self.folder / "JPEGImages" / f"{key}.jpg"

    def _read(self, lines: Sequence[str]) -> None:
        """Makes the pairs of these lines, as those of a layout are written, and lists the broken ones."""
        images = ImagePoints(self.folder, self.title, self.name, self._ask)
        with many_small_objects():
            notes = self._notes(lines)
            self.pairs, self.broken = gather(lines, lambda line: _pair(line, notes[line], images), str, self.title)

    def _notes(self, lines: Sequence[str]) -> dict[str, Any]:
        """What is needed of the annotation of each line, or the UserError why it cannot be had.

        What was read of an annotation is remembered, and read anew when its file has another stamp.
        """
        folder = self.folder / "PairAnnotation" / self.split
        if not folder.is_dir():
            raise UserError(f"There is no {folder}: {get_it(self.name)}.")
        there = stamps(folder)  # before anything is read: what changes meanwhile is read again by the next run
        colon = _colon(there)
        files = {line: f"{line.replace(':', colon)}.json" for line in lines}
        worth_it = len(lines) >= WORTH_A_CACHE
        held = recall(self.folder, self._cache) if worth_it else {}
        known = {
            line: held[line]["note"]
            for line, file in files.items()
            if file in there and line in held and held[line]["stamp"] == there[file]
        }
        unknown = [line for line in lines if line not in known]
        with ThreadPoolExecutor(READERS) as readers:
            found = readers.map(lambda line: self._note(line, folder / files[line]), unknown)
            read = dict(zip(unknown, found, strict=True))
        new = {
            line: {"stamp": there[files[line]], "note": note}
            for line, note in read.items()
            if files[line] in there and not isinstance(note, UserError)
        }
        if new and worth_it:
            remember(self.folder, self._cache, held | new)
        return {line: self._measured(line, note) for line, note in (known | read).items()}

    def _measured(self, line: str, note: dict[str, Any] | UserError) -> dict[str, Any] | UserError:
        """A note with the sizes of the pictures themselves where the annotation does not say them."""
        if isinstance(note, UserError) or all(note["sizes"]):
            return note
        entry = _entry(line)
        try:
            keys = [f"{entry.category}/{image}" for image in (entry.source, entry.target)]
            sizes = [size or image_size(self.path(key)) for size, key in zip(note["sizes"], keys, strict=True)]
        except UserError as error:
            return error
        return note | {"sizes": sizes}

    def _note(self, line: str, path: Path) -> dict[str, Any] | UserError:
        try:
            entry = _entry(line)
            return _note(json.loads(path.read_bytes()), entry)
        except UserError as error:
            return error
        except FileNotFoundError:
            return UserError(f"There is no annotation {path}: {get_it(self.name)}.")
        except OSError as error:
            return UserError(f"Cannot read {path} ({error.strerror}): mend its permissions.")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            reason = f"it lacks {error}" if isinstance(error, KeyError) else error
            return UserError(f"The annotation {path} is damaged ({reason}): {get_it(self.name)}.")


def _has_layout(folder: Path) -> bool:
    return (folder / "Layout").is_dir()


def expected(split: str, size: str, chosen: Sequence[str] = ()) -> dict[str, int]:
    """What is known of the numbers of the published data, as far as it is, for some categories or (empty) for all."""
    if (split, size) == ("test", "large"):
        pairs = {name: TEST_PAIRS[name] for name in chosen or TEST_PAIRS}
        points = {} if chosen else {"points": 88328}
        return {"pairs": sum(pairs.values())} | points | {f"category/{name}": count for name, count in pairs.items()}
    return {} if chosen else {"pairs": SIZES[size][split]}


def chosen_categories(split: str, size: str, categories: Categories) -> tuple[str, ...]:
    """The categories that are asked for; none for all. Raises UserError if anything is not known."""
    chosen = (categories,) if isinstance(categories, str) else tuple(dict.fromkeys(categories or ()))
    asked = [("split", split, SPLITS), ("size", size, tuple(SIZES))]
    for setting, value, known in asked + [("categories", name, CATEGORIES) for name in chosen]:
        if value not in known:
            raise UserError(f"SPair-71k has no {value!r}: choose dataset.{setting}= from {', '.join(known)}.")
    return chosen


def with_colon(line: str) -> str:
    """A line of a layout as it is in the archive, whatever has become of its colon.

    >>> with_colon("000001-2008_002719-2008_004100_aeroplane")
    '000001-2008_002719-2008_004100:aeroplane'
    """
    for category in CATEGORIES if ":" not in line else ():
        for colon in COLONS:
            if line.endswith(colon + category):
                return f"{line.removesuffix(colon + category)}:{category}"
    return line


def _colon(files: Iterable[str]) -> str:
    """What stands for the colon in the names of the annotations' files, as the first of them says."""
    for file in files:
        name = file.removesuffix(".json")
        line = with_colon(name)
        if LINE.fullmatch(line):
            before, _, category = line.rpartition(":")
            return name.removeprefix(before).removesuffix(category)
    return ":"


def _entry(line: str) -> Entry:
    if not (found := LINE.fullmatch(line)):
        raise UserError(f"{line!r} in the layout is not number-source-target:category: {get_it(SPair.name)}.")
    return Entry(**found.groupdict())


def _note(plain: Mapping[str, Any], entry: Entry) -> dict[str, Any]:
    """What a pair is made of, checked, as plain values; a size that the annotation does not say is None.

    Raises:
        KeyError, TypeError, ValueError: if something is missing, or is not what it should be.
    """
    for name, wanted in (("category", entry.category), ("src_imname", entry.source), ("trg_imname", entry.target)):
        if Path(found := plain.get(name, wanted)).stem != wanted:
            raise ValueError(f"its {name} is {found}")
    points = [_numbers(plain[name], 2, name) for name in ("src_kps", "trg_kps")]
    names = [str(name) for name in plain.get("kps_ids", range(len(points[0])))]
    if not len(points[0]) == len(points[1]) == len(names):
        counts = f"{len(points[0])} src_kps, {len(points[1])} trg_kps and {len(names)} kps_ids"
        raise ValueError(f"it has {counts}")
    boxes = _numbers([plain["src_bndbox"], plain["trg_bndbox"]], 4, "bndbox")
    sizes = [plain[name][:2] if plain.get(name) else None for name in IMAGE_SIZES]
    _numbers([size for size in sizes if size], 2, "imsize")
    flags = {name: _word(words, plain[name]) for name, words in FLAGS.items() if name in plain}
    poses = {f"{side}_pose": plain[f"{short}_pose"] for short, side in SIDES.items() if f"{short}_pose" in plain}
    return {"points": points, "names": names, "boxes": boxes, "sizes": sizes, "flags": flags | poses}


def _numbers(rows: Any, count: int, name: str) -> list[list[float]]:
    """Rows of that many finite numbers."""
    for row in rows:
        if len(row) != count or not all(type(value) in (int, float) and math.isfinite(value) for value in row):
            raise ValueError(f"in {name}, {row} is not {count} numbers")
    return [list(row) for row in rows]


def _word(words: Sequence[str], code: int) -> str | int:
    """The word for a number; the number itself if it is not a known one."""
    return words[code] if code in range(len(words)) else code


def _pair(line: str, note: dict[str, Any] | UserError, images: ImagePoints) -> Pair:
    """The pair of a line; if all is asked for, also of the points that its source alone shows, after the others."""
    if isinstance(note, UserError):
        raise note
    entry = _entry(line)
    points = [np.array(each, dtype=np.float64).reshape(-1, 2) for each in note["points"]]
    told = images.told(entry.category, entry.source, entry.target, note["names"], points)
    return Pair(
        id=line,
        category=entry.category,
        source=f"{entry.category}/{entry.source}",
        target=f"{entry.category}/{entry.target}",
        source_size=note["sizes"][0],
        target_size=note["sizes"][1],
        source_points=told.points[0],
        target_points=told.points[1],
        visible=told.visible,
        names=told.names,
        source_box=note["boxes"][0],
        target_box=note["boxes"][1],
        flags=note["flags"],
        hidden=told.hidden,
        target_alone=told.target_alone,
    )
