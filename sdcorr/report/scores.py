"""The scores of a run as tables and charts; every number is one of its summary's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sdcorr import visualize
from sdcorr.report.estimates import estimate, is_variant, middle
from sdcorr.report.tables import Cell, Chart, Table, number, score
from sdcorr.report.terminal import (
    SUPERVISION,
    averages_of,
    kinds_of,
    known_from,
    others_of,
    published_values,
    thresholds_of,
)
from sdcorr.scoring.arrays import Answers
from sdcorr.scoring.counts import Tally, tally
from sdcorr.scoring.curves import GRID, LINES, pck_curve
from sdcorr.scoring.pck import AVERAGES, pck_name
from sdcorr.scoring.protocols import Protocol
from sdcorr.scoring.published import average_name, beside, lacks
from sdcorr.scoring.summary import Summary
from sdcorr.visualize.charts import Estimate


def methods(summary: Summary, method: str) -> list[Table]:
    """A table for every average: each method at each threshold, and how much better the run's own is."""
    at, thresholds = middle(summary), thresholds_of([summary])
    others = sorted(others_of(summary), key=is_variant, reverse=True)  # what is closest to the method first
    columns = ["method", *map(str.upper, thresholds), *([f"{method} is better @{at[4:]} by"] if others else [])]
    made = []
    for average in averages_of(summary):
        table = Table(average_name(average), columns)
        mine = [score(summary, f"{each}/{average}") for each in thresholds]
        table.add(method, *mine, *([""] if others else []), strong=True)
        for name in others:
            values = [score(summary, f"baseline/{name}/{each}/{average}") for each in thresholds]
            table.add(name, *values, score(summary, f"difference/{name}/{at}/{average}", "+"))
        made.append(table)
    return made


def published(summaries: Sequence[Summary], method: str) -> tuple[list[Table], list[Table]]:
    """Published results beside ours, a table a protocol, and those that may not stand there, with what differs."""
    together, others = beside(summaries)
    made = []
    for summary, rows in together:
        thresholds = sorted({alpha for row in rows for alpha in row.values})
        names = [pck_name(alpha) for alpha in thresholds]
        caption = f"protocol {summary['protocol']}"
        table = Table(caption, ["method", "average", *map(str.upper, names), "labels", "known from"])
        for average in dict.fromkeys(row.average for row in rows):
            mine = [score(summary, f"{name}/{average}") for name in names]
            table.add(method, average_name(average), *mine, "", "this run", strong=True)
            for row in (row for row in rows if row.average == average):
                labels = SUPERVISION[row.supervision]
                values = [_percent(text) for text in published_values(row, thresholds)]
                table.add(row.method, average_name(average), *values, labels, known_from(row))
        made.append(table)
    thresholds = sorted({alpha for row, _ in others for alpha in row.values})
    columns = ["method", "average", *(pck_name(alpha).upper() for alpha in thresholds), "labels", "what differs"]
    why_none = "; ".join(lacks(summaries[0]))  # true of all rows
    apart = Table(why_none or "what differs from every protocol here", [*columns, "known from"], sortable=True)
    for row, reason in others:
        values = [_percent(text) for text in published_values(row, thresholds)]
        labels = SUPERVISION[row.supervision]
        apart.add(row.method, average_name(row.average), *values, labels, reason or "-", known_from(row))
    return made, [apart] if others else []


def protocols(summaries: Sequence[Summary]) -> Table:
    """What the method has under every protocol, first the average that the protocol itself reports."""
    thresholds = thresholds_of(summaries)
    columns = ["protocol", "average", *map(str.upper, thresholds)]
    table = Table("in bold what the protocol itself reports", columns)
    for summary in summaries:
        for average in averages_of(summary):
            values = [score(summary, f"{name}/{average}") for name in thresholds]
            strong = average == summary["headline"]
            table.add(str(summary["protocol"]), average_name(average), *values, strong=strong)
    return table


def curve(
    answers: Mapping[str, Answers], names: Sequence[str], protocol: Protocol, average: str, samples: int
) -> Chart:
    """PCK over its threshold, of some of the methods."""
    tallies = {name: tally(answers[name], protocol, GRID) for name in names[:LINES]}
    return curves(tallies, average, samples)


def curves(tallies: Mapping[str, Tally], average: str, samples: int) -> Chart:
    """PCK over its threshold, from tallies made at GRID."""
    series = {name: pck_curve(counts, average, samples=samples) for name, counts in tallies.items()}
    figure = visualize.curve(GRID, series, "threshold α", f"PCK@α {average_name(average)}, %")
    return Chart("PCK over its threshold", figure, "Bands: 95 % bootstrap over pairs.")


def kinds(summary: Summary, counts: Tally) -> tuple[Table, list[Chart]] | None:
    """Categories and difficulties: a table to sort, and bars of each family; None if there is but one kind."""
    at, thresholds = middle(summary), thresholds_of([summary])
    average = str(summary["headline"]) if summary["headline"] in AVERAGES[:2] else AVERAGES[0]
    found = kinds_of(summary, thresholds[0])
    if len(found) < 2:
        return None
    sizes = {f"/{name}": (int(mask.sum()), int(counts.points[mask, 0].sum())) for name, mask in counts.parts()}
    for group, kind in ((1, "/ambiguous"), (2, "/distinct")):
        sizes[kind] = (int((counts.points[:, group] > 0).sum()), int(counts.points[:, group].sum()))
    caption = f"{average_name(average)}; click on a head to sort"
    table = Table(caption, ["kind", "", "pairs", "points", *map(str.upper, thresholds)], sortable=True)
    families: dict[str, dict[str, Estimate]] = {}
    for name, kind in found.items():
        family = _family(kind)
        values = [score(summary, f"{each}/{average}{kind}") for each in thresholds]
        table.add(name, family, *(number(size) for size in sizes[kind]), *values)
        if (value := estimate(summary, f"{at}/{average}{kind}")) is not None:
            families.setdefault(family, {})[name] = value
    label = f"{at.upper()} {average_name(average)}, %"
    return table, [
        Chart(f"{at.upper()} by {family}", visualize.bars(rows, label))
        for family, rows in families.items()
        if len(rows) > 1
    ]


def _family(kind: str) -> str:
    """What a kind of points is told apart by."""
    if kind.startswith("/category/"):
        return "category"
    return kind.removeprefix("/difficulty/").partition("=")[0] if "=" in kind else "look-alikes"


def _percent(text: str) -> Cell:
    return Cell(text, order=float("-inf") if text == "-" else float(text))
