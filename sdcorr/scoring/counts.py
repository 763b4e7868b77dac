"""Counts of what is right, pair by pair: all that PCK and its intervals are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sdcorr.datasets import Pair
from sdcorr.run.records import UnitRecord
from sdcorr.scoring.arrays import Answers, collect
from sdcorr.scoring.pck import ALPHAS
from sdcorr.scoring.protocols import Protocol

GROUPS = ("", "/ambiguous", "/distinct")  # all points, those of parts with a look-alike, and the others
MOST_VALUES = 8  # a flag with more values than this is no degree of difficulty


@dataclass(frozen=True, eq=False)
class Tally:
    """What one method got right, a row for each of n scored pairs, sorted by the pair's id."""

    ids: np.ndarray  # (n,) str
    categories: np.ndarray  # (n,) str
    points: np.ndarray  # (n, G) int: visible points of each group in GROUPS
    correct: np.ndarray  # (n, G, A) int: how many of them are right at each threshold
    flags: Mapping[str, np.ndarray] = field(default_factory=dict)  # name -> (n,) str, "" where a pair has no such flag

    def rows(self, chosen: np.ndarray) -> Tally:
        """The tally of some of the pairs, chosen by a mask (n,) or by indices."""
        flags = {name: values[chosen] for name, values in self.flags.items()}
        return Tally(self.ids[chosen], self.categories[chosen], self.points[chosen], self.correct[chosen], flags)

    def parts(self) -> Iterator[tuple[str, np.ndarray]]:
        """The pairs of each category and of each degree of difficulty: a name and a mask (n,)."""
        for category in np.unique(self.categories):
            yield f"category/{category}", self.categories == category
        for name, values in self.flags.items():
            for value in np.unique(values[values != ""]):
                yield f"difficulty/{name}={value}", values == value


def tally(answers: Answers | Iterable[UnitRecord], protocol: Protocol, alphas: Sequence[float] = ALPHAS) -> Tally:
    """Counts what is right, in every pair with a visible point.

    Args:
        answers: what one method answered, or the records of it.
        protocol: what right means.
        alphas: A thresholds, fractions of the protocol's length.

    Raises:
        UserError: if no pair has a visible point, or the protocol does not suit the data.
    """
    if not isinstance(answers, Answers):
        answers = collect(answers)
    correct = protocol.hits(answers, alphas).astype(int)  # (m, A)
    groups = np.concatenate([_groups(pair) for pair in answers.pairs])  # (m, G)
    starts = np.flatnonzero(np.diff(answers.rows, prepend=-1))  # every pair has a point, so these are n
    return Tally(
        answers.ids,
        np.array([pair.category for pair in answers.pairs]),
        np.add.reduceat(groups, starts),
        np.add.reduceat(groups[:, :, None] * correct[:, None, :], starts),
        _flags(answers.pairs),
    )


def _groups(pair: Pair) -> np.ndarray:
    """Which group each of the V visible points is in, (V, G) of 0 and 1."""
    count = int(pair.visible.sum())
    groups = np.zeros((count, len(GROUPS)), dtype=int)
    groups[:, 0] = 1
    if pair.ambiguous is not None:
        groups[:, 1] = pair.ambiguous[pair.visible]
        groups[:, 2] = 1 - groups[:, 1]
    return groups


def _flags(pairs: Sequence[Pair]) -> dict[str, np.ndarray]:
    """The flags that sort pairs by difficulty: words or whole numbers of 2 to MOST_VALUES values."""
    found = {}
    for name in sorted({name for pair in pairs for name in pair.flags}):
        values = [pair.flags.get(name, "") for pair in pairs]
        kinds = set(values) - {""}
        if 2 <= len(kinds) <= MOST_VALUES and all(isinstance(kind, str | int) for kind in kinds):
            found[name] = np.array([str(value) for value in values])
    return found
