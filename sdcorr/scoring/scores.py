"""Scores as typed values: what one scoring of a run under one protocol gives, for everything that shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from sdcorr.run.found_sides import FoundSides
from sdcorr.scoring.averages import USUAL
from sdcorr.scoring.bootstrap import Estimate
from sdcorr.scoring.metrics import Measure
from sdcorr.scoring.parts import ALL, Part

SPOKEN_OF = 0.10  # the threshold of which one number is spoken, if it was scored


@dataclass(frozen=True)
class Score:
    """One mean with its interval, in its metric's own terms: PCK is a fraction in [0, 1]."""

    measure: Measure
    average: str  # a name in sdcorr.scoring.averages.AVERAGES
    part: Part
    estimate: Estimate
    pairs: int  # that have points of the part
    points: int

    @property
    def shown(self) -> Estimate:
        """In the unit of its metric: percent, pixels."""
        return self.estimate.times(self.measure.metric.unit.factor)


@dataclass(frozen=True)
class Measured:
    """The scores of a method on some pairs, or the differences between two methods on the pairs that both have."""

    pairs: int
    points: int
    scores: tuple[Score, ...]  # first those of all points
    hidden: int = 0  # points that were asked for beside these, and that the targets do not show

    @property
    def in_words(self) -> str:
        """What the scores are of: `84 pairs, 486 points, and 6 hidden ones asked`."""
        hidden = f", and {self.hidden:,} hidden ones asked" if self.hidden else ""
        return f"{self.pairs:,} pairs, {self.points:,} points{hidden}"

    @cached_property
    def _places(self) -> Mapping[tuple[Measure, str, Part], Score]:
        return {(score.measure, score.average, score.part): score for score in self.scores}

    def find(self, measure: Measure, average: str, part: Part = ALL) -> Score | None:
        """The score of a measure under an average, of all points or of a part; None where there was none to score."""
        return self._places.get((measure, average, part))

    @cached_property
    def measures(self) -> tuple[Measure, ...]:
        """All that was measured, in the order in which it is shown."""
        return tuple(dict.fromkeys(score.measure for score in self.scores))

    @cached_property
    def shown(self) -> tuple[Measure, ...]:
        """What tables have columns for: all measures of a metric that is shown in full, of others the main one."""
        return tuple(each for each in self.measures if each.metric.in_full or each in self.main_measures)

    @cached_property
    def main_measures(self) -> tuple[Measure, ...]:
        """What is spoken of where there is no room for more: of each metric one measure, at 0.1 if that was scored."""
        chosen = []
        for metric in dict.fromkeys(measure.metric for measure in self.measures):
            some = [measure for measure in self.measures if measure.metric is metric]
            chosen.append(next((each for each in some if each.alpha == SPOKEN_OF), some[len(some) // 2]))
        return tuple(chosen)

    @property
    def main(self) -> Measure:
        """What one number is about: PCK@0.10 if it was scored, else PCK at the threshold in the middle."""
        return self.main_measures[0]

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the data that have scores of their own, without ALL."""
        return tuple(dict.fromkeys(score.part for score in self.scores if score.part != ALL))

    def averages(self, headline: str) -> tuple[str, ...]:
        """The averages to show: a protocol's own if it is there, then the usual ones."""
        there = any(score.average == headline for score in self.scores)  # one category has no average over categories
        return tuple(dict.fromkeys([*([headline] if there else []), *USUAL]))


@dataclass(frozen=True)
class Scores:
    """What one scoring of a run under one protocol gives."""

    protocol: str  # its name
    headline: str  # the average that it reports first
    dataset: str
    split: str
    subject: str  # the method that the run is about
    methods: Mapping[str, Measured]  # the subject first; parts are told apart for the subject only
    differences: Mapping[str, Measured]  # the subject less another method, on the pairs that both have; without parts
    seconds: Mapping[str, float]  # that each method took, over all ranks
    failures: int  # pairs that the subject has no prediction for
    found: tuple[FoundSides, ...] = ()  # counterparts that were found and not annotated, by which mirror hits are told

    @property
    def ours(self) -> Measured:
        """The scores of the subject."""
        return self.methods[self.subject]

    @property
    def by(self) -> str:
        """The protocol, and whether mirror hits are told by counterparts that were found, for a title."""
        return f"protocol {self.protocol}{', counterparts found, not annotated' if self.found else ''}"

    @property
    def found_said(self) -> str:
        """The counterparts that were found, as a line; nothing if there are none."""
        told = [
            f"{each.category}: {each.names[0]} and {each.names[1]} ({each.found} of {each.pictures} pictures)"
            for each in self.found
        ]
        return f"counterparts found, not annotated: {'; '.join(told)}" if told else ""

    @property
    def averages(self) -> tuple[str, ...]:
        """The averages to show, the protocol's own first."""
        return self.ours.averages(self.headline)

    @property
    def usual_headline(self) -> str:
        """The average of parts of the data, which know the usual ones only: the protocol's own, or per point."""
        return self.headline if self.headline in USUAL else USUAL[0]

    @property
    def others(self) -> tuple[str, ...]:
        """The methods that the subject is compared with."""
        return tuple(name for name in self.methods if name != self.subject)


@dataclass(frozen=True)
class Comparison:
    """Two methods, or two runs of one, on the pairs that both have."""

    protocol: str
    headline: str
    dataset: str
    split: str
    first: Measured
    second: Measured
    difference: Measured  # the first less the second, of parts too
    only_first: int  # pairs that the first alone has
    only_second: int
