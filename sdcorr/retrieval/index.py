"""An index of pictures put to use: points of other pictures found in the likeliest of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from sdcorr.errors import UserError
from sdcorr.images import check_points
from sdcorr.methods.maps import Features
from sdcorr.methods.peaks import Peaks
from sdcorr.retrieval.folder import Indexed, IndexFolder
from sdcorr.retrieval.neighbors import Neighbors

Reader: TypeAlias = Callable[[Sequence[Image.Image]], Sequence[Features]]  # RGB pictures to their features

LOOKED_AT = 8  # times the pictures that are wanted are looked at exactly
LEAST_LOOKED_AT = 100


@dataclass(frozen=True)
class Hit:
    """A picture in which the point was found."""

    picture: str  # path from the folder of the pictures
    point: tuple[float, float]  # xy, pixels of the picture as one sees it
    cosine: float  # of the features there with those at the point that was asked for


class PictureIndex:
    """Searches an index.

        index = PictureIndex(IndexFolder(Path("pictures/.sdcorr/search")), finder.peaks)
        (picture,) = finder.read(["a.jpg"])
        for hit in index.search(picture, (120, 80)): ...

    Args:
        folder: of the index, as `sdcorr index` makes one.
        peaks: how a point is read from a map, as the method has it.
        leave_out: names of pictures that are not to be found, such as those that have changed since.

    Raises:
        UserError: if there is no whole index, or faiss is not installed.
    """

    def __init__(self, folder: IndexFolder, peaks: Peaks, leave_out: Sequence[str] = ()) -> None:
        self.folder, self.peaks = folder, peaks
        self._neighbors = Neighbors(folder)
        if not self._neighbors.there:
            raise UserError(f"{folder.folder} has no index that is finished: make one with `sdcorr index`.")
        self._of = {number: each for number, each in self._by_number() if each.name not in set(leave_out)}

    def __len__(self) -> int:
        return len(self._of)

    def search(self, source: Features, point: Sequence[float], most: int = 10, exact: bool = False) -> list[Hit]:
        """The pictures with the place that is most like a point, the likeliest first.

        Args:
            source: features of the picture with the point, read as the index's were.
            point: xy, pixels of that picture.
            most: pictures that are wanted.
            exact: look at every picture and not at the likeliest alone.

        Raises:
            UserError: if the point is outside the picture, or the features are not of the index's kind.
        """
        place = np.asarray(point, dtype=float).reshape(-1, 2)
        check_points(place, source.layout.size)
        query = F.normalize(source.at(place).float(), dim=1).cpu().numpy()  # (1, C)
        looked_at = max(LEAST_LOOKED_AT, LOOKED_AT * most)
        near = self._of if exact else self._neighbors.nearest(query[0], looked_at)
        pictures = [self._of[number] for number in near if number in self._of]
        if not pictures:
            return []
        if (kept := self.folder.cells(pictures[0]).values.shape[1]) != query.shape[1]:
            raise UserError(
                f"The picture's features have {query.shape[1]} channels and the index's {kept}: read it by what has "
                "made the index."
            )
        maps = np.concatenate([self.folder.cells(picture).cosines(query) for picture in pictures])  # (N, k, k)
        best = np.argsort(-maps.max((1, 2)), kind="stable")[:most]
        cells, cosines = self.peaks.find(torch.from_numpy(maps[best]))
        shares = cells / maps.shape[-1]  # of each picture's width and height
        chosen = [pictures[row] for row in best]
        return [
            Hit(picture.name, (float(x), float(y)), float(cosine))
            for picture, (x, y), cosine in zip(chosen, shares * [each.size for each in chosen], cosines, strict=True)
        ]

    def _by_number(self) -> Iterator[tuple[int, Indexed]]:
        for each in self.folder.pictures.values():
            yield each.number, each
