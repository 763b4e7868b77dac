"""What every benchmark gives and every method takes: pairs of images with corresponding points.

The coordinate convention of the whole program, stated here once. A point is (x, y), two floats, in pixels of
the original image, before any resizing. Pixels are areas: the image covers [0, W] x [0, H] and the center of
its top-left pixel is (0.5, 0.5), so resizing an image only scales its points. Annotations that a data set
stores as integers are kept as they are. Maps are indexed [row, column]; the center of map cell [row, column]
is (column + 0.5, row + 0.5).
"""

import hashlib
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import ClassVar, Protocol

import numpy as np
from PIL import Image

from sdcorr.datasets.seen import AttentionMaps

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the original image
Broken = tuple[tuple[str, str], ...]  # (pair id, one sentence saying why it is left out)
ImageReader = Callable[[str], Image.Image]  # image key -> RGB image

# Transferring a point to one target costs about this share of optimizing its prompt embedding: 100 forward
# passes (5 restarts x 20 crops) against 645 forward and backward ones (5 restarts x 129 steps).
TRANSFER_COST = 0.08


@dataclass(frozen=True, eq=False)
class Pair:
    """One ordered pair of images with N annotated key-points, everything in pixels of the original images.

    Raises:
        ValueError: if the shapes do not agree, an asked point of the source is not a finite number, or a point is both
            visible and hidden.
    """

    id: str  # unique within the split of the data set
    category: str
    source: str  # image key: unique per picture within the data set
    target: str
    source_size: tuple[int, int]  # (W, H)
    target_size: tuple[int, int]
    source_points: np.ndarray  # (N, 2) float64
    target_points: np.ndarray  # (N, 2) float64; NaN where unknown
    visible: np.ndarray  # (N,) bool: both images show the point; it is scored where its place in the target is known
    names: tuple[str, ...]  # N names of the key-points
    source_box: Box | None = None  # box of the object
    target_box: Box | None = None
    ambiguous: np.ndarray | None = None  # (N,) bool: the part has a look-alike on the same object
    flags: Mapping[str, str | int | float] = field(default_factory=dict)  # what the data set says about difficulty
    hidden: np.ndarray | None = None  # (N,) bool: the source alone shows the point, and it is asked for; None: none is
    target_alone: tuple[str, ...] | None = None  # names of key-points that the target alone shows; None: nobody knows

    def __post_init__(self) -> None:
        set_field = object.__setattr__  # the usual way to tidy the fields of a frozen dataclass
        set_field(self, "source_points", _constant(self.source_points, np.float64))
        set_field(self, "target_points", _constant(self.target_points, np.float64))
        set_field(self, "visible", _constant(self.visible, bool))
        set_field(self, "names", tuple(self.names))
        if self.target_alone is not None:
            set_field(self, "target_alone", tuple(self.target_alone))
        if self.hidden is not None:
            set_field(self, "hidden", _constant(self.hidden, bool))
        if self.ambiguous is not None:
            set_field(self, "ambiguous", _constant(self.ambiguous, bool))
        for name in ("source_size", "target_size"):
            set_field(self, name, tuple(int(side) for side in getattr(self, name)))
        for name in ("source_box", "target_box"):
            if (box := getattr(self, name)) is not None:
                set_field(self, name, tuple(float(edge) for edge in box))
        self._check()

    def _check(self) -> None:
        count = len(self.names)
        shapes = {
            "source_points": (count, 2),
            "target_points": (count, 2),
            "visible": (count,),
            "hidden": (count,),
            "ambiguous": (count,),
        }
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise ValueError(f"pair {self.id}: {name} has shape {value.shape}, its {count} names ask for {shape}")
        if self.hidden is not None:
            if (self.hidden & self.visible).any():
                raise ValueError(f"pair {self.id}: a point is both visible and hidden")
            truth = np.where(self.hidden[:, None], np.nan, self.target_points)  # a drawing knows where a hidden one is
            object.__setattr__(self, "target_points", _constant(truth, np.float64))
        if not np.isfinite(self.query_points).all():
            raise ValueError(f"pair {self.id}: an asked point in source_points is not a finite number")
        if np.isinf(self.true_points).any():
            raise ValueError(f"pair {self.id}: an asked point in target_points is infinite")
        for name, length in (("source_size", 2), ("target_size", 2), ("source_box", 4), ("target_box", 4)):
            value = getattr(self, name)
            if value is not None and len(value) != length:
                raise ValueError(f"pair {self.id}: {name} has {len(value)} numbers instead of {length}")

    @property
    def asked(self) -> np.ndarray:
        """Which points are asked for, (N,) bool: the visible ones and, with `dataset.ask=all`, the hidden ones."""
        return self.visible if self.hidden is None else self.visible | self.hidden

    @property
    def query_points(self) -> np.ndarray:
        """The V asked points of the source, (V, 2) pixels of the source image: the query points."""
        return self.source_points[self.asked]

    @property
    def true_points(self) -> np.ndarray:
        """The same V points in the target, (V, 2) pixels of the target image: NaN where unknown, and where hidden."""
        return self.target_points[self.asked]

    @property
    def has_truth(self) -> np.ndarray:
        """Which of the V asked points have a place in the target by which they can be scored, (V,) bool."""
        return np.asarray(~np.isnan(self.true_points).any(-1))

    @property
    def is_hidden(self) -> np.ndarray:
        """Which of the V asked points the target does not show, (V,) bool; others without a truth are unknown."""
        hidden = np.zeros(len(self.names), dtype=bool) if self.hidden is None else self.hidden
        return hidden[self.asked]

    @property
    def asked_names(self) -> tuple[str, ...]:
        """The names of the V asked points."""
        return tuple(name for name, asked in zip(self.names, self.asked, strict=True) if asked)


@dataclass(frozen=True, eq=False)
class Match:
    """A method's answer for one pair: its V asked points, in the pair's order.

    Evidence is what a match leaves behind from which it can be learned how far to trust it; `sdcorr.methods.evidence`
    says what there is.

    Raises:
        ValueError: if the shapes do not agree, or a number is not finite or a confidence outside [0, 1].
    """

    points: np.ndarray  # (V, 2) float64, pixels of the original target image
    confidence: np.ndarray  # (V,) float64 in [0, 1]; what it means is the method's to say
    maps: AttentionMaps | None = None  # if it was asked for and the method has any
    evidence: Mapping[str, np.ndarray] = field(default_factory=dict)  # name -> (V,) float64: what else is known of them

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _constant(self.points, np.float64).reshape(-1, 2))
        object.__setattr__(self, "confidence", _constant(self.confidence, np.float64))
        evidence = {name: _constant(values, np.float64) for name, values in self.evidence.items()}
        object.__setattr__(self, "evidence", evidence)
        if self.confidence.shape != self.points.shape[:1]:
            raise ValueError(f"{len(self.points)} matched points with confidences of shape {self.confidence.shape}")
        if not np.isfinite(self.points).all():
            raise ValueError("a matched point is not a finite number")
        if not ((self.confidence >= 0) & (self.confidence <= 1)).all():  # NaN fails too
            raise ValueError("a confidence is outside [0, 1]")
        for name, values in self.evidence.items():
            if values.shape != self.confidence.shape or not np.isfinite(values).all():
                raise ValueError(f"the evidence {name} is not a finite number for each point")

    def of(self, points: np.ndarray) -> "Match":
        """That of some of the points, chosen by a mask (V,) or by indices."""
        evidence = {name: values[points] for name, values in self.evidence.items()}
        maps = self.maps.of(points) if self.maps else None
        return Match(self.points[points], self.confidence[points], maps, evidence)


def scorable(pair: Pair, match: Match) -> tuple[Pair, Match]:
    """A pair and its match with those points only whose place in the target is known: what PCK is of."""
    known = pair.has_truth
    if pair.hidden is None and known.all():
        return pair, match
    visible = pair.asked.copy()
    visible[visible] = known
    return replace(pair, visible=visible, hidden=None), match.of(known)


class Benchmark(Protocol):
    """One split of a data set: a list of pairs, and the pictures that they name.

    This is the whole contract: a data set is a class with these in a file of `sdcorr/datasets`, and a yaml in
    `configs/dataset` whose `_target_` is the class and whose other keys are its arguments. What has a value here may be
    left away by a data set that has nothing to say of it.

    Attributes:
        name, title: how commands and protocols call it, `dataset=<name>`; how people do.
        split: which part of it this is.
        pairs: in the order of its list, every id once.
        broken: the listed pairs that cannot be read, and why; the rest of the data set is used.
        expected: what is known of the published split: `pairs`, `images`, `points`, `category/<name>` for the pairs of
            a category. The dataset card shows them beside what is there.
        identity: what beside the configuration tells runs on it from runs on other data; `called` is for people.
    """

    name: str
    title: ClassVar[str] = ""
    split: str
    pairs: Sequence[Pair]
    broken: Broken = ()
    expected: Mapping[str, int] = MappingProxyType({})

    @property
    def identity(self) -> Mapping[str, str]:
        """Nothing, if the configuration says it all."""
        return {}

    @property
    def called(self) -> str:
        """What runs on it are named after."""
        return f"{self.name}-{self.split}"

    @property
    def groups(self) -> Mapping[str, Sequence[str]]:
        """The keys of its pictures by category, each once: all that is asked for where no annotation counts."""
        found: dict[str, dict[str, None]] = {}
        for pair in self.pairs:
            found.setdefault(pair.category, {}).update({pair.source: None, pair.target: None})
        return {category: tuple(keys) for category, keys in found.items()}

    @abstractmethod
    def image(self, key: str) -> Image.Image:
        """The RGB image of that key. Raises UserError if the file is missing or cannot be read."""

    @abstractmethod
    def digest(self, key: str) -> str:
        """16 hexadecimal digits that name what decides the pixels of that picture: another picture, another digest.

        It is asked for at every run, of every picture, so it is quick; `sdcorr.datasets.pictures.PictureFiles` has it
        for pictures that are files. Raises UserError if the file is missing or cannot be read.
        """


@dataclass(frozen=True, eq=False)
class Target:
    """One target of a source image: a pair, and which of the unit's query points it asks for."""

    pair: Pair
    points: tuple[int, ...]  # for each asked point of the pair, its index into SourceUnit.points


@dataclass(frozen=True, eq=False)
class SourceUnit:
    """The unit of work: one source image, all its distinct query points, all its targets.

    A prompt embedding depends on the source image and the query point only, so it is found once here and
    transferred to every target.
    """

    source: str  # image key
    points: np.ndarray  # (P, 2) float64 distinct query points, pixels of the source image
    targets: tuple[Target, ...]

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of this source image, in the order of the data set."""
        return tuple(target.pair for target in self.targets)

    @property
    def cost(self) -> float:
        """The expected work in optimized query points, to start the heaviest units first."""
        return len(self.points) + TRANSFER_COST * sum(len(target.points) for target in self.targets)


def unit_name(source: str) -> str:
    """A file name, legal everywhere, for the unit of a source image: the readable part of its key and a hash.

    >>> unit_name("bird/2008_001:a")
    'bird_2008_001_a-56f64710'
    """
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", source).strip("._")[-80:]
    return f"{readable}-{hashlib.sha256(source.encode()).hexdigest()[:8]}"


def group_by_source(pairs: Iterable[Pair]) -> list[SourceUnit]:
    """Units of work in the order in which their sources first appear; a pair without an asked point stays in its."""
    by_source: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_source.setdefault(pair.source, []).append(pair)
    return [_unit(source, members) for source, members in by_source.items()]


def _unit(source: str, pairs: Sequence[Pair]) -> SourceUnit:
    index: dict[tuple[float, float], int] = {}
    targets = []
    for pair in pairs:
        points = tuple(index.setdefault((x, y), len(index)) for x, y in pair.query_points.tolist())
        targets.append(Target(pair, points))
    return SourceUnit(source, np.array(list(index), dtype=np.float64).reshape(-1, 2), tuple(targets))


def _constant(values: np.ndarray, dtype: type) -> np.ndarray:
    array = np.array(values, dtype=dtype)
    array.setflags(write=False)
    return array
