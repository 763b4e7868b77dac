"""Tables in a terminal, as wide as there is room.

An interval stands behind its value, or under it where the terminal is too narrow; columns that are not needed are left
out; words are folded; and what still does not fit is printed as several tables, each with the names of the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich import box
from rich import table as rich_table
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from sdcorr.report.table import Cell, Column, Row, Table

BETWEEN, AROUND = 3, 2  # characters between columns, and before and after all of them
LONGEST_WORD = {"label": 20, "words": 16}  # characters; a longer one may be broken


def show(tables: Iterable[Table], console: Console) -> None:
    """Prints tables, each below its notes."""
    for table in tables:
        for note in table.notes:
            console.print(note, markup=False, highlight=False)
        for fitted in fit(table, console.width):
            console.print(fitted)


def fit(table: Table, width: int) -> list[rich_table.Table]:
    """The table as it is printed in a terminal of that many characters: one, or several with some columns each."""
    every = list(range(len(table.columns)))
    needed = [index for index in every if table.columns[index].needed]
    for gap, shown in ((" ", every), (" ", needed), ("\n", every), ("\n", needed)):  # from the widest
        if _total(_wanted(table, index, gap) for index in shown) <= width:
            return [_drawn(table, shown, gap, width)]
    blocks = list(_blocks(table, needed, width))
    return [_drawn(table, block, "\n", width, title=block is blocks[0]) for block in blocks]


def _blocks(table: Table, shown: Sequence[int], width: int) -> Iterator[list[int]]:
    """Columns in groups that fit if words are folded, the labels in every one."""
    labels = [index for index in shown if table.columns[index].kind == "label"]
    block = list(labels)
    for index in (index for index in shown if index not in labels):
        if len(block) > len(labels) and _total(_least(table, each) for each in [*block, index]) > width:
            yield block
            block = list(labels)
        block.append(index)
    yield block


def _total(widths: Iterable[int]) -> int:
    columns = list(widths)
    return sum(columns) + BETWEEN * (len(columns) - 1) + AROUND


def _wanted(table: Table, index: int, gap: str) -> int:
    """The width of a column in which nothing is folded."""
    texts = [table.columns[index].title, *(_text(row.cells[index], gap) for row in table.rows)]
    return max(cell_len(line) for text in texts for line in text.split("\n"))


def _least(table: Table, index: int) -> int:
    """The width of a column in which words are folded, and intervals under their values."""
    if table.columns[index].kind == "number":
        return _wanted(table, index, "\n")
    words = " ".join([table.columns[index].title, *(_text(row.cells[index], " ") for row in table.rows)]).split()
    return min(max(map(cell_len, words), default=0), LONGEST_WORD[table.columns[index].kind])


def _widths(table: Table, shown: Sequence[int], gap: str, width: int) -> list[int]:
    """The widths of columns: as wide as wanted if all fit, else those that fold the most get what room there is."""
    wanted = [_wanted(table, index, gap) for index in shown]
    if _total(wanted) <= width:
        return wanted
    widths = [_least(table, index) for index in shown]
    while _total(widths) < width and widths != wanted:
        place = max(range(len(shown)), key=lambda place: wanted[place] / max(widths[place], 1))
        widths[place] += 1
    return widths


def _drawn(table: Table, shown: Sequence[int], gap: str, width: int, title: bool = True) -> rich_table.Table:
    """Some of the columns, with what stands between a value and its interval."""
    made = rich_table.Table(
        title=Text(table.title, style="bold") if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for index, room in zip(shown, _widths(table, shown, gap, width), strict=True):
        right = table.columns[index].kind == "number"
        made.add_column(
            Text(table.columns[index].title), justify="right" if right else "left", overflow="fold", width=room
        )
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
