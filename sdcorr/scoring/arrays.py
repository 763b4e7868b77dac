"""What one method predicted, as flat arrays: made once from its records, scored under any number of protocols."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import permutations
from typing import Any

import numpy as np

from sdcorr.datasets import Match, Pair, scorable
from sdcorr.datasets.sides import sides
from sdcorr.errors import UserError
from sdcorr.run.found_sides import FoundSides, read_sides
from sdcorr.run.records import UnitRecord
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.parts import BOTH_SIDES, GEOMETRY_AWARE, GROUPS

MOST_VALUES = 8  # a flag with more values than this is no degree of difficulty


@dataclass(frozen=True, eq=False)
class Hidden:
    """The h points that were asked for and that the target does not show: whatever a method answers is wrong."""

    ids: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=str))  # (h,) str, of the pairs
    sources: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=str))  # (h,) str, of their source images
    confidence: np.ndarray = field(default_factory=lambda: np.empty(0))  # (h,) in [0, 1]
    evidence: Mapping[str, np.ndarray] = field(default_factory=dict)  # name -> (h,), what every match has left behind

    @classmethod
    def of(cls, predictions: Sequence[tuple[Pair, Match]]) -> Hidden:
        """Those of some pairs."""
        found = [(pair, match.of(pair.is_hidden)) for pair, match in predictions if pair.is_hidden.any()]
        if not found:
            return cls()
        counts = [len(match.points) for _, match in found]
        ids, sources = (np.repeat([getattr(pair, of) for pair, _ in found], counts) for of in ("id", "source"))
        matches = [match for _, match in found]
        return cls(ids, sources, np.concatenate([match.confidence for match in matches]), _evidence(matches))


@dataclass(frozen=True, eq=False)
class Arrays:
    """The m predictions of one method for n pairs; points of a pair follow each other, in the order of `pairs`."""

    dataset: str
    pairs: tuple[Pair, ...]  # n
    rows: np.ndarray  # (m,) int: which pair a point belongs to
    predicted: np.ndarray  # (m, 2) pixels of the original target image
    truth: np.ndarray  # (m, 2) likewise
    confidence: np.ndarray | None = None  # (m,) in [0, 1], if it was asked for
    hidden: Hidden = field(default_factory=Hidden)  # what else was asked for; no pair, row or point above is of it
    evidence: Mapping[str, np.ndarray] = field(default_factory=dict)  # name -> (m,), what every match has left behind
    split: str = ""
    seconds: float = 0.0  # time that the method took, over all ranks
    failures: int = 0  # pairs without a prediction
    found: tuple[FoundSides, ...] = ()  # counterparts that were found; heeded where none is annotated

    @classmethod
    def of(cls, dataset: str, predictions: Sequence[tuple[Pair, np.ndarray]], **about: Any) -> Arrays:
        """The predictions for pairs of a data set, each with its V predicted points, (V, 2)."""
        pairs = tuple(pair for pair, _ in predictions)
        truths = [pair.true_points for pair in pairs]
        rows = np.repeat(np.arange(len(pairs)), [len(truth) for truth in truths])
        none = np.empty((0, 2))
        predicted = np.concatenate([none, *(points for _, points in predictions)])
        return cls(dataset, pairs, rows, predicted, np.concatenate([none, *truths]), **about)

    @cached_property
    def ids(self) -> np.ndarray:
        """The pairs' ids, (n,) str."""
        return np.array([pair.id for pair in self.pairs])

    @cached_property
    def categories(self) -> np.ndarray:
        """The pairs' categories, (n,) str."""
        return np.array([pair.category for pair in self.pairs])

    @cached_property
    def starts(self) -> np.ndarray:
        """Where the points of each pair begin, and behind the last where they end, (n + 1,) int."""
        return np.searchsorted(self.rows, np.arange(len(self.pairs) + 1))

    @cached_property
    def counterparts(self) -> np.ndarray:
        """Of each point the place of the same part on the object's other side among all m, -1 if it is not asked for.

        A part without a counterpart has -1 too; see `sdcorr.datasets.sides`, and `heeded` for those that were found.
        """
        return self._alike[0]

    @cached_property
    def heeded(self) -> tuple[FoundSides, ...]:
        """Of the counterparts that were found those of the categories in which none is annotated."""
        annotated = {pair.category for pair in self.pairs if sides(self.dataset, pair).any_of(pair.names)}
        return tuple(each for each in self.found if each.category not in annotated)

    @cached_property
    def groups(self) -> np.ndarray:
        """Which of GROUPS each point is in, (m, G) of 0 and 1."""
        groups = np.zeros((len(self.rows), len(GROUPS)), dtype=int)
        groups[:, 0] = 1
        for pair, start, end in zip(self.pairs, self.starts, self.starts[1:], strict=False):
            if pair.ambiguous is not None:
                groups[start:end, 1] = pair.ambiguous[pair.visible]
                groups[start:end, 2] = 1 - groups[start:end, 1]
        groups[:, GROUPS.index(GEOMETRY_AWARE)] = self._alike[1]
        groups[:, GROUPS.index(BOTH_SIDES)] = self.counterparts >= 0
        return groups

    @cached_property
    def _alike(self) -> tuple[np.ndarray, np.ndarray]:
        """The counterpart of each point, (m,), and whether its target shows another point of its group, (m,) bool.

        The second is known only if it is of all pairs what their targets show (`Pair.target_alone`); else it is False.
        """
        found = {(each.category, name): other for each in self.heeded for name, other in permutations(each.names)}
        counterparts, grouped = np.full(len(self.rows), -1), np.zeros(len(self.rows), dtype=bool)
        for pair, start in zip(self.pairs, self.starts, strict=False):
            known = sides(self.dataset, pair)
            asked = [pair.names[place] for place in np.flatnonzero(pair.visible)]
            place = {name: start + slot for slot, name in enumerate(asked)}
            shown = [*asked, *(pair.target_alone or ())]
            members = Counter(known.group[name] for name in shown if name in known.group)
            for slot, name in enumerate(asked, start):
                other = known.counterpart(name) or found.get((pair.category, name), "")
                counterparts[slot] = place.get(other, -1)
                grouped[slot] = members[known.group.get(name, -1)] > 1
        everything = all(pair.target_alone is not None for pair in self.pairs)
        return counterparts, grouped if everything else np.zeros_like(grouped)

    @cached_property
    def flags(self) -> Mapping[str, np.ndarray]:
        """The flags that sort pairs by difficulty: words or whole numbers of 2 to MOST_VALUES values.

        Returns:
            Name -> (n,) str, "" where a pair has no such flag.
        """
        found = {}
        for name in sorted({name for pair in self.pairs for name in pair.flags}):
            values = [pair.flags.get(name, "") for pair in self.pairs]
            kinds = set(values) - {""}
            if 2 <= len(kinds) <= MOST_VALUES and all(isinstance(kind, str | int) for kind in kinds):
                found[name] = np.array([str(value) for value in values])
        return found


def collect(records: Iterable[UnitRecord], found_sides: Iterable[FoundSides] = ()) -> Arrays:
    """The predictions in the records of one method, without what has no truth to be scored by, sorted by the pair's id.

    Args:
        records: of one method.
        found_sides: counterparts that were found among the points of the run.

    Raises:
        UserError: if no pair has a visible point with a truth, or the records are of several data sets.
    """
    records = list(records)
    asked = [prediction for record in records for prediction in record.predictions]
    found = [(pair, match) for pair, match in (scorable(*each) for each in asked) if pair.visible.any()]
    if not found:
        raise UserError(
            "There is nothing to score: no predicted pair has a point whose truth is known, so look at the data set."
        )
    origins = sorted({(record.dataset, record.split) for record in records})
    if len(origins) > 1:
        several = ", ".join(f"{dataset} {split}" for dataset, split in origins)
        raise UserError(f"The records of one method are of several data sets ({several}): keep one run in a folder.")
    ((dataset, split),) = origins
    found.sort(key=lambda prediction: prediction[0].id)
    return Arrays.of(
        dataset,
        [(pair, match.points) for pair, match in found],
        confidence=np.concatenate([match.confidence for _, match in found]),
        hidden=Hidden.of(asked),
        evidence=_evidence([match for _, match in found]),
        split=split,
        seconds=sum(record.seconds for record in records),
        failures=sum(len(record.failures) for record in records),
        found=tuple(found_sides),
    )


def _evidence(matches: Sequence[Match]) -> dict[str, np.ndarray]:
    """What all matches have, in the order in which the first has it."""
    common = [name for name in matches[0].evidence if all(name in match.evidence for match in matches)]
    return {name: np.concatenate([match.evidence[name] for match in matches]) for name in common}


def read(store: PredictionStore, method: str, methods: Iterable[str] | None = None) -> dict[str, Arrays]:
    """The predictions of several methods in a run folder, `method` first.

    Args:
        store: the run folder.
        method: the subject.
        methods: the others; by default all that have records.

    Raises:
        UserError: if there are no records of the method, or a record is torn.
    """
    names = [method, *(name for name in (store.methods() if methods is None else methods) if name != method)]
    found = read_sides(store.run_dir)
    return {name: collect(store.records(name), found) for name in names}
