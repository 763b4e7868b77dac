"""A table in LaTeX, to paste into a paper: a `tabular` with the rules of the package booktabs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, zip_longest
from textwrap import wrap

from sdcorr.report.table import NOTHING, Cell, Column, Table

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\N{DAGGER}": r"\textsuperscript{\textdagger}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}
INTERVALS = "Brackets are 95 % intervals of a bootstrap over pairs."
HEAD = 14  # letters of a line of a column's title: about as wide as an interval
NARROWER = r"Too wide? Fewer --columns, or \small\setlength{\tabcolsep}{3pt} before it."


def latex(table: Table) -> str:
    """The table as a `tabular`; what it is of, and its notes, are comments above it.

    What columns beside each other have in common (`Column.about`) stands above them once. Bold rows have a bold name.
    Intervals stand below their values, since beside them four columns fill a page.
    """
    intervals = any(not isinstance(cell, str) and cell.interval for row in table.rows for cell in row.cells)
    about = [table.title, *([INTERVALS] if intervals else []), *table.notes, r"\usepackage{booktabs}", NARROWER]
    kinds = "".join("r" if column.kind == "number" else "l" for column in table.columns)
    lines = [*(f"% {line}" for line in about), rf"\begin{{tabular}}{{{kinds}}}", r"\toprule"]
    lines += _heads(table.columns)
    for section in filter(None, table.sections):
        lines.append(r"\midrule")
        for row in section:
            name, *values = map(_text, row.cells)
            lines.append(_row([rf"\textbf{{{name}}}" if row.bold else name, *values]))
            if any(below := [_interval(cell) for cell in row.cells]):
                lines += [f"{lines.pop()}[-3pt]", f"{_row(below)}[1pt]"]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _heads(columns: Sequence[Column]) -> Iterator[str]:
    """What columns have in common with a rule below, if any have, and their titles without that."""
    groups = [(about, len(list(some))) for about, some in groupby(columns, lambda column: column.about)]
    if any(about for about, _ in groups):
        ends = [sum(count for _, count in groups[: place + 1]) for place in range(len(groups))]
        yield _row([rf"\multicolumn{{{count}}}{{c}}{{{_escaped(about)}}}" for about, count in groups])
        rules = zip(groups, ends, strict=True)
        yield " ".join(rf"\cmidrule(lr){{{end - count + 1}-{end}}}" for (about, count), end in rules if about)
    titles = [wrap(_short(column), HEAD)[::-1] for column in columns]
    for words in reversed(list(zip_longest(*titles, fillvalue=""))):  # all end on the last line
        yield _row([_escaped(each) for each in words])


def _short(column: Column) -> str:
    """The title without what is said above.

    >>> _short(Column("mean error per point, px", about="per point"))
    'mean error, px'
    """
    rest = column.title.replace(column.about, "") if column.about else column.title
    return " ".join(rest.replace(" ,", ",").strip(", ").split())


def _row(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _text(cell: Cell) -> str:
    if isinstance(cell, str):
        return _escaped(cell)
    if cell.text == NOTHING:
        return "--"
    return f"${cell.text}$" if cell.text[0] in "+-" else cell.text  # the sign of a number, not a hyphen


def _interval(cell: Cell) -> str:
    """What stands below a value; nothing where it has no interval."""
    if isinstance(cell, str) or not cell.interval:
        return ""
    signed = cell.interval.replace("-", "$-$").replace("+", "$+$")
    return rf"{{\scriptsize {signed}}}"


def _escaped(words: str) -> str:
    return "".join(SPECIAL.get(letter, letter) for letter in words)
