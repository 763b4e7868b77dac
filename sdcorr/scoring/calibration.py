"""A calibration: from the evidence that a match leaves behind to a probability, fitted on pairs whose truth is known.

It holds for one method with one set of settings and one model, since all of these move the evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sdcorr.datasets import Match
from sdcorr.errors import UserError
from sdcorr.methods.base import Claim
from sdcorr.run.claims import to_plain, told
from sdcorr.scoring.arrays import Arrays
from sdcorr.scoring.confidence import ProbabilityScore, Reliability, reliability, score_probability, tenths
from sdcorr.scoring.logistic import FOLDS, Logistic, fit, held_out
from sdcorr.scoring.protocols import PROTOCOLS, Protocol

CONFIDENCE = "confidence"  # among the evidence: the method's own
RIGHT = "right"  # the outcome that a match is right
THERE = "there"  # the outcome that the target shows the point at all, whether or not the match is right
UNCALIBRATED = (
    "The confidence is uncalibrated: it orders matches, and is no probability; `sdcorr calibrate RUN` learns one."
)
LEAST = 100  # points to fit on
LEAST_OF_EITHER = 10  # that are right, and that are wrong


@dataclass(frozen=True)
class Outcome:
    """What the evidence says of one thing that may be so or not."""

    model: Logistic
    share: float  # of the points it was fitted on, of which it is so
    unseen: Mapping[str, float]  # error, brier and auroc on groups of pairs that the regression had not seen
    learned_from: str | None = None  # other pairs than the calibration's, for a sentence; None: the same


@dataclass(frozen=True)
class Calibration:
    """What was fitted, and on what."""

    dataset: str
    split: str
    pairs: int
    points: int
    protocol: str
    alpha: float
    method: Claim
    outcomes: Mapping[str, Outcome]

    @property
    def origin(self) -> str:
        """What it was fitted on, for a sentence."""
        return f"{self.dataset} {self.split}, {self.pairs:,} pairs"

    def knows(self, outcome: str, evidence: Mapping[str, np.ndarray]) -> bool:
        """Whether `probability` can be asked about an outcome."""
        return outcome in self.outcomes and set(self.outcomes[outcome].model.names) <= evidence.keys()

    def probability(self, evidence: Mapping[str, np.ndarray], outcome: str = RIGHT) -> np.ndarray:
        """Of each of m points that the outcome is so, (m,) in (0, 1).

        Args:
            evidence: by name (m,) each, as `evidence_of` gives it; what else is there does not matter.
            outcome: one of `outcomes`.
        """
        model = self.outcomes[outcome].model
        return model.probability(np.column_stack([evidence[name] for name in model.names]))

    def of_match(self, match: Match, outcome: str = RIGHT) -> np.ndarray | None:
        """As `probability`, of a pair's matches; None if they have not left what it asks."""
        evidence = {CONFIDENCE: match.confidence, **match.evidence}
        return self.probability(evidence, outcome) if self.knows(outcome, evidence) else None

    def unlike(self, claim: Claim) -> str | None:
        """Why it is not of a method, as the end of a sentence; None if it is."""
        if self.method.kind != claim.kind:
            return f"it is of {self.method.kind}, and they are of {claim.kind}"
        difference = told(_decisive(self.method), _decisive(claim))
        return f"it is of other settings, {difference}" if difference else None

    def lacking(self, claim: Claim, evidence: Mapping[str, np.ndarray]) -> str | None:
        """Why it cannot judge a method's matches, as the end of a sentence; None if it can."""
        if why := self.unlike(claim):
            return why
        if lacking := [name for name in self.outcomes[RIGHT].model.names if name not in evidence]:
            return (
                f"the matches have not all left the evidence that it judges ({', '.join(lacking)}), so they are older: "
                "`sdcorr redo` and the evaluation again make them anew"
            )
        return None


@dataclass(frozen=True)
class Told:
    """The probability that a point is there, judged by all points that were asked for."""

    score: ProbabilityScore
    reliability: Reliability  # in tenths

    @property
    def said(self) -> str:
        """In a few words."""
        area = self.reliability.auroc
        return f"{f'AUROC {_interval(area)}, ' if area else ''}ECE {_interval(self.score.error)}"


@dataclass(frozen=True)
class Calibrated:
    """The probabilities that a run's matches are right, judged."""

    by: Calibration
    probability: np.ndarray  # (m,)
    score: ProbabilityScore
    reliability: Reliability  # of the probability, in tenths
    of_confidence: Reliability  # of the method's own confidence, by the same matches
    there: Told | None = None  # None: the calibration does not know, or no hidden point was asked for

    @property
    def said(self) -> str:
        """In a line."""
        error, brier = (_interval(each) for each in (self.score.error, self.score.brier))
        there = f"; there or not: {self.there.said}" if self.there else ""
        return (
            f"probability of a match within {self.by.alpha:g} ({self.by.protocol}), calibrated on {self.by.origin}: "
            f"ECE {error}, Brier {brier} (the same for all points: {self.score.without:.3f}){there}"
        )


def evidence_of(arrays: Arrays) -> dict[str, np.ndarray]:
    """All that is known of each of m points but its place, by name (m,) each."""
    assert arrays.confidence is not None  # as `collect` makes them
    return {CONFIDENCE: arrays.confidence, **arrays.evidence}


def calibrate(
    arrays: Arrays, claim: Claim, protocol: Protocol, alpha: float, hiding: Arrays | None = None
) -> Calibration:
    """Fits what the evidence of a run's matches says of their being right, and of the points being there.

    The latter needs hidden points, which `dataset.ask=all` asks for; without enough of them it is left out.

    It is cross-validated with all pairs of a source image in one fold, since they share prompt embeddings; with the
    pairs one by one where there are too few source images.

    Args:
        arrays: the method's matches; of those that have left no evidence, the confidence alone is asked.
        claim: of the method.
        protocol, alpha: what right means.
        hiding: the same method's matches on pairs that hide more points, to learn from whether a point is there; by
            default that is learned from `arrays` as well.

    Raises:
        UserError: if there is too little to learn from.
    """
    right = protocol.correct_points(arrays, [alpha])[:, 0]
    _check_enough(right, alpha)
    sources = np.array([pair.source for pair in arrays.pairs])
    groups = sources[arrays.rows] if len(set(sources)) >= FOLDS else arrays.rows
    outcome = fit_outcome(evidence_of(arrays), right, groups, arrays.rows)
    about = (arrays.dataset, arrays.split, len(arrays.pairs), len(right), protocol.name, alpha)
    outcomes = {RIGHT: outcome}
    source = hiding or arrays
    if min(len(source.rows), len(source.hidden.ids)) >= LEAST_OF_EITHER:
        there = fit_outcome(*_shown_and_hidden(source))
        outcomes[THERE] = replace(there, learned_from=_origin(source)) if hiding else there
    return Calibration(*about, claim, outcomes)


def fit_outcome(evidence: Mapping[str, np.ndarray], label: np.ndarray, groups: np.ndarray, rows: np.ndarray) -> Outcome:
    """Fits what the evidence says of any outcome, and looks how far it is right on groups that it has not seen.

    Args:
        evidence: by name (m,) each.
        label: (m,) bool, whether it is so.
        groups: (m,), what stands or falls together.
        rows: (m,) int, which of the pairs a point belongs to.
    """
    matrix = np.column_stack(list(evidence.values()))
    said = held_out(matrix, label, groups)
    score = score_probability(said, label, rows, samples=0)
    area = reliability(said, label, rows, samples=0).auroc
    unseen = {"error": score.error.value, "brier": score.brier.value}
    unseen |= {"auroc": area.value} if area else {}
    return Outcome(fit(list(evidence), matrix, label), float(label.mean()), unseen)


def judge(by: Calibration, arrays: Arrays, *, samples: int = 1000) -> Calibrated:
    """The probabilities that a calibration gives a run's matches, and how far they are right.

    Right means what the calibration says, whatever protocol the run is scored under.

    Args:
        by: a calibration that lacks nothing.
        arrays: of the method.
        samples: bootstrap resamples; 0 for no intervals.
    """
    evidence = evidence_of(arrays)
    probability = by.probability(evidence)
    right = PROTOCOLS[by.protocol].correct_points(arrays, [by.alpha])[:, 0]
    return Calibrated(
        by,
        probability,
        score_probability(probability, right, arrays.rows, samples=samples),
        reliability(probability, right, arrays.rows, bins=tenths(probability), samples=samples),
        reliability(evidence[CONFIDENCE], right, arrays.rows, samples=samples),
        _there(by, arrays, samples),
    )


def _there(by: Calibration, arrays: Arrays, samples: int) -> Told | None:
    """How far the probability that a point is there is one, of shown and hidden points together."""
    if not len(arrays.hidden.ids):
        return None
    evidence, label, _, rows = _shown_and_hidden(arrays)
    if not by.knows(THERE, evidence):
        return None
    probability = by.probability(evidence, THERE)
    return Told(
        score_probability(probability, label, rows, samples=samples),
        reliability(probability, label, rows, bins=tenths(probability), samples=samples),
    )


def _origin(arrays: Arrays) -> str:
    hidden, pairs = len(arrays.hidden.ids), len(arrays.pairs)
    points = len(arrays.rows) + hidden
    return f"{arrays.dataset} {arrays.split}, {pairs:,} pairs, {hidden:,} of {points:,} points hidden"


def _shown_and_hidden(arrays: Arrays) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """All m points that were asked for: their evidence, whether they are there, their source images and their pairs."""
    shown, hidden = evidence_of(arrays), {CONFIDENCE: arrays.hidden.confidence, **arrays.hidden.evidence}
    evidence = {name: np.concatenate([shown[name], hidden[name]]) for name in shown if name in hidden}
    sources = np.array([pair.source for pair in arrays.pairs])[arrays.rows]
    pairs = np.concatenate([arrays.ids[arrays.rows], arrays.hidden.ids])
    there = np.arange(len(pairs)) < len(arrays.rows)
    return evidence, there, np.concatenate([sources, arrays.hidden.sources]), np.unique(pairs, return_inverse=True)[1]


def _check_enough(right: np.ndarray, alpha: float) -> None:
    good, bad = int(right.sum()), int((~right).sum())
    if good + bad < LEAST:
        raise UserError(
            f"{good + bad} points are too few to learn from: give a run with at least {LEAST} whose truth is known."
        )
    if min(good, bad) < LEAST_OF_EITHER:
        kind = "right" if bad < LEAST_OF_EITHER else "wrong"
        raise UserError(
            f"{max(good, bad)} of {good + bad} points are {kind} at {alpha:g}, so there is nothing to tell apart: give "
            f"another --alpha, or a run with at least {LEAST_OF_EITHER} right and {LEAST_OF_EITHER} wrong points."
        )


def _decisive(claim: Claim) -> dict[str, Any]:
    """What a calibration holds for; the seed moves single matches and not what they say."""
    plain = to_plain(claim)
    return plain | {"settings": {name: value for name, value in plain["settings"].items() if name != "seed"}}


def _interval(estimate: tuple[float, float | None, float | None]) -> str:
    value, low, high = estimate
    return f"{value:.3f}" if low is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"
