"""A table in Markdown, to paste into a README or an issue."""

from __future__ import annotations

from sdcorr.report.table import Cell, Table


def markdown(table: Table) -> str:
    """The table with its title above and its notes below; bold rows have a bold name."""
    kinds = [column.kind for column in table.columns]
    rows = [[column.title for column in table.columns], ["---:" if kind == "number" else "---" for kind in kinds]]
    for row in table.rows:
        name, *cells = map(_text, row.cells)
        rows.append([f"**{name}**" if row.bold else name, *cells])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"{table.title}", "", *lines, *(f"\n{note}" for note in table.notes)]) + "\n"


def _text(cell: Cell) -> str:
    words = cell if isinstance(cell, str) else " ".join(filter(None, [cell.text, cell.interval]))
    return words.replace("|", "\\|")
