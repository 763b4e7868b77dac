"""What a chart shows of a flat summary: values in percent with the ends of their intervals, by their names."""

from __future__ import annotations

import re

from sdcorr.report.terminal import thresholds_of
from sdcorr.scoring.pck import AVERAGES, pck_name
from sdcorr.scoring.summary import Summary
from sdcorr.visualize.charts import Estimate


def is_variant(name: str) -> bool:
    """Whether a method is the run's own with another setting (`restarts=1`), not a baseline."""
    return "=" in name


def middle(summary: Summary) -> str:
    """The threshold that is spoken of where there is room for one: `pck@0.10` if it was scored."""
    thresholds = thresholds_of([summary])
    return pck_name(0.1) if pck_name(0.1) in thresholds else thresholds[len(thresholds) // 2]


def score_name(summary: Summary, average: str = "") -> str:
    """The score that is spoken of where there is room for one.

    Args:
        summary: of `sdcorr.scoring.score`.
        average: a name in `sdcorr.scoring.pck.AVERAGES`; by default the headline of the summary's protocol.

    Returns:
        For example `pck@0.10/per_point`.
    """
    name = f"{middle(summary)}/{average or summary['headline']}"
    return name if name in summary else f"{middle(summary)}/{AVERAGES[0]}"  # one category has no averages over several


def estimate(summary: Summary, name: str) -> Estimate | None:
    """A value and the ends of its interval, in percent; without a bootstrap these are the value itself."""
    if name not in summary:
        return None
    return tuple(100 * float(summary.get(f"{name}{end}", summary[name])) for end in ("", "/low", "/high"))


def methods(summary: Summary, method: str, score: str) -> dict[str, Estimate]:
    """The method, called `method`, and all that it was scored beside."""
    return {method: estimate(summary, score)} | _named(summary, rf"baseline/(.+)/{re.escape(score)}")


def leads(summary: Summary, score: str) -> dict[str, Estimate]:
    """By how many points the method is better than each of the others, on the pairs that both have."""
    return _named(summary, rf"difference/(.+)/{re.escape(score)}")


def categories(summary: Summary, score: str) -> dict[str, Estimate]:
    """Each category's score, per image if that is what `score` averages over, else per point."""
    threshold, _, average = score.partition("/")
    average = average if average in AVERAGES[:2] else AVERAGES[0]
    return _named(summary, rf"{re.escape(f'{threshold}/{average}')}/category/(.+?)(?<!/low)(?<!/high)")


def _named(summary: Summary, pattern: str) -> dict[str, Estimate]:
    found = ((key, re.fullmatch(pattern, key)) for key in summary)
    return {match[1]: estimate(summary, key) for key, match in found if match}
