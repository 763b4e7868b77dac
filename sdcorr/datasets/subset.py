"""A part of a data set that stands for the whole, chosen for what it costs.

Optimizing the prompt embeddings of a source image costs some twelve times as much as carrying them to a target, so a
few targets of each source are nearly free. They say less than as many pairs of different sources, though: where a third
to a half of what a pair's score varies by is its source's, two-stage sampling learns most for its cost with three to
five targets of each source (sqrt(cost of a source / of a target * (1 - share) / share)). Four are taken here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from PIL import Image

from sdcorr.datasets.base import Benchmark, Broken, Pair

TARGETS = 4  # of one source, before the next source has its turn


def limited(pairs: Sequence[Pair], count: int) -> tuple[Pair, ...]:
    """The first `count` pairs of an even spread over the categories, in the order of the data set.

    The categories take turns, one pair each. Within one, the first source gives its first TARGETS pairs, then the
    second source, and so on; when all have, the first goes on. Pairs without a point come last, for nothing is to be
    learned from them. A larger part holds every smaller one, so what was predicted is not lost.

    Args:
        pairs: of a data set.
        count: how many; 0 for all.

    Returns:
        the part; all pairs if there are no more.
    """
    if not count or count >= len(pairs):
        return tuple(pairs)
    of_category: dict[str, list[int]] = {}
    for index, pair in enumerate(pairs):
        of_category.setdefault(pair.category, []).append(index)
    queues = [list(_turns(pairs, members)) for _, members in sorted(of_category.items())]
    spread = [index for turn in zip_longest(*queues) for index in turn if index is not None]
    spread.sort(key=lambda index: not pairs[index].visible.any())  # stable
    return tuple(pairs[index] for index in sorted(spread[:count]))


class Part(Benchmark):
    """A benchmark of which only some pairs are asked for: `limited(whole.pairs, limit)`.

    Pairs of the whole that cannot be read are not this part's, and the published counts are not those of it.

    Attributes:
        whole: all of it.
        limit: how many pairs were asked for.
    """

    def __init__(self, whole: Benchmark, limit: int) -> None:
        self.whole, self.limit = whole, limit
        self.name, self.split, self.pairs = whole.name, whole.split, limited(whole.pairs, limit)
        self.broken: Broken = ()

    @property
    def identity(self) -> Mapping[str, str]:
        """That of the whole; which part it is, the pairs say."""
        return self.whole.identity

    @property
    def called(self) -> str:
        """As the whole: another part is another run of it."""
        return self.whole.called

    def image(self, key: str) -> Image.Image:
        """The image of the whole."""
        return self.whole.image(key)

    def digest(self, key: str) -> str:
        """What decides the pixels of that image, as the whole says."""
        return self.whole.digest(key)


def _turns(pairs: Sequence[Pair], members: Sequence[int]) -> Iterator[int]:
    """The pairs of a category: TARGETS of every source in turn, until there are no more."""
    of_source: dict[str, list[int]] = {}
    for index in members:
        of_source.setdefault(pairs[index].source, []).append(index)
    most = max(map(len, of_source.values()))
    for start in range(0, most, TARGETS):
        for found in of_source.values():
            yield from found[start : start + TARGETS]
