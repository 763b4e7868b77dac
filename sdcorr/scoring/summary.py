"""Scores as a flat summary, for summary.json and for W&B: the one place where a score becomes a key.

    protocol, headline, dataset, split, failures, seconds, pairs, points
    note                                        only where the subject's consensus is joint: another task
    hidden                                      points that the targets do not show, if they were asked for too
    counterparts                                where mirror hits are told by counterparts that were found: which
    pck@0.10/per_point                          with /low and /high, the ends of its 95 % interval
    pck@0.10/per_point/ambiguous, .../distinct  where the data set tells look-alikes apart
    pck@0.10/per_point/category/<name>          and .../difficulty/<flag>=<value>
    calibration/ece, .../brier                  of the probability of being right, where a calibration fits the subject;
                                                .../protocol, /alpha and /from say which
    baseline/<method>/...                       every other method: pairs, points, seconds and its scores
    difference/<method>/...                     the subject less that method, on the pairs that both have

Values are in the metric's own terms, so a PCK is a fraction in [0, 1]. Nothing reads the keys back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from sdcorr.files import write_whole
from sdcorr.scoring.bootstrap import Estimate
from sdcorr.scoring.calibration import Calibrated
from sdcorr.scoring.scores import Score, Scores

Summary = dict[str, str | int | float]
FILE = "summary.json"


def flatten(scores: Scores, calibrated: Calibrated | None = None) -> Summary:
    """The flat summary, see the top of this file."""
    ours = scores.ours
    summary: Summary = {"protocol": scores.protocol, "headline": scores.headline}
    summary |= {"dataset": scores.dataset, "split": scores.split}
    if "joint" in scores.subject:  # as every name of such a method says, see `sdcorr.cli.compose`
        summary["note"] = "joint: a point's match also depends on the pair's other query points"
    summary |= {"failures": scores.failures, "seconds": scores.seconds[scores.subject]}
    summary |= {"pairs": ours.pairs, "points": ours.points}
    if scores.found:
        summary["counterparts"] = scores.found_said
    if ours.hidden:
        summary["hidden"] = ours.hidden
    summary |= _values(ours.scores)
    if calibrated:
        summary |= _calibration(calibrated)
    for name in scores.others:
        other = scores.methods[name]
        summary |= {f"baseline/{name}/pairs": other.pairs, f"baseline/{name}/points": other.points}
        summary |= _values(other.scores, f"baseline/{name}/")
        if name in scores.differences:
            summary[f"difference/{name}/pairs"] = scores.differences[name].pairs
            summary |= _values(scores.differences[name].scores, f"difference/{name}/")
    return summary | {f"baseline/{name}/seconds": scores.seconds[name] for name in scores.others}


def key(score: Score) -> str:
    """What a score of the subject is called.

    >>> from sdcorr.scoring.bootstrap import Estimate
    >>> from sdcorr.scoring.metrics import METRICS, Measure
    >>> from sdcorr.scoring.parts import Part
    >>> key(Score(Measure(METRICS[0], 0.1), "per_point", Part("difficulty", "easy", flag="scale"), Estimate(0.5), 2, 9))
    'pck@0.10/per_point/difficulty/scale=easy'
    """
    match score.part.by:
        case "all":
            ending = ""
        case "look-alikes":
            ending = f"/{score.part.name}"
        case by:
            ending = f"/{by}/{score.part.name}"
    return f"{score.measure.key}/{score.average}{ending}"


def write_summary(run_dir: str | Path, scores: Scores, name: str = FILE, calibrated: Calibrated | None = None) -> Path:
    """Writes the flat summary into the run folder, in one piece, and returns its path.

    Raises:
        UserError: if the disk is full or the folder cannot be written.
    """
    path = Path(run_dir) / name
    write_whole(path, json.dumps(flatten(scores, calibrated), indent=1) + "\n")
    return path


def _calibration(found: Calibrated) -> Summary:
    by = found.by
    about: Summary = {"calibration/from": by.origin, "calibration/protocol": by.protocol, "calibration/alpha": by.alpha}
    there = _value("calibration/there_auroc", found.there) if found.there else {}
    return about | _value("calibration/ece", found.score.error) | _value("calibration/brier", found.score.brier) | there


def _values(scores: Iterable[Score], prefix: str = "") -> Summary:
    values: Summary = {}
    for each in scores:
        values |= _value(prefix + key(each), each.estimate)
    return values


def _value(name: str, estimate: Estimate) -> Summary:
    values: Summary = {name: estimate.value}
    if estimate.low is not None and estimate.high is not None:
        values |= {f"{name}/low": estimate.low, f"{name}/high": estimate.high}
    return values
