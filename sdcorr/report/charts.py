"""What is shown of scores, as charts; values in the unit of their metric, percent for PCK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from sdcorr import visualize
from sdcorr.methods.base import Claim
from sdcorr.report.pairs import ALPHA
from sdcorr.report.settings import LEAST, varied
from sdcorr.report.table import measure_title
from sdcorr.scoring.averages import average_name
from sdcorr.scoring.bootstrap import Estimate
from sdcorr.scoring.calibration import Calibrated
from sdcorr.scoring.confidence import SHARES, Reliability
from sdcorr.scoring.curves import GRID
from sdcorr.scoring.metrics import PERCENT, Measure
from sdcorr.scoring.pck import pck_name
from sdcorr.scoring.scores import Score, Scores

SIGN = "\N{GREEK SMALL LETTER ALPHA}"  # of a threshold


@dataclass(frozen=True)
class Chart:
    """A chart with its title and a sentence about how to read it."""

    title: str
    figure: Figure
    note: str = ""


def over_thresholds(curves: Mapping[str, Sequence[Estimate]], average: str) -> Chart:
    """PCK over its threshold, a line for each method; each curve is at GRID."""
    figure = visualize.curve(GRID, curves, f"threshold {SIGN}", f"PCK@{SIGN} {average_name(average)}, %")
    return Chart(f"PCK over its threshold, {average_name(average)}", figure, "Bands: 95 % bootstrap over pairs.")


def methods(scores: Scores) -> dict[str, Estimate]:
    """The main score of every method, the subject's first."""
    return _shown({name: each.find(each.main, scores.averages[0]) for name, each in scores.methods.items()})


def leads(scores: Scores) -> dict[str, Estimate]:
    """By how much the subject is better than each other method in the main score, on the pairs that both have."""
    main, average = scores.ours.main, scores.averages[0]
    return _shown({name: each.find(main, average) for name, each in scores.differences.items()})


def parts(scores: Scores) -> dict[str, dict[str, Estimate]]:
    """The main score of the subject in the parts of the data: what tells them apart -> name -> value."""
    ours, average = scores.ours, scores.usual_headline
    families = dict.fromkeys(part.family for part in ours.parts)
    return {
        family: _shown({p.name: ours.find(ours.main, average, p) for p in ours.parts if p.family == family})
        for family in families
    }


def parts_charts(scores: Scores) -> list[Chart]:
    """Bars for each family of parts that has several."""
    label = f"{measure_title(scores.ours.main, scores.usual_headline)}, %"
    return [
        Chart(f"{scores.ours.main.label} by {family}", visualize.bars(rows, label))
        for family, rows in parts(scores).items()
        if len(rows) > 1
    ]


def lead_chart(leads: Mapping[str, Estimate], measure: Measure, name: str) -> Chart:
    """Bars of differences on shared pairs, in a chart of that name."""
    note = "Paired on the pairs that both have; an interval that crosses 0 shows no difference."
    return Chart(name, visualize.bars(leads, f"{measure.label}, percent points"), note)


def over_settings(scores: Scores, claims: Mapping[str, Claim]) -> list[Chart]:
    """The main score over each number that variants change, the subject's own value among them."""
    known, label = methods(scores), measure_title(scores.ours.main, scores.averages[0])
    charts = []
    for setting, names in varied(scores.subject, claims).items():
        points = {value: known[name] for value, name in names.items() if name in known}
        if len(points) >= LEAST:
            own = next(value for value, name in names.items() if name == scores.subject)
            charts.append(over_setting(setting, points, label, f"{setting}={own:g} is the method's own."))
    return charts


def over_setting(setting: str, points: Mapping[float, Estimate], label: str, note: str = "") -> Chart:
    """A score over the values of a setting."""
    series = {label: [points[value] for value in sorted(points)]}
    return Chart(f"{label} over {setting}", visualize.curve(sorted(points), series, setting, f"{label}, %"), note)


def reliability(found: Reliability) -> list[Chart]:
    """Whether the confidence knows: correct points by confidence, and PCK of the points that are kept."""
    name = pck_name(ALPHA).upper()
    kept = {"the surest": [each.times(PERCENT.factor) for each in found.kept]}
    return [
        Chart(
            "Points right, by confidence",
            _reliability(found),
            f"Right: within {ALPHA:g}. Beside each mean the number of its points.",
        ),
        Chart(
            f"{name} of the points that are kept",
            visualize.curve([100 * share for share in SHARES], kept, "points kept, the surest first, %", f"{name}, %"),
            "A confidence that knows nothing gives a flat line.",
        ),
    ]


def calibrated(found: Calibrated) -> list[Chart]:
    """How far a probability is one, and what is wrong among the points that are kept, beside the bare confidence."""
    right = f"Right: within {found.by.alpha:g} under {found.by.protocol}"
    kept = {"by probability": found.reliability.kept, "by confidence": found.of_confidence.kept}
    risks = {name: [_risk(each) for each in lines] for name, lines in kept.items()}
    return [
        Chart(
            "Points right, by probability",
            _reliability(found.reliability, x_label="probability of being right", diagonal=True),
            f"{right}. On the dashed line the probability is what it says.",
        ),
        Chart(
            "Risk against coverage",
            visualize.curve([100 * share for share in SHARES], risks, "points kept, the surest first, %", "wrong, %"),
            "How many of the kept points are wrong.",
        ),
        *([_there(found.there.reliability)] if found.there else []),
    ]


def _there(found: Reliability) -> Chart:
    """How many points the targets show, of those with like probabilities of being there."""
    return Chart(
        "Points there, by probability",
        _reliability(found, x_label="probability of being there", y_label="points there, %", diagonal=True),
        "There: the target shows the point, whether or not it was found.",
    )


def _reliability(found: Reliability, **labels: Any) -> Figure:
    """What happened among the points of each bin, in percent; labels as of `visualize.reliability`."""
    shares = [each.right.times(PERCENT.factor) for each in found.bins]
    confidences, points = [each.confidence for each in found.bins], [each.points for each in found.bins]
    return visualize.reliability(confidences, shares, points, **labels)


def _risk(kept: Estimate) -> Estimate:
    """Percent that is wrong, from the share that is right."""
    low, high = (None if end is None else 1 - end for end in (kept.high, kept.low))
    return Estimate(1 - kept.value, low, high).times(PERCENT.factor)


def _shown(scores: Mapping[str, Score | None]) -> dict[str, Estimate]:
    return {name: score.shown for name, score in scores.items() if score is not None}
