"""The key-points of single pictures of SPair-71k or SPair-U, which tell what one picture of a pair alone shows.

    <root>/ImageAnnotation/<category>/<image>.json   kps: number -> [x, y], or null where the picture does not show it

A pair's annotation lists the points that both pictures show. A point with a place in the source's own annotation and
none in the target's is hidden there, cut off, or not there at all: the archive does not say which. A point that the
target alone shows is asked of nobody, and counts where GeoAware-SC's geometry-aware subset is told.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sdcorr.datasets.asking import ALL
from sdcorr.datasets.reading import Once, get_it
from sdcorr.errors import UserError

XY = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Told:
    """The points of a pair, as they are fields of `Pair`."""

    names: tuple[str, ...]
    points: Sequence[np.ndarray]  # of the source and of the target
    visible: np.ndarray
    hidden: np.ndarray | None
    target_alone: tuple[str, ...] | None


class ImagePoints:
    """The annotations of the pictures of an archive, each read when it is first asked for.

    Args:
        folder: with ImageAnnotation, which may be missing if only visible points are asked for.
        title: of the data set, for people.
        name: of the data set, for commands.
        ask: which points are asked for, see `sdcorr.datasets.asking`.

    Raises:
        UserError: if all are asked for and there is no ImageAnnotation.
    """

    def __init__(self, folder: Path, title: str, name: str, ask: str) -> None:
        self._folder, self._name = folder / "ImageAnnotation", name
        self._there, self._asks_all = self._folder.is_dir(), ask == ALL
        if self._asks_all and not self._there:
            raise UserError(
                f"dataset.ask=all needs {self._folder}, which says what the pictures of {title} do not show: "
                f"{get_it(name)}."
            )
        self._pictures = Once(self._read)

    def told(self, category: str, source: str, target: str, names: Sequence[str], points: Sequence[np.ndarray]) -> Told:
        """The points of a pair, and, if all are asked for, after them those that its source alone shows.

        Args:
            category: of the pair.
            source: the picture, as its file's name has it, without suffix.
            target: likewise.
            names: numbers of the N points that both show.
            points: of the source and of the target, two of (N, 2).

        Raises:
            UserError: if all are asked for, and an annotation is missing or damaged.
        """
        both, visible = tuple(names), np.ones(len(names), dtype=bool)
        try:
            if not self._there:
                return Told(both, points, visible, None, None)
            shown, there = self._pictures[category, source], self._pictures[category, target]
        except UserError:
            if self._asks_all:
                raise
            return Told(both, points, visible, None, None)
        target_alone = tuple(number for number in there if number not in shown and number not in both)
        if not self._asks_all:
            return Told(both, points, visible, None, target_alone)
        alone = {number: place for number, place in shown.items() if number not in there and number not in both}
        places = np.array(list(alone.values()), dtype=np.float64).reshape(-1, 2)
        every = [np.concatenate(each) for each in zip(points, (places, np.full_like(places, np.nan)), strict=True)]
        hidden = np.arange(len(both) + len(alone)) >= len(both)
        return Told((*both, *alone), every, ~hidden, hidden, target_alone)

    def _read(self, picture: tuple[str, str]) -> dict[str, XY]:
        """The points that a picture shows."""
        path = self._folder / picture[0] / f"{picture[1]}.json"
        try:
            plain = json.loads(path.read_bytes())["kps"]
            return {str(number): _place(place) for number, place in plain.items() if place is not None}
        except FileNotFoundError:
            raise UserError(f"There is no annotation {path}: {get_it(self._name)}.") from None
        except OSError as error:
            raise UserError(f"Cannot read {path} ({error.strerror}): mend its permissions.") from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            reason = f"it lacks {error}" if isinstance(error, KeyError) else error
            raise UserError(f"The annotation {path} is damaged ({reason}): {get_it(self._name)}.") from None


def _place(value: list[float]) -> XY:
    x, y = value
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ValueError(f"{value} is no place")
    return float(x), float(y)
