import pytest

from sdcorr.report.table import Column, Number, Table, measure_title, number
from sdcorr.scoring.bootstrap import Estimate
from sdcorr.scoring.metrics import PERCENT, PIXELS, Measure, Metric
from sdcorr.scoring.metrics.pck import METRIC as PCK
from sdcorr.scoring.parts import ALL
from sdcorr.scoring.scores import Score


@pytest.mark.parametrize(
    ("made", "text", "interval"),
    [
        (Number(0.4537, PERCENT, 0.4388, 0.4678), "45.4", "[43.9, 46.8]"),
        (Number(0.4537, PERCENT), "45.4", ""),
        (Number(0.091, PERCENT, -0.004, 0.173, signed=True), "+9.1", "[-0.4, +17.3]"),
        (Number(1234.56, PIXELS, 1200, 1300.04), "1,234.6", "[1,200.0, 1,300.0]"),
        (Number(12_234), "12,234", ""),
        (Number(None, PERCENT, 0.1, 0.2), "-", ""),
    ],
)
def test_a_number_as_it_is_written(made, text, interval) -> None:
    assert (made.text, made.interval) == (text, interval)


def test_a_score_is_written_in_the_unit_of_its_metric() -> None:
    score = Score(Measure(PCK, 0.1), "per_point", ALL, Estimate(0.5, 0.25, 0.75), 3, 12)
    assert number(score) == Number(0.5, PERCENT, 0.25, 0.75)
    assert number(score, signed=True).text == "+50.0" and number(score).shown == (50, 25, 75)
    assert number(None).text == "-"


def test_percent_go_without_saying_and_other_units_do_not() -> None:
    error = Metric("off_px", "error", PIXELS, of_points=PCK.of_points)
    assert [measure_title(Measure(PCK, 0.1)), measure_title(Measure(PCK, 0.125), "per_image")] == [
        *("PCK@0.10", "PCK@0.125 per image"),
    ]
    assert [measure_title(Measure(error)), measure_title(Measure(error), "per_point")] == [
        *("error, px", "error per point, px"),
    ]


def test_rows_are_in_sections() -> None:
    table = Table("title", [Column("a", "label"), Column("b")])
    table.add_section()  # of nothing
    table.add("x", Number(1))
    table.add_section()
    table.add("y", Number(2), bold=True)
    assert [[row.cells[0] for row in section] for section in table.sections] == [["x"], ["y"]]
    assert [row.bold for row in table.rows] == [False, True]
    with pytest.raises(ValueError, match="3 cells for 2 columns of the table 'title'"):
        table.add("x", "y", "z")
