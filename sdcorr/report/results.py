"""All that a run has to show under one protocol, computed once, for the terminal, the page and W&B."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from sdcorr.methods.base import Claim
from sdcorr.report.pairs import ALPHA, Judged, judged
from sdcorr.report.settings import unlike_released, variants_of
from sdcorr.run.costs import MethodCost, cost_of
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.arrays import Arrays, read
from sdcorr.scoring.bootstrap import Estimate
from sdcorr.scoring.calibration import UNCALIBRATED, Calibrated, judge
from sdcorr.scoring.calibration_file import judged_by
from sdcorr.scoring.confidence import Reliability, reliability
from sdcorr.scoring.counts import count
from sdcorr.scoring.curves import GRID, curves
from sdcorr.scoring.pck import ALPHAS
from sdcorr.scoring.protocols import Protocol
from sdcorr.scoring.score import EVERY, protocols_for, score
from sdcorr.scoring.scores import Scores
from sdcorr.visualize.charts import LINE_COLORS

LINES = len(LINE_COLORS)  # curves in one chart at most
Curves = Mapping[str, Sequence[Estimate]]  # method -> a value at each threshold


@dataclass(frozen=True, eq=False)
class Results:
    """What a run has to show."""

    store: PredictionStore
    subject: str  # the method that the run is about
    protocol: Protocol
    pairs: Sequence[Judged]  # of the subject, all that can be looked at
    claims: Mapping[str, Claim] = field(default_factory=dict)  # what made each method's predictions, where it is known
    scores: Scores | None = None  # None: nothing could be scored, and so there is nothing below
    elsewhere: Sequence[Scores] = ()  # the subject alone under all other protocols with a rule for the data set
    curves: Mapping[str, Curves] = field(default_factory=dict)  # average -> method -> PCK in percent at GRID
    reliability: Reliability | None = None  # None also where the method has the same confidence for all points
    calibrated: Calibrated | None = None  # None: no calibration fits
    costs: Mapping[str, MethodCost] = field(default_factory=dict)  # of every method
    fractions: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # of others: -> pair -> correct at ALPHA

    @property
    def variants(self) -> tuple[str, ...]:
        """The methods that are the subject with other settings."""
        return variants_of(self.subject, self.claims)

    @property
    def has_truth(self) -> bool:
        """Whether the truth of any predicted point is known."""
        return any(each.fraction is not None for each in self.pairs)

    @property
    def trust(self) -> str:
        """How far the confidence is a probability, as a line."""
        return self.calibrated.said if self.calibrated else UNCALIBRATED

    @property
    def unlike(self) -> str:
        """How the subject's settings differ from the paper's, see `unlike_released`."""
        return unlike_released(self.subject, self.claims.get(self.subject))

    @property
    def unscored(self) -> str | None:
        """Why nothing is scored, as a sentence; None if something is."""
        if self.scores is not None:
            return None
        if not self.pairs:
            return "No pair could be predicted, so nothing is scored."
        return "The truth of no point is known, so the matches are kept and not scored."


def gather(
    store: PredictionStore,
    subject: str,
    protocol: Protocol,
    alphas: Sequence[float] = ALPHAS,
    *,
    samples: int = 1000,
    methods: Sequence[str] | None = None,
    calibration: Path | None = None,
) -> Results:
    """Scores a run, and computes what else is shown of it.

    Args:
        store: the run folder.
        subject: the method that the run is about.
        protocol: what correct means.
        alphas: thresholds.
        samples: bootstrap resamples; 0 for no intervals.
        methods: what the subject is compared with, and it, in the order in which they are shown; by default all that
            have records in the folder, those of the last evaluation first.
        calibration: a file that judges the subject's matches; by default what comes with the program, if it fits.

    Raises:
        UserError: if there are no records of the subject, a record is torn, the protocol does not suit the data, or
            the calibration does not fit.
    """
    there = store.methods()
    order = [*store.noted_methods(), *there] if methods is None else methods
    names = [name for name in dict.fromkeys(order) if name in there]
    names = [name for name in names if name == subject or any(record.predictions for record in store.records(name))]
    claims = {name: store.claim_of(name) for name in names}
    found = Results(store, subject, protocol, judged(store.records(subject), protocol), claims)
    if not found.has_truth:
        return found
    arrays = read(store, subject, names)
    ours, scores = arrays[subject], score(arrays, subject, protocol, alphas, samples=samples)
    by = judged_by(claims[subject], ours, calibration)
    elsewhere = [each for each in protocols_for([EVERY], ours.dataset) if each.name != protocol.name]
    shown = [subject, *sorted(scores.others, key=lambda name: name in found.variants)][:LINES]
    counts = {name: count(arrays[name], protocol, GRID) for name in shown}
    lines = {name: curves(each, scores.averages, samples=samples) for name, each in counts.items()}
    return replace(
        found,
        scores=scores,
        elsewhere=[score({subject: ours}, subject, each, alphas, samples=samples) for each in elsewhere],
        curves={average: {name: found[average] for name, found in lines.items()} for average in scores.averages},
        reliability=_reliability(ours, protocol, samples),
        calibrated=judge(by, ours, samples=samples) if by else None,
        costs={name: cost_of(store.records(name)) for name in scores.methods},
        fractions={name: _fractions(arrays[name], protocol) for name in scores.others},
    )


def _reliability(ours: Arrays, protocol: Protocol, samples: int) -> Reliability | None:
    if ours.confidence is None or len(np.unique(ours.confidence)) < 2:
        return None
    correct = protocol.correct_points(ours, [ALPHA])[:, 0]
    return reliability(ours.confidence, correct, ours.rows, samples=samples)


def _fractions(arrays: Arrays, protocol: Protocol) -> dict[str, float]:
    """The fraction of each pair's points that are correct at ALPHA."""
    counts = count(arrays, protocol, [ALPHA])
    return dict(zip(counts.ids.tolist(), (counts.sums[:, 0, 0] / counts.points[:, 0]).tolist(), strict=True))
