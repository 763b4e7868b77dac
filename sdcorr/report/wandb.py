"""The scores of an evaluation in its W&B run: numbers, tables, charts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger
from matplotlib.figure import Figure

from sdcorr import visualize
from sdcorr.report import charts, tables
from sdcorr.report.results import Results
from sdcorr.report.table import Cell, Number, Table, measure_title
from sdcorr.scoring.bootstrap import Estimate
from sdcorr.scoring.curves import GRID
from sdcorr.scoring.parts import ALL
from sdcorr.scoring.scores import Scores
from sdcorr.scoring.summary import flatten, key
from sdcorr.tracking.session import media_in


def log_scores(logger: WandbLogger | None, results: Results, pictures: Mapping[str, Figure]) -> None:
    """Logs the scores of a run as numbers, tables and charts.

    Args:
        logger: of the run; nothing is done without one.
        results: what the run has to show; nothing is done if nothing could be scored.
        pictures: further figures, by name.
    """
    if logger is None or results.scores is None:
        return
    scores, run = results.scores, logger.experiment
    logged: dict[str, Any] = {  # bars over the runs of a group
        key(score): score.estimate.value for score in scores.ours.scores if score.part == ALL
    }
    logged |= {f"tables/{name}": to_wandb(table) for name, table in _tables(scores, results).items()}
    figures = dict(pictures)
    for name, what, title, rows in _bars(scores, results):
        logged[f"charts/{name}"], figures[name] = _bar_chart(rows, what, title), visualize.bars(rows, title)
    for number, (average, found) in enumerate(results.curves.items()):
        curve, name = charts.over_thresholds(found, average), f"thresholds{f'_{average}' if number else ''}"
        lines = [[value for value, *_ in line] for line in found.values()]
        logged[f"charts/{name}"] = wandb.plot.line_series(list(GRID), lines, list(found), curve.title, charts.SIGN)
        figures[name] = curve.figure
    if results.reliability is not None:
        bins = results.reliability.bins
        title = "Does the confidence know? Points right at 0.1, %"
        x, line = [each.confidence for each in bins], [100 * each.right.value for each in bins]
        logged["charts/confidence"] = wandb.plot.line_series(x, [line], [results.subject], title, "confidence")
        figures["confidence"] = charts.reliability(results.reliability)[0].figure
    if results.calibrated is not None:
        figures |= {"calibration": charts.calibrated(results.calibrated)[0].figure}
    logged |= {f"figures/{name}": wandb.Image(visualize.to_array(each)) for name, each in figures.items()}
    with media_in(run):
        run.log(logged)
    run.summary.update(flatten(scores, results.calibrated))


def to_wandb(table: Table) -> wandb.Table:
    """A table of W&B: an interval becomes two columns more, and numbers are in the unit that is shown."""
    titles: list[Any] = []
    columns: list[list[Any]] = []
    for index, column in enumerate(table.columns):
        cells = [row.cells[index] for row in table.rows]
        if column.kind != "number":
            titles.append(column.title)
            columns.append(cells)
            continue
        values, lows, highs = zip(*map(_numbers, cells), strict=True)
        titles.append(column.title)
        columns.append(list(values))
        if any(low is not None for low in lows):
            titles += [f"{column.title} low", f"{column.title} high"]
            columns += [list(lows), list(highs)]
    return wandb.Table(titles, [list(row) for row in zip(*columns, strict=True)])


def _numbers(cell: Cell) -> tuple[float | None, float | None, float | None]:
    """The value and the ends of its interval; words in a column of numbers stand for none."""
    return cell.shown if isinstance(cell, Number) else (None, None, None)


def _tables(scores: Scores, results: Results) -> dict[str, Table]:
    """Tables by name."""
    made = dict(zip(scores.averages, tables.methods(scores, results.variants), strict=True))
    if more := tables.further(scores, results.variants):
        made["further"] = more
    if scores.others:
        made["differences"] = tables.differences(scores, results.variants)
    if scores.ours.parts:
        made["parts"] = tables.parts(scores, scores.usual_headline)
    return made


def _bars(scores: Scores, results: Results) -> list[tuple[str, str, str, dict[str, Estimate]]]:
    """Name, what a bar is of, title, and rows of every chart of bars that has any, the greatest first."""
    label = measure_title(scores.ours.main, scores.averages[0])
    lead, leads = f"{scores.subject} is better by, points of {label}", charts.leads(scores)
    of_category = f"{measure_title(scores.ours.main, scores.usual_headline)}, %"
    found = [
        ("methods", "method", f"{label}, %", charts.methods(scores)),
        ("categories", "category", of_category, charts.parts(scores).get("category", {})),
        ("leads", "method", lead, {name: leads[name] for name in leads if name not in results.variants}),
        ("ablation", "variant", lead, {name: leads[name] for name in leads if name in results.variants}),
    ]
    return [
        (name, what, title, dict(sorted(rows.items(), key=lambda row: -row[1].value)))
        for name, what, title, rows in found
        if rows
    ]


def _bar_chart(rows: Mapping[str, Estimate], what: str, title: str) -> Any:
    table = wandb.Table([what, "value", "low", "high"], [[name, *values] for name, values in rows.items()])
    return wandb.plot.bar(table, what, "value", title)
