"""The toybox as a benchmark: fixed pairs of unseen drawings of one class, few sources with several targets each."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property, lru_cache

from PIL import Image

from sdcorr.datasets.base import Benchmark, Pair
from sdcorr.errors import UserError
from sdcorr.toybox.classes import THINGS
from sdcorr.toybox.world import SIZE, TEST, VAL, Drawing, draw


@dataclass(frozen=True)
class Split:
    """Which drawings a split is made of."""

    world: int  # first number of its drawings' seeds
    sources: int  # of each class
    targets: int  # of each source


SPLITS = {
    "val": Split(VAL, sources=2, targets=6),
    "test": Split(TEST, sources=4, targets=6),
    "demo": Split(TEST, sources=1, targets=4),  # the first of test
}


class Toybox(Benchmark):
    """Pairs of drawings. An image's key is `world/class/source` or `world/class/source/target`, which is also its seed.

    Raises:
        UserError: if there is no such split.
    """

    name = "toybox"
    title = "the toybox"

    def __init__(self, split: str = "test"):
        if split not in SPLITS:
            raise UserError(
                f"The toybox has no split '{split}': choose one of {', '.join(SPLITS)} with dataset.split=NAME."
            )
        self.split = split

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Every source with each of its targets; always the same ones."""
        size = SPLITS[self.split]
        return tuple(
            _pair(f"{size.world}/{name}/{source}", target)
            for name in THINGS
            for source in range(size.sources)
            for target in range(size.targets)
        )

    def image(self, key: str) -> Image.Image:
        """The drawing of that key, `(SIZE, SIZE)` RGB."""
        return drawing(key).image

    def drawing(self, key: str) -> Drawing:
        """The drawing of that key with everything that is known of it."""
        return drawing(key)


@lru_cache(maxsize=512)
def drawing(key: str) -> Drawing:
    """The drawing that an image key names."""
    world, name, source, *target = key.split("/")
    # a seed's trailing zeros mean nothing to numpy, so 0 is the source itself and targets count from 1
    picture = int(target[0]) + 1 if target else 0
    return draw((int(world), zlib.crc32(name.encode()), int(source), picture), category=name)


def _pair(source_key: str, target: int) -> Pair:
    target_key = f"{source_key}/{target}"
    source, found = drawing(source_key), drawing(target_key)
    return Pair(
        id=f"{source_key}-{target}",
        category=source.category,
        source=source_key,
        target=target_key,
        source_size=(SIZE, SIZE),
        target_size=(SIZE, SIZE),
        source_points=source.points,
        target_points=found.points,
        visible=source.visible & found.visible,
        names=source.names,
        source_box=source.box,
        target_box=found.box,
        ambiguous=source.look_alike,
    )
