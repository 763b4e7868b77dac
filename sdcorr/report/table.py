"""A table as plain values, whoever shows it: `terminal`, `html` and `wandb` each turn it into theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from sdcorr.scoring.averages import average_name
from sdcorr.scoring.metrics import PERCENT, Measure, Unit
from sdcorr.scoring.scores import Score

COUNT = Unit("", digits=0)
SECONDS = Unit("s", digits=1)
SECONDS_EACH = Unit("s", digits=3, significant=3)
TERAFLOP = Unit("TFLOP", 1e-12, digits=5, significant=3)
MEBIBYTES = Unit("MiB", 2.0**-20, digits=0)
NOTHING = "-"  # stands where there is no number


@dataclass(frozen=True)
class Number:
    """A number in a table, with an interval if it has one."""

    value: float | None  # None: there is none
    unit: Unit = COUNT
    low: float | None = None
    high: float | None = None
    signed: bool = False  # of a difference

    @property
    def text(self) -> str:
        """The value as it is written, without its unit: `45.4`."""
        return NOTHING if self.value is None else self._written(self.value)

    @property
    def interval(self) -> str:
        """The interval as it is written: `[43.9, 46.8]`; empty without one."""
        if self.value is None or self.low is None or self.high is None:
            return ""
        return f"[{self._written(self.low)}, {self._written(self.high)}]"

    @property
    def shown(self) -> tuple[float | None, float | None, float | None]:
        """The value and the ends of its interval in the unit: in percent, in pixels."""
        value, low, high = (None if x is None else self.unit.factor * x for x in (self.value, self.low, self.high))
        return value, low, high

    def _written(self, value: float) -> str:
        value *= self.unit.factor
        return f"{value:{'+' if self.signed else ''},.{self.unit.digits_of(value)}f}"


Cell = Number | str  # a number, or words


@dataclass(frozen=True)
class Column:
    """A column: its head, and how its cells are treated where room is short."""

    title: str
    kind: Literal["label", "number", "words"] = "number"
    needed: bool = True  # else a terminal that is too narrow leaves it out
    about: str = ""  # what it has in common with the columns beside it, which a paper writes above them once
    merged: bool = False  # a terminal writes a label that the row above has too only once


@dataclass(frozen=True)
class Row:
    """A row; the first cell is its name."""

    cells: tuple[Cell, ...]
    bold: bool = False


@dataclass
class Table:
    """Rows in sections."""

    title: str
    columns: Sequence[Column]
    sections: list[list[Row]] = field(default_factory=lambda: [[]])
    notes: Sequence[str] = ()  # sentences about it
    sortable: bool = False  # on a page, by a click on the head of a column

    def add(self, *cells: Cell, bold: bool = False) -> None:
        """One more row.

        Raises:
            ValueError: if there are not as many cells as columns.
        """
        if len(cells) != len(self.columns):
            raise ValueError(f"a row of {len(cells)} cells for {len(self.columns)} columns of the table {self.title!r}")
        self.sections[-1].append(Row(cells, bold))

    def add_section(self) -> None:
        """The rows after this stand apart from those before."""
        if self.sections[-1]:
            self.sections.append([])

    @property
    def rows(self) -> list[Row]:
        """All rows of all sections."""
        return [row for section in self.sections for row in section]


def measure_title(measure: Measure, average: str = "") -> str:
    """What heads the numbers of a measure: `PCK@0.10`, `mean error per point, px`; percent go without saying."""
    words = [measure.label, *([average_name(average)] if average else [])]
    unit = measure.metric.unit
    return " ".join(words) + ("" if unit is PERCENT else f", {unit.symbol}")


def number(score: Score | None, *, signed: bool = False) -> Number:
    """A score with its interval, in the unit of its metric."""
    if score is None:
        return Number(None)
    return Number(score.estimate.value, score.measure.metric.unit, *score.estimate[1:], signed=signed)
