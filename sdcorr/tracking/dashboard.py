"""The scores of an evaluation as charts and numbers of its W&B run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger
from matplotlib.figure import Figure

from sdcorr import visualize
from sdcorr.report import estimates
from sdcorr.report.pairs import ALPHA
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.arrays import Answers, read
from sdcorr.scoring.confidence import reliability
from sdcorr.scoring.counts import tally
from sdcorr.scoring.curves import GRID, LINES, pck_curve
from sdcorr.scoring.pck import AVERAGES
from sdcorr.scoring.protocols import Protocol
from sdcorr.scoring.published import average_name
from sdcorr.scoring.summary import Summary
from sdcorr.tracking.session import media_in
from sdcorr.visualize.charts import Estimate

ENDS = ("low", "high")


def log_scores(
    logger: WandbLogger | None,
    store: PredictionStore,
    method: str,
    protocol: Protocol,
    summary: Summary,
    pictures: Mapping[str, Figure],
    *,
    samples: int = 1000,
) -> None:
    """Logs the summary, and charts of it.

    Args:
        logger: of the run; nothing is done without one.
        store: the predictions.
        method: the method that the run is about.
        protocol: what right means.
        summary: what `score` found.
        pictures: further figures, by name.
        samples: bootstrap resamples, for the bands of what the summary does not have.
    """
    if logger is None:
        return
    run = logger.experiment
    logged: dict[str, Any] = {key: summary[key] for key in summary if _is_main(key)}  # bars over the runs of a group
    figures = dict(pictures)
    score = estimates.score_name(summary)
    label = f"{_words(score)}, %"

    def bars(name: str, rows: Mapping[str, Estimate], what: str, title: str) -> None:
        if not rows:
            return
        rows = dict(sorted(rows.items(), key=lambda row: -row[1][0]))
        columns = [what, "value", *ENDS]
        table = wandb.Table(columns, [[name, *values] for name, values in rows.items()])
        logged[f"charts/{name}"] = wandb.plot.bar(table, what, "value", title)
        figures[name] = visualize.bars(rows, title)

    leads = estimates.leads(summary, score)
    variants = {name: lead for name, lead in leads.items() if estimates.is_variant(name)}
    bars("methods", estimates.methods(summary, method, score), "method", label)
    bars("categories", estimates.categories(summary, score), "category", label)
    bars("leads", {name: lead for name, lead in leads.items() if name not in variants}, "method", _lead(method, score))
    bars("ablation", variants, "variant", _lead(method, score))

    answers = read(store, method)
    curves = _curves(answers, protocol, score.partition("/")[2], samples)
    figures["thresholds"] = visualize.curve(
        GRID, curves, "threshold α", f"PCK, {_words(score)}, %".replace("@0.10", "")
    )
    lines = [[value for value, *_ in curve] for curve in curves.values()]
    logged["charts/thresholds"] = wandb.plot.line_series(list(GRID), lines, list(curves), "PCK over its threshold", "α")

    ours = answers[method]
    right = protocol.hits(ours, [ALPHA])[:, 0]
    bins = reliability(ours.confidence, right, ours.rows, samples=samples).bins
    shares = [tuple(100 * value for value in each.right) for each in bins]
    x = [each.confidence for each in bins]
    figures["confidence"] = visualize.reliability(x, shares, [each.points for each in bins])
    title = "Does the confidence know? Points right at 0.1, %"
    line = [value for value, *_ in shares]
    logged["charts/confidence"] = wandb.plot.line_series(x, [line], [method], title, "confidence")

    logged |= {f"figures/{name}": wandb.Image(visualize.to_array(each)) for name, each in figures.items()}
    with media_in(run):
        run.log(logged)
    run.summary.update(dict(summary))


def _is_main(key: str) -> bool:
    """Whether a key of the summary is of all points of the method: `pck@0.10/per_point`."""
    threshold, _, average = key.partition("/")
    return threshold.startswith("pck@") and average in AVERAGES


def _curves(
    answers: Mapping[str, Answers], protocol: Protocol, average: str, samples: int
) -> dict[str, list[Estimate]]:
    """PCK over its threshold: the method, then its baselines and variants as far as there are colors."""
    names = sorted(list(answers)[1:], key=lambda name: estimates.is_variant(name))
    return {
        name: pck_curve(tally(answers[name], protocol, GRID), average, samples=samples)
        for name in [next(iter(answers)), *names][:LINES]
    }


def _lead(method: str, score: str) -> str:
    return f"{method} is better by, points of {_words(score)}"


def _words(score: str) -> str:
    threshold, _, average = score.partition("/")
    return f"{threshold.upper()} {average_name(average)}"
