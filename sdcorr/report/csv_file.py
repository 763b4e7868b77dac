"""A table as CSV, for a spreadsheet or pandas: numbers as they are, not rounded, with the ends of their intervals."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from sdcorr.report.table import Cell, Column, Number, Row, Table

OF = "of"  # the last column: what the numbers are of, so that files can be put together


def csv_text(table: Table) -> str:
    """The table with a head; percent, pixels and so on as its titles say; nothing where there is no number.

    A column of numbers of which any has an interval is three: `PCK@0.10 per point`, and with ` low` and ` high` behind.
    """
    wide = [_has_interval(table, index) for index in range(len(table.columns))]
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    heads = zip(table.columns, wide, strict=True)
    writer.writerow([*(title for column, three in heads for title in _titles(column, three)), OF])
    for row in table.rows:
        writer.writerow([*_values(row, wide), table.title])
    return written.getvalue()


def _has_interval(table: Table, index: int) -> bool:
    cells = (row.cells[index] for row in table.rows)
    return any(isinstance(cell, Number) and bool(cell.interval) for cell in cells)


def _titles(column: Column, three: bool) -> list[str]:
    return [column.title, f"{column.title} low", f"{column.title} high"] if three else [column.title]


def _values(row: Row, wide: list[bool]) -> Iterator[str]:
    for cell, three in zip(row.cells, wide, strict=True):
        yield from _value(cell) if three else _value(cell)[:1]


def _value(cell: Cell) -> list[str]:
    if isinstance(cell, str):
        return [cell, "", ""]
    return ["" if number is None else f"{number:.10g}" for number in cell.shown]
