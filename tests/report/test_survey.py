"""One table of everything, in Markdown, LaTeX and CSV too."""

import csv
import io

from sdcorr.report.csv_file import csv_text
from sdcorr.report.latex import latex
from sdcorr.report.markdown import markdown
from sdcorr.report.survey import prices, survey
from sdcorr.report.table import SECONDS_EACH, TERAFLOP, Column, Number, Table
from sdcorr.run.costs import MethodCost
from sdcorr.scoring.metrics import PERCENT
from sdcorr.scoring.parts import AMBIGUOUS
from tests.scoring.fakes import pck, random_counts, scored

UNKNOWN = MethodCost(None, 0.5, None, None, None, 7)
KNOWN = MethodCost(2.5, 0.25, 3e12, 1e12, 2**30, 0)


def test_every_method_has_its_scores_its_lead_and_its_cost() -> None:
    scores = scored({"a": random_counts(), "b": random_counts(seed=1, chance=0.2)})
    table = survey(scores, {"a": KNOWN, "b": UNKNOWN})
    titles = [column.title for column in table.columns]
    first, second = ({title: cell for title, cell in zip(titles, row.cells, strict=True)} for row in table.rows)
    for average, words in (("per_point", "per point"), ("per_image", "per image")):
        expected = pck(scores.methods["b"], average, alpha=0.05)
        found = second[f"PCK@0.05 {words}"]
        assert (found.value, found.low, found.high) == (expected.value, expected.low, expected.high)
    alike = pck(scores.methods["b"], "per_point", AMBIGUOUS, 0.1).value
    assert second["PCK@0.10 per point, with a look-alike"].value == alike
    lead = pck(scores.differences["b"], "per_point", alpha=0.1).value
    assert second["PCK@0.10 per point, a is better by"].value == lead
    assert first["PCK@0.10 per point, a is better by"] == ""
    assert (first["s a pair"].text, first["TFLOP a pair"].text) == ("2.50", "3.00")
    assert (second["s a pair"].text, second["s a target more"].text) == ("-", "0.500")
    assert table.notes == ["b found 7 optimized embeddings on disk, so that the cost of a pair is not known."]


def test_prices_are_beside_the_score_that_is_spoken_of() -> None:
    scores = scored({"a": random_counts(), "b": random_counts(seed=1, chance=0.2)})
    table = prices(scores, {"a": KNOWN, "b": UNKNOWN})
    titles = ["method", "PCK@0.10 per point", "s a pair", "s a target more", "TFLOP a pair", "TFLOP a target more"]
    assert [column.title for column in table.columns] == titles
    assert [row.cells[0] for row in table.rows] == ["a", "b"]
    assert table.rows[1].cells[1].value == pck(scores.methods["b"], "per_point", alpha=0.1).value
    assert [cell.text for cell in table.rows[0].cells[2:]] == ["2.50", "0.250", "3.00", "1.00"]
    assert table.notes == ["b found 7 optimized embeddings on disk, so that the cost of a pair is not known."]


def test_columns_are_chosen() -> None:
    scores = scored({"a": random_counts(), "b": random_counts(seed=1, chance=0.2)})
    table = survey(scores, {"a": KNOWN, "b": UNKNOWN}, columns=["pck", "lead"])
    titles = [column.title for column in table.columns]
    assert titles[0] == "method" and titles[-1] == "PCK@0.10 per point, a is better by" and not table.notes
    assert all(title.startswith("PCK@") for title in titles[1:])


def test_costs_have_three_digits_that_count() -> None:
    numbers = [Number(value, unit).text for value, unit in ((4.8312, SECONDS_EACH), (0.00004, SECONDS_EACH))]
    assert numbers == ["4.83", "0.000"]  # a thousandth of a second is the least that is told
    assert [Number(value, TERAFLOP).text for value in (1.9e8, 2.78e11, 1.244e14)] == ["0.00019", "0.278", "124"]


def some_table() -> Table:
    heads = [
        Column("name", "label"),
        Column("PCK per point", about="per point"),
        Column("error per point, px", about="per point"),
    ]
    table = Table("title", [*heads, Column("by how much it is better"), Column("said", "words")], notes=["A note."])
    table.add("a_b|", Number(0.5, PERCENT, 0.4, 0.6), Number(1 / 3), "", "50 % & more", bold=True)
    table.add("other", Number(None, PERCENT), Number(2.0), Number(-0.01, PERCENT, -0.02, 0.015, signed=True), "")
    return table


def test_latex() -> None:
    assert (
        latex(some_table())
        == r"""% title
% Brackets are 95 % intervals of a bootstrap over pairs.
% A note.
% \usepackage{booktabs}
% Too wide? Fewer --columns, or \small\setlength{\tabcolsep}{3pt} before it.
\begin{tabular}{lrrrl}
\toprule
\multicolumn{1}{c}{} & \multicolumn{2}{c}{per point} & \multicolumn{2}{c}{} \\
\cmidrule(lr){2-3}
 &  &  & by how much it &  \\
name & PCK & error, px & is better & said \\
\midrule
\textbf{a\_b|} & 50.0 & 0 &  & 50 \% \& more \\[-3pt]
 & {\scriptsize [40.0, 60.0]} &  &  &  \\[1pt]
other & -- & 2 & $-1.0$ &  \\[-3pt]
 &  &  & {\scriptsize [$-$2.0, $+$1.5]} &  \\[1pt]
\bottomrule
\end{tabular}
"""
    )


def test_csv_has_every_digit_and_the_ends_of_intervals() -> None:
    first, second = csv.DictReader(io.StringIO(csv_text(some_table())))
    assert first == {
        "name": "a_b|",
        "PCK per point": "50",
        "PCK per point low": "40",
        "PCK per point high": "60",
        "error per point, px": "0.3333333333",
        "by how much it is better": "",
        "by how much it is better low": "",
        "by how much it is better high": "",
        "said": "50 % & more",
        "of": "title",
    }
    better = "by how much it is better"
    assert (second["PCK per point"], second[better], second[f"{better} low"]) == ("", "-1", "-2")


def test_markdown() -> None:
    table = Table("title", [Column("name", "label"), Column("PCK")], notes=["A note."])
    table.add("a|b", Number(0.5, PERCENT, 0.4, 0.6), bold=True)
    assert markdown(table) == "title\n\n| name | PCK |\n| --- | ---: |\n| **a\\|b** | 50.0 [40.0, 60.0] |\n\nA note.\n"
