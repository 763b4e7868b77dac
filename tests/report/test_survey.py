"""One table of everything, in Markdown too."""

from sdcorr.report.markdown import markdown
from sdcorr.report.table import Column, Number, Table
from sdcorr.report.tables import survey
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
    assert (first["s a pair"].text, first["TFLOP a pair"].text) == ("2.500", "3.000")
    assert (second["s a pair"].text, second["s a target more"].text) == ("-", "0.500")
    assert table.notes == ["b found 7 optimized embeddings on disk, so that the cost of a pair is not known."]


def test_markdown() -> None:
    table = Table("title", [Column("name", "label"), Column("PCK")], notes=["A note."])
    table.add("a|b", Number(0.5, PERCENT, 0.4, 0.6), bold=True)
    assert markdown(table) == "title\n\n| name | PCK |\n| --- | ---: |\n| **a\\|b** | 50.0 [40.0, 60.0] |\n\nA note.\n"
