"""Summaries as tables for a terminal, in percent: methods, differences and kinds of points; protocols side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from sdcorr.scoring.pck import pck_name
from sdcorr.scoring.published import STATUS, Published, average_name, beside, lacks
from sdcorr.scoring.summary import Summary

SUPERVISION = {"none": "no labels", "weak": "weak labels", "strong": "key-points"}  # that a published method has seen
Run = tuple[str, str, Summary]  # folder, method, what was found under one protocol
Make = Callable[[str], Table]  # makes a table, given what stands between a value and its interval


def print_summary(summary: Summary, method: str, console: Console) -> None:
    """Prints what `sdcorr.scoring.score` found, and beside it what others have published on the same data set.

    Args:
        summary: flat, of the method called `method`.
        method: how to call it in the tables.
        console: where to print.
    """
    for make in tables(summary, method):
        console.print(fitted(make, console))
    _print_published([summary], method, console)


def print_side_by_side(runs: Sequence[Run], console: Console) -> None:
    """Prints runs under protocols: for each data set one table, its rows a protocol, an average and a run.

    Args:
        runs: folder, method and summary; those of a folder follow each other.
        console: where to print.
    """
    for origin in dict.fromkeys(_origin(summary) for _, _, summary in runs):
        here = [run for run in runs if _origin(run[2]) == origin]
        console.print(fitted(partial(_side_by_side, origin, here), console))
    for (folder, method), group in groupby(runs, key=lambda run: run[:2]):
        _print_published([summary for _, _, summary in group], f"{folder}: {method}", console)


def print_comparison(summary: Summary, first: str, second: str, console: Console) -> None:
    """Prints what `sdcorr.scoring.compare` found.

    Args:
        summary: flat, see there.
        first: how to call the one.
        second: how to call the other.
        console: where to print.
    """
    thresholds = thresholds_of([summary], "difference/")
    title = f"{' '.join(_origin(summary))}, protocol {summary['protocol']}: {summary['pairs']:,} pairs that both have"
    for name, run, only in (("A", first, "a/only"), ("B", second, "b/only")):
        console.print(
            f"{name}: {run}; {summary[only]:,} pairs that it alone has are left out", markup=False, highlight=False
        )

    def whole(gap: str) -> Table:
        table = grid(title, ["average", "", *map(str.upper, thresholds)], labels=2)
        for average in averages_of(summary):
            for name, prefix in (("A", "a/"), ("B", "b/"), ("A - B", "difference/")):
                cells = [cell(summary, f"{prefix}{alpha}/{average}", gap) for alpha in thresholds]
                bold = "bold" if prefix == "difference/" else None
                table.add_row(average_name(average) if prefix == "a/" else "", name, *cells, style=bold)
            table.add_section()
        return table

    console.print(fitted(whole, console))
    if kinds := kinds_of(summary, f"difference/{thresholds[0]}"):
        columns = {alpha.upper(): f"difference/{alpha}/per_point{{}}" for alpha in thresholds}
        console.print(fitted(_maker("A - B, per point", summary, columns, kinds), console))


def fitted(make: Make, console: Console) -> Table:
    """The table with its intervals behind the values, or under them where that is too wide for the terminal."""
    table = make(" ")
    wanted = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    return table if wanted <= console.width else make("\n")


def tables(summary: Summary, method: str) -> Iterator[Make]:
    """Tables of methods under each average, of the differences between them, of kinds of points and categories."""
    thresholds, others = thresholds_of([summary]), others_of(summary)
    protocol = f"protocol {summary['protocol']}: {summary['pairs']} pairs, {summary['points']} points"
    prefixes = {method: ""} | {name: f"baseline/{name}/" for name in others}
    for average in averages_of(summary):
        columns = {alpha.upper(): f"{alpha}/{average}" for alpha in thresholds}
        yield _maker(f"{average_name(average)}, {protocol}", summary, columns, prefixes)
    averages = ("per_point", "per_image")
    if others:
        alpha = thresholds[len(thresholds) // 2]
        columns = {f"{alpha.upper()} {average_name(average)}": f"{alpha}/{average}" for average in averages}
        prefixes = {f"less {name}": f"difference/{name}/" for name in others}
        yield _maker(f"{method}, paired difference", summary, columns, prefixes)
    if kinds := kinds_of(summary, thresholds[0]):
        columns = {alpha.upper(): f"{alpha}/per_point{{}}" for alpha in thresholds}
        yield _maker(f"{method}, per point", summary, columns, kinds)


def grid(title: str, columns: Sequence[str], labels: int = 1, words: int = 0) -> Table:
    """An empty table: its first columns are `labels`, its last ones `words`, the others numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        wraps = index < labels or index >= len(columns) - words
        table.add_column(column, **({"overflow": "fold"} if wraps else {"justify": "right", "no_wrap": True}))
    return table


def cell(summary: Summary, name: str, gap: str = " ", sign: str = "") -> str:
    """A value in percent, with its interval if it has one: `45.4 [43.9, 46.8]`; `sign="+"` for a difference."""
    if name not in summary:
        return "-"
    low, high = summary.get(f"{name}/low"), summary.get(f"{name}/high")
    value = f"{100 * summary[name]:{sign}.1f}"
    return value if low is None else f"{value}{gap}[{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]"


def _maker(title: str, summary: Summary, columns: Mapping[str, str], rows: Mapping[str, str]) -> Make:
    """A cell's key is the row's prefix and the column's key, or the column's key with the row's in the place of {}."""

    def make(gap: str) -> Table:
        table = grid(title, ["", *columns])
        for name, row in rows.items():
            keys = [key.format(row) if "{}" in key else row + key for key in columns.values()]
            table.add_row(name, *(cell(summary, key, gap) for key in keys))
        return table

    return make


def _side_by_side(origin: tuple[str, str], runs: Sequence[Run], gap: str) -> Table:
    """Rows of a protocol, an average and a run; each protocol's own average comes first, in bold."""
    thresholds = thresholds_of([summary for _, _, summary in runs])
    labels = [(f"{folder}: {method}", f"{summary['pairs']:,}") for folder, method, summary in runs]
    several = len(set(labels)) > 1
    whose = "" if several else f", {labels[0][0]}: {labels[0][1]} pairs, {runs[0][2]['points']:,} points"
    columns = ["protocol", "average", *(["run", "pairs"] if several else []), *map(str.upper, thresholds)]
    title = f"{' '.join(origin)}{whose}; bold: what a protocol reports"
    table = grid(title, columns, labels=3 if several else 2)
    for protocol in dict.fromkeys(summary["protocol"] for _, _, summary in runs):
        under = [(label, run[2]) for label, run in zip(labels, runs, strict=True) if run[2]["protocol"] == protocol]
        first = protocol
        for average in averages_of(under[0][1]):
            style = "bold" if average == under[0][1]["headline"] else None
            for label, summary in under:
                cells = [cell(summary, f"{alpha}/{average}", gap) for alpha in thresholds]
                table.add_row(first, average_name(average), *(label if several else []), *cells, style=style)
                first = ""
        table.add_section()
    return table


def _print_published(summaries: Sequence[Summary], ours: str, console: Console) -> None:
    """Published results on the data set of one run: what may be compared beside ours, then the rest with the reason."""
    theirs, others = beside(summaries)
    for summary, rows in theirs:
        console.print(fitted(partial(_comparable, summary, rows, ours), console))
    if others:
        thresholds = sorted({alpha for row, _ in others for alpha in row.values})
        why = "".join(f"; {reason}" for reason in lacks(summaries[0]))
        title = f"published on {summaries[0]['dataset']}, not comparable{why}"
        table = grid(title, ["", "average", *_columns(thresholds), "what differs", "known from"], 2, words=2)
        for labels, group in groupby(others, key=lambda other: other[0].supervision):
            table.add_row(SUPERVISION[labels], style="bold")
            for row, reason in group:
                values = published_values(row, thresholds)
                table.add_row(f"  {row.method}", average_name(row.average), *values, reason, known_from(row))
        console.print(table)


def _comparable(summary: Summary, rows: Sequence[Published], ours: str, gap: str) -> Table:
    """Results under the protocol of a summary, ours under every average that one of them has."""
    thresholds = sorted({alpha for row in rows for alpha in row.values})
    title = f"published, protocol {summary['protocol']}"
    table = grid(title, ["", "average", *_columns(thresholds), "labels", "known from"], 2, words=2)
    for average in dict.fromkeys(row.average for row in rows):
        mine = [cell(summary, f"{pck_name(alpha)}/{average}", gap) for alpha in thresholds]
        table.add_row(ours, average_name(average), *mine, "", "this run", style="bold")
        for row in (row for row in rows if row.average == average):
            labels = SUPERVISION[row.supervision]
            table.add_row(
                row.method, average_name(average), *published_values(row, thresholds), labels, known_from(row)
            )
        table.add_section()
    return table


def _columns(thresholds: Sequence[float]) -> list[str]:
    return [pck_name(alpha).removeprefix("pck") for alpha in thresholds]


def published_values(row: Published, thresholds: Sequence[float]) -> list[str]:
    """What it has at these thresholds, in percent."""
    return [f"{row.values[alpha]:.1f}" if alpha in row.values else "-" for alpha in thresholds]


def known_from(row: Published) -> str:
    """Where a published number was read, and how surely it is known."""
    status = STATUS[row.status]
    return f"{row.source} ({status})" if status else row.source


def others_of(summary: Summary) -> list[str]:
    """The methods that a summary's own is compared with."""
    return re.findall(r"(?m)^baseline/([^/]+)/pairs$", "\n".join(summary))


def averages_of(summary: Summary) -> list[str]:
    """The averages to show: the protocol's first, then per point and per image."""
    first = str(summary["headline"])
    there = any(name.endswith(f"/{first}") for name in summary)  # one category has no averages over categories
    return list(dict.fromkeys([*([first] if there else []), "per_point", "per_image"]))


def thresholds_of(summaries: Iterable[Summary], prefix: str = "") -> list[str]:
    """The thresholds of some summaries, in order."""
    names = "\n".join(name for summary in summaries for name in summary)
    return list(dict.fromkeys(re.findall(rf"(?m)^{prefix}(pck@[\d.]+)/per_point$", names)))


def kinds_of(summary: Summary, threshold: str) -> dict[str, str]:
    """The kinds of points, the categories and the difficulties that are told apart: what to call them -> their key."""
    names, kinds = "\n".join(summary), "/ambiguous|/distinct|/category/.+|/difficulty/.+"
    found = re.findall(rf"(?m)^{re.escape(threshold)}/per_point({kinds})(?<!/low)(?<!/high)$", names)
    return {re.sub("^/((category|difficulty)/)?", "", kind): kind for kind in found}


def _origin(summary: Summary) -> tuple[str, str]:
    """Data set and split."""
    return str(summary["dataset"]), str(summary["split"])
