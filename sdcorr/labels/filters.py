"""Which labels are kept: thresholds on what speaks for each, and how much each of them takes away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from sdcorr.configuration import settings_of
from sdcorr.errors import UserError

AT_MOST = ("way_back", "restarts", "layers")  # the others say how much there must be


@dataclass(frozen=True)
class Filters:
    """A label is kept if it passes all. A filter that is None removes nothing.

    Raises:
        UserError: if a value is no number.
    """

    confidence: float | None = None  # the method's own, at least
    margin: float | None = None  # of a map's peak over its greatest other one, in units of a logarithm, at least
    way_back: float | None = None  # distance at which the way back ends, in longer sides of the source, at most
    likeness: float | None = None  # cosine of the features at the point and at its match, at least
    votes: float | None = None  # log of the share of the two pictures' votes that speak for the match, at least
    restarts: float | None = None  # mean distance of the restarts' peaks, in longer sides of the target, at most
    layers: float | None = None  # the same of the layers' peaks, at most
    on_object: float | None = None  # how unlike the pictures' borders the match's place is; above 1 it is the object
    support: float | None = None  # share of the labels of its track that pass all the others, at least

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise UserError(f"filters.{name}={value} is not legal: give a number, or null for no filter.")

    def passed(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Which labels pass each filter.

        Args:
            columns: `track` and a column of every other filter's name, (N,) each, with all labels of each track.

        Returns:
            By filter (N,) bool, `support` last.

        Raises:
            UserError: if the method leaves nothing behind that a filter looks at.
        """
        passed = {}
        for name in (field.name for field in fields(self) if field.name != "support"):
            threshold, values = getattr(self, name), columns[name]
            if threshold is not None and np.isnan(values).any():
                raise UserError(f"The matches of this method leave no {name} behind: give filters.{name}=null.")
            compare = np.less_equal if name in AT_MOST else np.greater_equal
            passed[name] = np.ones(len(values), bool) if threshold is None else compare(values, threshold)
        _, track = np.unique(columns["track"], return_inverse=True)
        good = np.bincount(track, np.logical_and.reduce(list(passed.values()))) / np.bincount(track).clip(1)
        passed["support"] = good[track] >= (self.support or 0)
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
    return settings_of(Filters, values, "filter")
