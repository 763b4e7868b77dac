"""Which labels are kept: thresholds on what speaks for each, and how much each of them takes away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from sdcorr.errors import UserError


@dataclass(frozen=True)
class Filters:
    """A label is kept if it passes all. A filter that is None removes nothing.

    Raises:
        UserError: if a value is no number from 0.
    """

    confidence: float | None  # the method's own, at least
    margin: float | None  # of the map's greatest peak over its second, in units of a logarithm, at least
    way_back: float | None  # distance at which the way back ends, in longer sides of the source, at most
    dissent: float | None  # distance from the peak that the consensus chooses, in longer sides of the target, at most
    likeness: float | None  # cosine of the features at the point and at its match, at least
    on_object: float | None  # how unlike the pictures' borders the match's place is, at least; above 1 it is the object
    support: float | None  # share of the labels of its track that pass all the others, at least

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0):
                raise UserError(f"filters.{name}={value} is not legal: give a number from 0, or null for no filter.")

    def passed(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Which labels pass each filter.

        Args:
            columns: `track` and a column of every other filter's name, (N,) each, with all labels of each track.

        Returns:
            By filter (N,) bool, `support` last.
        """
        passed = {}
        for name in ("confidence", "margin", "likeness", "on_object"):
            passed[name] = columns[name] >= _or(getattr(self, name), -np.inf)
        for name in ("way_back", "dissent"):
            passed[name] = columns[name] <= _or(getattr(self, name), np.inf)
        _, track = np.unique(columns["track"], return_inverse=True)
        good = np.bincount(track, np.logical_and.reduce(list(passed.values()))) / np.bincount(track).clip(1)
        passed["support"] = good[track] >= _or(self.support, -np.inf)
        return passed


@dataclass(frozen=True)
class Removal:
    """What a filter does to a set of labels."""

    name: str
    threshold: float
    alone: int  # labels that it would remove if it were the only one
    left: int  # labels that it and those before it leave


def removals(filters: Filters, columns: Mapping[str, np.ndarray]) -> Iterator[Removal]:
    """What each filter in use removes, in their order; columns as of `Filters.passed`."""
    left = np.ones(len(columns["track"]), bool)
    for name, passed in filters.passed(columns).items():
        if (threshold := getattr(filters, name)) is not None:
            left &= passed
            yield Removal(name, threshold, int((~passed).sum()), int(left.sum()))


def read_filters(values: Mapping[str, Any]) -> Filters:
    """Filters by name, as a configuration holds them.

    Raises:
        UserError: if there is no such filter, or a value is not legal.
    """
    known = [field.name for field in fields(Filters)]
    if unknown := [name for name in values if name not in known]:
        raise UserError(f"There is no filter '{unknown[0]}': there is {', '.join(known)}.")
    return Filters(**values)


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
