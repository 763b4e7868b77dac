"""The toybox as a benchmark: fixed pairs of unseen drawings of one class, a few sources with several targets each."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from PIL import Image

from sdcorr.datasets.asking import VISIBLE, check_ask, hidden_points
from sdcorr.datasets.base import Benchmark, Pair
from sdcorr.digests import digest
from sdcorr.errors import UserError
from sdcorr.toybox.classes import THINGS
from sdcorr.toybox.hiding import chosen
from sdcorr.toybox.world import HIDDEN_TEST, HIDDEN_VAL, SIZE, TEST, TRAIN, VAL, Drawing, draw


@dataclass(frozen=True)
class Split:
    """Which drawings make up a split."""

    world: int  # first number of its drawings' seeds
    sources: int  # of each class
    targets: int  # of each source
    hiding: int | None = None  # of the targets, that hide a point which their source shows; None: as it comes


SPLITS = {
    "val": Split(VAL, sources=2, targets=6),
    "test": Split(TEST, sources=4, targets=6),
    "demo": Split(TEST, sources=1, targets=4),  # the first of test
    # One pair in ten hides a point; these have enough to learn and to measure what tells that it is not there.
    "hidden_val": Split(HIDDEN_VAL, sources=5, targets=12, hiding=8),
    "hidden_test": Split(HIDDEN_TEST, sources=5, targets=12, hiding=8),
    "train": Split(TRAIN, sources=1000, targets=0),  # pictures of the world that the shipped model learned from
}


class Toybox(Benchmark):
    """Pairs of drawings. An image's key is `world/class/source` or `world/class/source/target`, which is also its seed.

    Args:
        split: val, test or demo; hidden_val or hidden_test, most of whose targets hide a point; or train, which has
            pictures and no pairs: what may be learned from.
        ask: `visible`, or `all`: points that the target hides, behind an occluder or a part of its own, as well.

    Raises:
        UserError: if there is no such split, or no such way to ask.
    """

    name = "toybox"
    title = "the toybox"

    def __init__(self, split: str = "test", ask: str = VISIBLE) -> None:
        if split not in SPLITS:
            raise UserError(
                f"The toybox has no split '{split}': choose one of {', '.join(SPLITS)} with dataset.split=NAME."
            )
        check_ask(ask)
        self.split, self._ask = split, ask

    @cached_property  # all drawings are drawn for it
    def pairs(self) -> tuple[Pair, ...]:  # pyright: ignore[reportIncompatibleVariableOverride] - it is read as one
        """Every source with each of its targets, the same ones every time.

        Raises:
            UserError: if the split has none.
        """
        size = SPLITS[self.split]
        if not size.targets:
            raise UserError(
                f"The toybox's split {self.split} has pictures and no pairs: it is there for `sdcorr label`."
            )
        return tuple(
            pair_of(f"{size.world}/{name}/{source}", target, self._ask)
            for name in THINGS
            for source in range(size.sources)
            for target in self._targets(name, source)
        )

    def _targets(self, name: str, source: int) -> Sequence[int]:
        """The numbers of a source's targets."""
        size = SPLITS[self.split]
        return range(size.targets) if size.hiding is None else chosen()[self.split][name][source]

    @property
    def groups(self) -> Mapping[str, Sequence[str]]:
        """The keys of the split's drawings by class, sources before targets; nothing is drawn for it."""
        size = SPLITS[self.split]
        sources = {name: [f"{size.world}/{name}/{number}" for number in range(size.sources)] for name in THINGS}
        return {
            name: (*keys, *(f"{key}/{to}" for number, key in enumerate(keys) for to in self._targets(name, number)))
            for name, keys in sources.items()
        }

    def image(self, key: str) -> Image.Image:
        """Return the drawing of that key, RGB, SIZE x SIZE pixels."""
        return drawing(key).image

    def digest(self, key: str) -> str:
        """That of the drawing's pixels, see `Benchmark.digest`: other code may draw otherwise."""
        return digest(drawing(key).image.tobytes())

    def drawing(self, key: str) -> Drawing:
        """Return the drawing of that key with its annotations."""
        return drawing(key)


@lru_cache(maxsize=512)
def drawing(key: str) -> Drawing:
    """Return the drawing that an image key names, with its annotations."""
    return draw(seed_of(key), category=key.split("/")[1])


def seed_of(key: str) -> tuple[int, ...]:
    """The seed of the drawing that an image key names."""
    world, name, source, *target = key.split("/")
    # numpy ignores a seed's trailing zeros, so 0 is the source itself and targets count from 1
    picture = int(target[0]) + 1 if target else 0
    return int(world), zlib.crc32(name.encode()), int(source), picture


def pair_of(source_key: str, target: int, ask: str) -> Pair:
    """The pair of a source and one of its targets.

    Args:
        source_key: `world/class/source`.
        target: number of the target.
        ask: visible or all, see `sdcorr.datasets.asking`.
    """
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
        hidden=hidden_points(ask, source.visible, found.visible),
    )
