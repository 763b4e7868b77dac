"""A summary as tables for a terminal: methods with intervals and differences, then kinds of points; in percent."""

import re
from collections.abc import Iterator, Mapping

from rich import box
from rich.console import Console
from rich.table import Table

from sdcorr.evaluation.score import AVERAGES, Summary


def print_summary(summary: Summary, method: str, console: Console) -> None:
    """Prints what `sdcorr.evaluation.score` found.

    Args:
        summary: flat, of the method called `method`.
        method: how to call it in the tables.
        console: where to print.
    """
    for table in tables(summary, method):
        console.print(table)


def tables(summary: Summary, method: str) -> Iterator[Table]:
    """Tables of methods per point and per image, of the differences between them, of kinds of points and categories."""
    names = "\n".join(summary)
    thresholds = re.findall(r"(?m)^(pck@[\d.]+)/per_point$", names)
    others = re.findall(r"(?m)^baseline/([^/]+)/pairs$", names)
    protocol = f"protocol {summary['protocol']}: {summary['pairs']} pairs, {summary['points']} points"
    prefixes = {method: ""} | {name: f"baseline/{name}/" for name in others}
    for average in ("per_point", "per_image"):
        columns = {alpha.upper(): f"{alpha}/{average}" for alpha in thresholds}
        yield _table(f"{average.replace('_', ' ')}, {protocol}", summary, columns, prefixes)
    if others:
        alpha = thresholds[len(thresholds) // 2]
        columns = {f"{alpha.upper()} {average.replace('_', ' ')}": f"{alpha}/{average}" for average in AVERAGES}
        prefixes = {f"less {name}": f"difference/{name}/" for name in others}
        yield _table(f"{method}, paired difference", summary, columns, prefixes)
    kinds = re.findall(rf"(?m)^{re.escape(thresholds[0])}/per_point(/ambiguous|/distinct|/category/.+)$", names)
    if kinds:
        columns = {alpha.upper(): f"{alpha}/per_point{{}}" for alpha in thresholds}
        yield _table(f"{method}, per point", summary, columns, {kind.rpartition("/")[2]: kind for kind in kinds})


def _table(title: str, summary: Summary, columns: Mapping[str, str], rows: Mapping[str, str]) -> Table:
    """A cell's key is the row's prefix and the column's key, or the column's key with the row's in the place of {}."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for name, row in rows.items():
        keys = [key.format(row) if "{}" in key else row + key for key in columns.values()]
        table.add_row(name, *(_cell(summary, key) for key in keys))
    return table


def _cell(summary: Summary, name: str) -> str:
    """A value in percent, with its interval if it has one: `45.4 [43.9, 46.8]`."""
    if name not in summary:
        return "-"
    low, high = summary.get(f"{name}/low"), summary.get(f"{name}/high")
    value = f"{100 * summary[name]:.1f}"
    return value if low is None else f"{value} [{100 * low:.1f}, {100 * high:.1f}]"
