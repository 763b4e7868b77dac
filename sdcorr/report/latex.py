"""A table in LaTeX, to paste into a paper: a `tabular` with the rules of the package booktabs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from sdcorr.report.table import NOTHING, Cell, Column, Table

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\N{DAGGER}": r"\textsuperscript{\textdagger}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}
INTERVALS = "Brackets are 95 % intervals of a bootstrap over pairs."


def latex(table: Table) -> str:
    """The table as a `tabular`; what it is of, and its notes, are comments above it.

    What columns beside each other have in common (`Column.about`) stands above them once. Bold rows have a bold name.
    """
    intervals = any(not isinstance(cell, str) and cell.interval for row in table.rows for cell in row.cells)
    about = [table.title, *([INTERVALS] if intervals else []), *table.notes, r"\usepackage{booktabs}"]
    kinds = "".join("r" if column.kind == "number" else "l" for column in table.columns)
    lines = [*(f"% {line}" for line in about), rf"\begin{{tabular}}{{{kinds}}}", r"\toprule"]
    lines += _heads(table.columns)
    for section in filter(None, table.sections):
        lines.append(r"\midrule")
        for row in section:
            name, *cells = map(_text, row.cells)
            lines.append(_row([rf"\textbf{{{name}}}" if row.bold else name, *cells]))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _heads(columns: Sequence[Column]) -> Iterator[str]:
    """What columns have in common with a rule below, if any have, and their titles without that."""
    groups = [(about, len(list(some))) for about, some in groupby(columns, lambda column: column.about)]
    if any(about for about, _ in groups):
        ends = [sum(count for _, count in groups[: place + 1]) for place in range(len(groups))]
        yield _row([rf"\multicolumn{{{count}}}{{c}}{{{_escaped(about)}}}" for about, count in groups])
        rules = zip(groups, ends, strict=True)
        yield " ".join(rf"\cmidrule(lr){{{end - count + 1}-{end}}}" for (about, count), end in rules if about)
    yield _row([_escaped(_short(column)) for column in columns])


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
    value = f"${cell.text}$" if cell.text[0] in "+-" else cell.text  # the sign of a number, not a hyphen
    interval = cell.interval.replace("-", "$-$").replace("+", "$+$")
    return rf"{value} {{\scriptsize {interval}}}" if interval else value


def _escaped(words: str) -> str:
    return "".join(SPECIAL.get(letter, letter) for letter in words)
