"""Tables in a terminal: intervals behind their values, or under them where the terminal is too narrow."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich import table as rich_table
from rich.console import Console
from rich.measure import Measurement
from rich.text import Text

from sdcorr.report.table import Cell, Column, Row, Table

WIDTHS = ((" ", True), (" ", False), ("\n", True), ("\n", False))  # from the widest: before an interval, all columns?


def show(tables: Iterable[Table], console: Console) -> None:
    """Prints tables, each below its notes."""
    for table in tables:
        for note in table.notes:
            console.print(note, markup=False, highlight=False)
        console.print(fitted(table, console))


def fitted(table: Table, console: Console) -> rich_table.Table:
    """The table as wide as there is room: without columns that are not needed, intervals under their values."""
    for gap, everything in WIDTHS:
        made = _drawn(table, gap, everything)
        wanted = Measurement.get(console, console.options.update(max_width=10_000), made).maximum
        if wanted <= console.width:
            break
    return made


def _drawn(table: Table, gap: str, everything: bool) -> rich_table.Table:
    shown = [index for index, column in enumerate(table.columns) if everything or column.needed]
    title = Text(table.title, style="bold")
    made = rich_table.Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in (table.columns[index] for index in shown):
        if column.kind == "number":
            made.add_column(Text(column.title), justify="right", no_wrap=True)
        else:
            made.add_column(Text(column.title), overflow="fold")
    for section in table.sections:
        above: Row | None = None
        for row in section:
            cells = [_cell(table.columns[index], index, row, above, gap) for index in shown]
            made.add_row(*cells, style="bold" if row.bold else None)
            above = row
        made.add_section()
    return made


def _cell(column: Column, index: int, row: Row, above: Row | None, gap: str) -> Text:
    if column.merged and above is not None and above.cells[: index + 1] == row.cells[: index + 1]:
        return Text("")
    return Text(_text(row.cells[index], gap))


def _text(cell: Cell, gap: str) -> str:
    if isinstance(cell, str):
        return cell
    return f"{cell.text}{gap}{cell.interval}" if cell.interval else cell.text
