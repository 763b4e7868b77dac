import re

import pytest

from sdcorr.errors import UserError
from sdcorr.methods.base import Claim
from sdcorr.report.comparison import write_comparison
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.arrays import collect
from sdcorr.scoring.compare import compare
from sdcorr.scoring.protocols import protocol_named
from tests.report.test_page_data import cell, table, text
from tests.run.fakes import make_pair
from tests.scoring.fakes import missed, record, write_records

STANDARD = protocol_named("standard")


def run(folder, errors, method="prompt", **settings) -> tuple[PredictionStore, str]:
    """Two pairs or more, missed by so many pixels; 10 are right at 0.1."""
    records = []
    for id, by in errors.items():
        category = "cat" if id < "c" else "bus"
        records.append(record([missed(make_pair(id, points=len(by), category=category), by)], method))
    return write_records(folder, records, Claim("a.Method", 1, settings)), method


@pytest.fixture
def runs(tmp_path):
    return [
        run(tmp_path / "five", {"a-x": [0, 20, 3], "c-x": [1, 30], "d-x": [50, 2]}, restarts=5, seed=0),
        run(tmp_path / "one", {"a-x": [20, 20, 3], "c-x": [1, 30], "d-x": [50, 40]}, restarts=1, seed=0),
        run(tmp_path / "three", {"a-x": [0, 20, 3], "c-x": [1, 30]}, restarts=3, seed=0),
    ]


def test_runs_stand_beside_each_other_and_against_the_first(runs, tmp_path) -> None:
    page = write_comparison(runs, STANDARD, tmp_path / "page.html", samples=50).read_text()
    head, *rows = table(page, "per point")
    assert [re.sub(r"\W*$", "", each) for each in head][-2:] == ["better in PCK@0.10 by", "on pairs"]
    by_name = {row[0]: row[1:] for row in rows}
    assert list(by_name) == ["five", "one", "three"] and by_name["five"][-2:] == ["-", "-"]
    arrays = [collect(store.records(method)) for store, method in runs]
    for name, other, pairs in (("one", arrays[1], "3"), ("three", arrays[2], "2")):
        found = compare(other, arrays[0], STANDARD, samples=50)
        assert by_name[name][-2:] == [cell(found.difference, "per_point", signed=True), pairs]
    assert by_name["one"][-2].startswith("-28.6")  # 2 of 7 points fewer
    assert by_name["three"][0] == "2" and by_name["five"][0] == "3"
    settings = text(page[page.index("What differs") :])
    assert "settings.restarts 5 1 3" in settings and "seed" not in settings
    assert 'aria-label="PCK@0.10 per point over settings.restarts"' in page  # one number is all that differs
    assert 'aria-label="PCK over its threshold, per point"' in page and 'aria-label="Better than five by"' in page


def test_it_opens_in_a_browser(runs, tmp_path, opened) -> None:
    path = write_comparison(runs, STANDARD, tmp_path / "page.html", samples=20)
    on = opened(path, width=390)
    on.page.locator("thead button").nth(1).click()
    assert on.page.locator("tbody th").first.text_content() in ("five", "one")
    assert on.page.evaluate("document.documentElement.scrollWidth") == 390
    on.check(path)


def test_methods_of_one_run_are_called_by_their_names(tmp_path) -> None:
    errors = {"a-x": [0, 20], "c-x": [1, 30]}
    first, second = run(tmp_path / "run", errors, seed=0), run(tmp_path / "run", errors, "read_once", seed=0)
    page = write_comparison([first, second], STANDARD, tmp_path / "page.html", samples=20).read_text()
    assert [row[0] for row in table(page, "per point")[1:]] == ["prompt", "read_once"]
    assert "the runs have the same configuration" in text(page)


def test_what_cannot_be_compared_is_told(runs, tmp_path) -> None:
    with pytest.raises(UserError, match="named twice"):
        write_comparison([runs[0], runs[0]], STANDARD, tmp_path / "page.html")
    far = [run(tmp_path / "p", {"a-x": [1], "b-x": [1]}), run(tmp_path / "q", {"b-x": [1], "c-x": [1]})]
    apart = [far[1], far[0], run(tmp_path / "r", {"c-x": [1]})]
    with pytest.raises(UserError, match="no pair"):
        write_comparison(apart, STANDARD, tmp_path / "page.html", samples=5)
    assert not (tmp_path / "page.html").exists()
