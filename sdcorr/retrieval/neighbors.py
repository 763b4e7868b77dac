"""Nearest neighbors among the cells of thousands of pictures, by faiss (Douze et al. 2024): an inverted file.

Cells are grouped round centers that k-means finds, and a query looks into the groups nearest to it alone. Tried on
1,000 drawings of the toybox (256,000 cells, 80 keypoints of val): of the ten best pictures 98.1 % are found in 4
groups, 99.7 % in 8 and all in 16. A graph, HNSW as usearch has it, took 12 times the time to build and 3 times the
bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from sdcorr.errors import UserError
from sdcorr.files import write_whole
from sdcorr.retrieval.cells import halved
from sdcorr.retrieval.folder import Indexed, IndexFolder

GROUPS_LOOKED_INTO = 16
GROUPS_PER_ROOT = 2  # groups for each square root of the number of vectors
LEARNED_FROM = 64  # vectors for each group, by which k-means finds it; faiss asks for 39 at least
AT_ONCE = 64  # pictures whose cells are added at a time
GROWTH = 2.0  # times the pictures that the groups were found on, at which they are found anew
LARGEST_GRID = 4096  # cells of a picture; a vector's number is the picture's times that, and the cell


class Neighbors:
    """The cells of an index's pictures, ready to be asked.

    Args:
        folder: of the index; neighbors.faiss and neighbors.json lie there.

    Raises:
        UserError: if faiss is not installed.
    """

    def __init__(self, folder: IndexFolder) -> None:
        self._faiss = _faiss()
        self._folder = folder
        self._file, self._about = (folder.folder / f"neighbors.{suffix}" for suffix in ("faiss", "json"))
        self._index: Any = None
        self._numbers: set[int] = set()  # of the pictures in it
        self._learned_on = 0  # pictures
        self._recall()

    @property
    def there(self) -> bool:
        """Whether there are any."""
        return self._index is not None

    def holds(self, pictures: Iterable[Indexed]) -> bool:
        """Whether it has the cells of these pictures and of no others."""
        return self._index is not None and self._numbers == {each.number for each in pictures}

    def update(
        self, pictures: Mapping[str, Indexed], tell: Callable[[float, str], None] = lambda cost, words: None
    ) -> None:
        """Bring it to these pictures, and write it.

        Args:
            pictures: those that are to be found, by name.
            tell: is called for every picture that is added, see `sdcorr.run.progress`.

        Raises:
            UserError: if it cannot be written.
        """
        wanted = {each.number: each for each in pictures.values()}
        if not self.there or len(wanted) > GROWTH * self._learned_on or not self._numbers & wanted.keys():
            self._learn(list(wanted.values()))
        if gone := self._numbers - wanted.keys():
            self._remove(gone)
        new = [wanted[number] for number in sorted(wanted.keys() - self._numbers)]
        for start in range(0, len(new), AT_ONCE):
            batch = new[start : start + AT_ONCE]
            vectors = np.stack([halved(self._folder.cells(picture)) for picture in batch])  # (N, k * k / 4, C)
            firsts = np.array([picture.number for picture in batch]) * LARGEST_GRID
            ids = firsts[:, None] + np.arange(vectors.shape[1])
            self._index.add_with_ids(vectors.reshape(-1, vectors.shape[-1]), ids.ravel())
            for _ in batch:
                tell(1.0, "")
        self._numbers = set(wanted)
        self._about.unlink(missing_ok=True)  # without it the other counts for nothing
        write_whole(self._file, lambda path: self._faiss.write_index(self._index, str(path)))
        told = {"learned_on": self._learned_on, "numbers": sorted(self._numbers)}
        write_whole(self._about, json.dumps(told))

    def nearest(self, query: np.ndarray, pictures: int) -> list[int]:
        """Pictures with cells like a query, the likeliest first.

        Args:
            query: (C,) of unit length.
            pictures: how many are wanted; there may be fewer.

        Returns:
            Their numbers.
        """
        count = 8 * pictures
        while True:  # neighboring cells of one picture are alike
            self._index.nprobe = GROUPS_LOOKED_INTO
            _, found = self._index.search(query[None].astype(np.float32), min(count, self._index.ntotal))
            numbers = list(dict.fromkeys((found[0][found[0] >= 0] // LARGEST_GRID).tolist()))
            if len(numbers) >= pictures or (found[0] < 0).any() or count >= self._index.ntotal:
                return numbers[:pictures]
            count *= 4

    def _learn(self, pictures: list[Indexed]) -> None:
        """Find the groups on a sample of the pictures' cells; nothing is in them yet."""
        draws = np.random.default_rng(0)
        each, width = halved(self._folder.cells(pictures[0])).shape
        total = each * len(pictures)
        groups = max(1, min(int(GROUPS_PER_ROOT * total**0.5), total // LEARNED_FROM))
        wanted = LEARNED_FROM * groups  # vectors, of four times as many pictures as would have them
        rows = sorted(draws.permutation(len(pictures))[: -(-4 * wanted // each)])
        share = wanted / (each * len(rows))
        sample = [halved(self._folder.cells(pictures[row])) for row in rows]
        chosen = np.concatenate([part[draws.random(len(part)) <= share] for part in sample])
        self._index = self._faiss.index_factory(width, f"IVF{groups},SQ8", self._faiss.METRIC_INNER_PRODUCT)
        self._index.train(chosen)
        self._numbers, self._learned_on = set(), len(pictures)

    def _remove(self, gone: set[int]) -> None:
        for number in gone:
            self._index.remove_ids(self._faiss.IDSelectorRange(number * LARGEST_GRID, (number + 1) * LARGEST_GRID))

    def _recall(self) -> None:
        """Read what was written; where that is not whole, there is none."""
        with suppress(OSError, ValueError, KeyError, TypeError, RuntimeError):
            told = json.loads(self._about.read_bytes())
            self._index = self._faiss.read_index(str(self._file))
            self._numbers, self._learned_on = set(told["numbers"]), told["learned_on"]


def _faiss() -> Any:
    """The library, or one sentence about how to get it."""
    try:
        import faiss
    except ModuleNotFoundError:
        raise UserError("An index is searched with faiss: pip install 'sdcorr[search]'.") from None
    return faiss
