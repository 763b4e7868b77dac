"""The key-points of single pictures of SPair-71k or SPair-U, which tell what the target of a pair does not show.

    <root>/ImageAnnotation/<category>/<image>.json   kps: number -> [x, y], or null where the picture does not show it

A pair's annotation lists the points that both pictures show. A point with a place in the source's own annotation and
none in the target's is hidden there, cut off, or not there at all: the archive does not say which.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sdcorr.datasets.reading import Once, get_it
from sdcorr.errors import UserError

XY = tuple[float, float]


class ImagePoints:
    """The annotations of the pictures of an archive, each read when it is first asked for.

    Args:
        folder: with ImageAnnotation.
        title: of the data set, for people.
        name: of the data set, for commands.

    Raises:
        UserError: if there is no ImageAnnotation.
    """

    def __init__(self, folder: Path, title: str, name: str) -> None:
        self._folder, self._name = folder / "ImageAnnotation", name
        if not self._folder.is_dir():
            raise UserError(
                f"dataset.ask=all needs {self._folder}, which says what the pictures of {title} do not show: "
                f"{get_it(name)}."
            )
        self._pictures = Once(self._read)

    def added(
        self, category: str, source: str, target: str, names: Sequence[str], points: Sequence[np.ndarray]
    ) -> tuple[tuple[str, ...], list[np.ndarray], np.ndarray]:
        """The points of a pair, and after them those that its source alone shows.

        Args:
            category: of the pair.
            source: the picture, as its file's name has it, without suffix.
            target: likewise.
            names: numbers of the N points that both show.
            points: of the source and of the target, two of (N, 2).

        Returns:
            The N + H names; the points, two of (N + H, 2), NaN where the target does not show one; which are the N.

        Raises:
            UserError: if an annotation is missing or damaged.
        """
        shown, there = self._pictures[category, source], self._pictures[category, target]
        alone = {
            number: place
            for number, place in shown.items()
            if place is not None and there.get(number) is None and number not in names
        }
        places = np.array(list(alone.values()), dtype=np.float64).reshape(-1, 2)
        both = [np.concatenate(each) for each in zip(points, (places, np.full_like(places, np.nan)), strict=True)]
        return (*names, *alone), both, np.arange(len(names) + len(alone)) < len(names)

    def _read(self, picture: tuple[str, str]) -> dict[str, XY | None]:
        path = self._folder / picture[0] / f"{picture[1]}.json"
        try:
            plain = json.loads(path.read_bytes())["kps"]
            return {str(number): None if place is None else _place(place) for number, place in plain.items()}
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
