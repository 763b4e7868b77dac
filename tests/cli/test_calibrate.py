"""`sdcorr calibrate` as it is called, and what comes of its file."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sdcorr.cli.calibrate import main
from sdcorr.cli.exports import main as export
from sdcorr.cli.report import main as report
from sdcorr.cli.score import main as score
from sdcorr.datasets import Match
from sdcorr.errors import UserError
from sdcorr.run.claims import IMPORTED
from tests.run.fakes import CLAIM, make_pair
from tests.scoring.fakes import record, write_records


def write_run(folder: Path, pairs: int = 40, evidence: bool = True, kind: str = CLAIM.kind) -> Path:
    """Four points a pair, right if the evidence `says` is above 0, but for every tenth."""
    draws, records = np.random.default_rng(0), []
    for number in range(pairs):
        pair = make_pair(f"{chr(97 + number // 2)}-{number}", points=4, target_points=draws.uniform(20, 60, (4, 2)))
        says = draws.normal(size=4)
        right = (says > 0) != (draws.random(4) < 0.1)
        points = pair.true_points + np.stack([~right * 30.0, np.zeros(4)], 1)
        match = Match(points, 1 / (1 + np.exp(-says)), evidence={"says": says} if evidence else {})
        records.append((pair, match))
    by_source = [record(records[start : start + 2], dataset="toybox", split="val") for start in range(0, pairs, 2)]
    write_records(folder, by_source, claim=replace(CLAIM, kind=kind))
    return folder


def test_from_a_run_to_its_report(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = write_run(tmp_path / "run")
    main([str(run)])
    *told, path = capsys.readouterr().out.splitlines()
    assert path == str(run / "calibration-prompt.yaml")
    assert told[0].startswith("prompt on toybox val: 160 points of 40 pairs, ") and "says +" in told[2]
    assert told[3].startswith("there or not is not learned: that takes 10 points that targets hide")
    assert "on pairs not seen: ECE 0." in told[1]
    score([str(run), "--protocol", "standard", "--bootstrap", "20", "--calibration", path])
    shown = capsys.readouterr().out
    assert "probability of a match within 0.1 (standard), calibrated on toybox val, 40 pairs: ECE 0." in shown
    summary = json.loads((run / "summary-standard.json").read_text())
    assert summary["calibration/ece/low"] <= summary["calibration/ece/high"]
    assert summary["calibration/brier"] < 0.25 and summary["calibration/from"] == "toybox val, 40 pairs"
    export([str(run), "--calibration", path, "--to", str(tmp_path / "all.csv")])
    head, *rows = csv.reader((tmp_path / "all.csv").read_text().splitlines())
    assert head[-1] == "probability" and len(rows) == 160  # no hidden point, so nothing of being there
    assert all(0 < float(row[-1]) < 1 for row in rows)
    report([str(run), "--bootstrap", "0", "--calibration", path])
    page = (run / "report.html").read_text()
    assert "Risk against coverage" in page and "fitted on\ntoybox val, 40 pairs" in page


def test_without_one_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = write_run(tmp_path / "run", evidence=False)
    score([str(run), "--protocol", "standard", "--bootstrap", "0"])
    assert "The confidence is uncalibrated" in capsys.readouterr().out
    assert "calibration/ece" not in json.loads((run / "summary-standard.json").read_text())
    report([str(run), "--bootstrap", "0"])
    assert "The confidence is uncalibrated" in (run / "report.html").read_text()


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    old, few = write_run(tmp_path / "old", evidence=False), write_run(tmp_path / "few", pairs=10)
    for words, sentence in (
        ([str(old)], rf"have left evidence: .* `sdcorr redo {old} --method prompt` forgets them"),
        ([str(few)], "40 points are too few to learn from"),
        ([str(few), "--alpha", "0"], "A threshold must be above 0, not 0"),
        ([str(few), "--protocol", "mine"], "mine"),
        ([str(tmp_path / "none")], "none"),
    ):
        with pytest.raises(UserError, match=sentence):
            main(words)
    assert not list(tmp_path.rglob("calibration-*"))


def test_the_scores_of_imported_predictions_are_evidence(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", evidence=False, kind=IMPORTED)
    main([str(run), "--to", str(tmp_path / "c.yaml")])
    assert "confidence:" in (tmp_path / "c.yaml").read_text()


def test_there_is_learned_from_a_run_that_hides_points(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run, draws = write_run(tmp_path / "run"), np.random.default_rng(1)
    records = []
    for number in range(20):
        pair = make_pair(f"{chr(97 + number)}-z", points=4, visible=[1, 1, 1, 0], hidden=[0, 0, 0, 1])
        left = {"says": draws.normal(size=4) + 4 * pair.visible}
        records.append(
            record([(pair, Match(np.nan_to_num(pair.true_points), np.linspace(0.4, 0.6, 4), evidence=left))])
        )
    write_records(tmp_path / "hiding", records, claim=CLAIM)
    main([str(run), "--there", str(tmp_path / "hiding")])
    told = capsys.readouterr().out
    assert "there or not, on pairs not seen: ECE 0." in told and "(25.0 % of the points are hidden)" in told
    calibration = str(run / "calibration-prompt.yaml")
    export([str(tmp_path / "hiding"), "--calibration", calibration, "--to", str(tmp_path / "all.json")])
    entries = json.loads((tmp_path / "all.json").read_text())
    shown, hidden = (np.mean([entry["there"][point] for entry in entries]) for point in (0, 3))
    assert hidden < 0.5 < 0.7 < shown
    report([str(tmp_path / "hiding"), "--bootstrap", "0", "--calibration", calibration])
    page = (tmp_path / "hiding" / "report.html").read_text()
    assert "Points there, by probability" in page and "20 of 80 points hidden" in page and "not there: " in page
    write_run(tmp_path / "other", kind="other.Method")
    with pytest.raises(UserError, match="has no matches of the same method, settings and model"):
        main([str(run), "--there", str(tmp_path / "other")])
