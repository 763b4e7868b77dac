"""A small benchmark and methods whose answers are known, for the tests of the evaluation."""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sdcorr.datasets import Benchmark, ImageReader, Match, Pair, SourceUnit
from sdcorr.digests import digest
from sdcorr.errors import UserError
from sdcorr.finite import not_finite
from sdcorr.methods.base import Claim, Method
from sdcorr.run.missing import try_again
from sdcorr.run.predict import predict
from sdcorr.run.records import Failure
from sdcorr.run.store import PredictionStore

CONFIG = {"dataset": {"name": "fake", "split": "test"}}
CLAIM = Claim("tests.run.fakes.FakeMethod", 1, {"steps": 129}, {"unet/weights": "3fa0", "unet/config.json": "77"})


def make_pair(id: str = "a-b", points: int = 3, **changes: object) -> Pair:
    """A pair of a 100 x 50 source and an 80 x 160 target; the points depend on its id only."""
    draws = np.random.default_rng(list(id.encode()))
    source, target = id.split("-")[:2]
    fields = {
        "id": id,
        "category": "cat",
        "source": source,
        "target": target,
        "source_size": (100, 50),
        "target_size": (80, 160),
        "source_points": draws.integers(0, 50, (points, 2)),
        "target_points": draws.integers(0, 80, (points, 2)),
        "visible": np.ones(points, dtype=bool),
        "names": [f"part {index}" for index in range(points)],
        "source_box": (10, 10, 60, 40),
        "target_box": (5, 20, 45, 120),
    }
    return Pair(**(fields | changes))


class FakeBenchmark(Benchmark):
    """Pairs between all ordered pairs of images; `broken` images cannot be read.

    An image is a color, which `colors` may change.
    """

    name, split = "fake", "test"

    def __init__(self, images: Sequence[str] = "abcd", broken: Sequence[str] = ()) -> None:
        self.colors = dict.fromkeys(images, "black")
        self.pairs = [
            make_pair(f"{s}-{t}", points=2 + index % 3) for index, s in enumerate(images) for t in images if s != t
        ]
        self.broken = broken

    def image(self, key: str) -> Image.Image:
        if key in self.broken:
            raise UserError(f"The image {key} is damaged: replace the file.")
        return Image.new("RGB", (8, 8), self.colors[key])

    def digest(self, key: str) -> str:
        self.image(key)
        return digest(self.colors[key])


class Pictureless:
    """Pairs of any data set; nobody has its pictures."""

    def __init__(self, pairs: Sequence[Pair], name: str = "fake", split: str = "test") -> None:
        self.pairs, self.name, self.split = pairs, name, split

    def image(self, key: str) -> Image.Image:
        raise UserError(f"There is no image {key}.")

    def digest(self, key: str) -> str:
        raise UserError(f"There is no image {key}.")


class FakeMethod(Method):
    """Answers that depend on the pair and the query points alone; it reads images as a real method does."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.matched: list[str] = []  # ids of the pairs, in order
        self.prepared = 0

    def prepare(self) -> None:
        self.prepared += 1

    def match(self, unit: SourceUnit, image: ImageReader) -> Iterator[tuple[Pair, Match]]:
        image(unit.source)
        for target in unit.targets:
            image(target.pair.target)
            time.sleep(self.seconds)
            self.matched.append(target.pair.id)
            yield target.pair, answer(target.pair, unit.points[list(target.points)])


class Overflowing(FakeMethod):
    """Its network makes NaN of some images; whoever notices knows of which, or does not."""

    def __init__(self, of: str, known: bool = True) -> None:
        super().__init__()
        self.of, self.known = of, known
        self.tried: list[str] = []  # source images

    def match(self, unit: SourceUnit, image: ImageReader) -> Iterator[tuple[Pair, Match]]:
        self.tried.append(unit.source)
        self._read(unit.source)
        for pair, match in super().match(unit, image):
            self._read(pair.target)
            yield pair, match

    def _read(self, key: str) -> None:
        if key in self.of:
            raise not_finite(f"The features of {key} are", "bf16", key if self.known else None)


def answer(pair: Pair, queries: np.ndarray) -> Match:
    """Pseudo-random points in the target."""
    digests = [hashlib.sha256(f"{pair.id} {x} {y}".encode()).digest() for x, y in queries.tolist()]
    numbers = np.array([list(digest[:3]) for digest in digests], dtype=float).reshape(-1, 3) / 255
    return Match(numbers[:, :2] * pair.target_size, numbers[:, 2])


def claimed(
    folder: PredictionStore | Path, benchmark: Benchmark, *methods: str, claim: Claim = CLAIM, config: Mapping = CONFIG
) -> PredictionStore:
    """A run folder that is of a benchmark, and of some methods that are all the same."""
    store = folder if isinstance(folder, PredictionStore) else PredictionStore(folder)
    store.claim_run(config, benchmark)
    for method in methods:
        store.claim(method, claim)
    return store


def evaluate(
    benchmark: Benchmark,
    method: Method,
    store: PredictionStore,
    name: str = "fake",
    claim: Claim = CLAIM,
    config: Mapping = CONFIG,
    **how: Any,
) -> tuple[Failure, ...]:
    """Predicts as an evaluation does, which says first what the run and the method are."""
    claimed(store, benchmark, name, claim=claim, config=config)
    shares = {key: value for key, value in how.items() if key in ("rank", "world_size")}
    try_again(benchmark, store, [name], **shares)
    return predict(benchmark, lambda: method, store, name, **how)
