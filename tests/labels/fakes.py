"""Pictures without annotation, and a method whose features are the pictures themselves."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from PIL import Image

from sdcorr.datasets import Benchmark, ImageReader, Match, Pair, SourceUnit
from sdcorr.digests import digest
from sdcorr.errors import UserError
from sdcorr.images import to_tensor
from sdcorr.labels.labeler import Labeler
from sdcorr.labels.work import Extent, pictures_of
from sdcorr.methods.features import FeatureMethod
from sdcorr.methods.layout import Layout
from sdcorr.methods.maps import Features
from sdcorr.methods.peaks import Peaks

SIDE = 64  # pixels
EXTENT = Extent(points=4, pictures=0, sources=0, targets=0)


class Blobs(Benchmark):
    """Pictures of one red and one blue square on noisy gray, somewhere; `pairs` may not be asked for.

    Attributes:
        seeds: of each picture's noise and places, by key; another seed is another picture.
    """

    name, split = "blobs", "all"

    def __init__(self, keys: Sequence[str] = ("a", "b", "c", "d")) -> None:
        self.seeds = {key: number for number, key in enumerate(keys)}
        self.damaged: set[str] = set()
        self.gone: set[str] = set()

    @property
    def pairs(self):
        raise AssertionError("annotations are looked at")

    @property
    def groups(self) -> Mapping[str, Sequence[str]]:
        return {"blobs": tuple(self.seeds)}

    def places(self, key: str) -> np.ndarray:
        """Top left corners (x, y) of the red square and of the blue one, 16 pixels a side."""
        draws = np.random.default_rng([1, self.seeds[key]])
        return np.array([draws.integers(8, 16, 2), draws.integers(32, 40, 2)])

    def image(self, key: str) -> Image.Image:
        if key in self.damaged:
            raise UserError(f"{key} is damaged: replace the file.")
        pixels = 120 + np.random.default_rng([2, self.seeds[key]]).integers(-6, 7, (SIDE, SIDE, 3))
        for (x, y), color in zip(self.places(key), ((220, 30, 30), (30, 30, 220)), strict=True):
            pixels[y : y + 16, x : x + 16] += np.array(color) - 120
        return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))

    def digest(self, key: str) -> str:
        if key in self.gone:
            raise UserError(f"There is no {key}.")
        return digest(str(self.seeds[key]))


class Colors(FeatureMethod):
    """Compares colors, seen from gray. `matched` has the keys of all targets so far."""

    def __init__(self) -> None:
        super().__init__("colors", Peaks())
        self.matched: list[tuple[str, str]] = []
        self.stop_after: int | None = None  # targets, and then it is killed

    def read(self, key: str, image: ImageReader, category: str) -> Features:
        return Features(to_tensor(image(key)) - 120 / 255, Layout((SIDE, SIDE), (SIDE, SIDE), (0, 0, SIDE, SIDE)))

    def match(self, unit: SourceUnit, image: ImageReader) -> Iterator[tuple[Pair, Match]]:
        for pair, match in super().match(unit, image):
            if len(self.matched) == self.stop_after:
                raise KeyboardInterrupt
            self.matched.append((pair.source, pair.target))
            yield pair, match


def labeler_of(blobs: Blobs, method: Colors, extent: Extent = EXTENT) -> Labeler:
    groups, _, _ = pictures_of(blobs, extent)
    return Labeler(method, blobs, groups, extent.points)
