"""`sdcorr table` as it is called."""

import csv
import io
from pathlib import Path

import pytest

from sdcorr.cli.table import main
from sdcorr.errors import UserError
from tests.scoring.fakes import write_run
from tests.scoring.test_score import ERRORS

WORSE = ERRORS | {"a-z": [30] * 3}
QUICK = ["--bootstrap", "20", "--protocol", "standard"]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two runs: one of two methods, another of a method of the same name as one of these."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    write_run(Path("one"), ERRORS)
    write_run(Path("one"), WORSE, method="oracle")
    write_run(Path("two"), WORSE)
    return ["one", "two"]


def rows(capsys):
    return {row["method"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}


def test_the_methods_of_a_run_in_every_form(runs, capsys):
    for form, first in (("latex", "% spair"), ("markdown", "spair"), ("csv", "method,"), ("terminal", "")):
        main(["one", *QUICK, "--as", form])
        shown = capsys.readouterr().out
        assert shown.startswith(first) and "prompt" in shown and "oracle" in shown


def test_the_lead_is_the_difference_on_the_same_pairs(runs, capsys):
    main(["one", *QUICK, "--as", "csv", "--columns", "pck", "lead", "--method", "prompt"])
    found = rows(capsys)
    assert list(found) == ["prompt", "oracle"]
    mine, theirs = (float(found[name]["PCK@0.10 per point"]) for name in found)
    assert float(found["oracle"]["PCK@0.10 per point, prompt is better by"]) == pytest.approx(mine - theirs)
    assert mine > theirs and not any("TFLOP" in title for title in found["prompt"])


def test_several_runs_in_one_table(runs, capsys):
    main([*runs, *QUICK, "--as", "csv", "--methods", "oracle", "two: prompt"])
    found = rows(capsys)
    assert list(found) == ["oracle", "two: prompt"]
    assert found["oracle"]["PCK@0.10 per point"] == found["two: prompt"]["PCK@0.10 per point"]


def test_mistakes(runs, capsys):
    with pytest.raises(UserError, match="no method 'magic' in these runs: choose from prompt, oracle"):
        main(["one", "--method", "prompt", "--methods", "magic"])
    write_run(Path("cub"), ERRORS, dataset="cub")
    with pytest.raises(UserError, match=r"several data sets \(cub test, spair test\)"):
        main(["one", "cub"])
    with pytest.raises(UserError, match="no method 'magic'"):
        main(["one", "--method", "magic"])
