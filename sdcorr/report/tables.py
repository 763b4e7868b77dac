"""What a page is made of: tables and charts as plain values, and the one way to write them into a file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from matplotlib.figure import Figure

from sdcorr.files import write_whole
from sdcorr.report.terminal import cell
from sdcorr.scoring.summary import Summary
from sdcorr.visualize import to_svg
from sdcorr.web import FOLDER, asset

SCRIPTS = ("pair.js", "report.js")
STYLES = ("style.css", "report.css")


@dataclass(frozen=True)
class Cell:
    """A number or a word in a table."""

    text: str
    interval: str = ""
    order: float | None = None  # what a column of numbers is sorted by; None: a word


@dataclass(frozen=True)
class Row:
    """A row of a table; the first cell is its name."""

    cells: tuple[Cell, ...]
    strong: bool = False


@dataclass
class Table:
    """A table, whose columns that hold numbers are aligned at the right."""

    caption: str
    columns: Sequence[str]
    rows: list[Row] = field(default_factory=list)
    sortable: bool = False

    def add(self, *cells: Cell | str, strong: bool = False) -> None:
        """One more row; a string is a word."""
        self.rows.append(Row(tuple(each if isinstance(each, Cell) else Cell(each) for each in cells), strong))

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers."""
        return [any(row.cells[i].order is not None for row in self.rows) for i in range(len(self.columns))]


@dataclass(frozen=True)
class Chart:
    """A chart with its title and a sentence about how to read it."""

    title: str
    figure: Figure
    note: str = ""

    @property
    def svg(self) -> Markup:
        """An `<svg>` element that says what it is to those who cannot see it."""
        named = Markup('role="img" aria-label="{}"').format(self.title)
        return Markup(to_svg(self.figure).replace('role="img"', named, 1))


def score(summary: Summary, name: str, sign: str = "") -> Cell:
    """A PCK or a difference of a summary, with its interval."""
    value, _, interval = cell(summary, name, sign=sign).partition(" ")
    order = summary.get(name)
    return Cell(value, interval, float("-inf") if order is None else float(order))


def number(value: float | None, form: str = ",.0f", unit: str = "") -> Cell:
    """A number that is not a score; `form` as in a format string."""
    return Cell("-", order=float("-inf")) if value is None else Cell(f"{value:{form}}{unit}", order=float(value))


def write_page(path: Path, template: str, content: Mapping[str, Any]) -> Path:
    """Writes a page that holds all that it needs, whole or not at all, and returns its path.

    The page's own policy lets nothing be fetched and no script run but the one that is written here.

    Raises:
        UserError: if the disk is full or the folder cannot be written.
    """
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True, auto_reload=False
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    script = "\n".join(map(asset, SCRIPTS))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template(template).render(
        **content, script=Markup(script), script_digest=digest, style=Markup("\n".join(map(asset, STYLES)))
    )
    write_whole(path, page)
    return path
