"""`sdcorr score` as it is called."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sdcorr.cli.command import answer
from sdcorr.cli.score import main
from sdcorr.scoring.protocols import PROTOCOLS
from tests.scoring.fakes import write_run
from tests.scoring.test_score import ERRORS


class TestCommand:
    def test_every_protocol_is_written_and_shown(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "120")
        run = write_run(Path("run"), ERRORS)
        main(["run", "--bootstrap", "20"])
        shown = capsys.readouterr().out
        known = {name for name, protocol in PROTOCOLS.items() if protocol.knows("spair")}
        assert {path.name for path in run.glob("summary-*.json")} == {f"summary-{name}.json" for name in known}
        assert all(name in shown for name in known)
        summary = json.loads((run / "summary-sd_dino.json").read_text())
        assert summary["headline"] == "hybrid" and "pck@0.01/hybrid/low" in summary
        assert not (run / "summary.json").exists()  # which belongs to eval.py

    def test_runs_side_by_side(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        runs = [str(write_run(Path(name), ERRORS | {"a-z": [by] * 3})) for name, by in (("one", 0), ("two", 30))]
        main([*runs, "--protocol", "standard", "--alphas", "0.1", "--bootstrap", "0"])
        lines = capsys.readouterr().out.splitlines()
        for name, value in (("one", "58.3"), ("two", "33.3")):
            found = [line.split() for line in lines if f"{name}: prompt" in line][:2]  # per point and per image
            assert [cells[cells.index("4") + 1] for cells in found] == [value, value]  # behind the number of pairs

    def test_the_only_method_of_a_run_need_not_be_named(self, tmp_path, capsys):
        run = write_run(tmp_path, ERRORS, method="oracle")
        main([str(run), "--protocol", "standard", "--bootstrap", "0"])
        assert "oracle" in capsys.readouterr().out
        assert json.loads((run / "summary-standard.json").read_text())["pck@0.10/per_point"] == pytest.approx(7 / 12)

    MISTAKES = {
        "no run": (["nowhere"], "no run in nowhere"),
        "no argument": ([], "runs?"),
        "protocol": (["run", "--protocol", "pascal"], "no protocol 'pascal'"),
        "protocol of other data": (["run", "--protocol", "hedlin"], "hedlin has no rule for the data set ap10k"),
        "method": (["run", "--method", "magic"], "no predictions of magic in run, only prompt"),
        "threshold": (["run", "--alphas", "0.1", "-1"], "above 0, not -1"),
        "no number": (["run", "--alphas", "many"], "many"),
        "resamples": (["run", "--bootstrap", "-5"], "cannot be -5"),
        "option": (["run", "--protocols", "all"], "protocols"),
    }

    @pytest.mark.parametrize("name", MISTAKES)
    def test_a_mistake_is_answered_with_one_sentence(self, name, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        write_run(tmp_path / "run", ERRORS, dataset="ap10k")
        arguments, words = self.MISTAKES[name]
        with pytest.raises(SystemExit) as end:
            answer(lambda: main(arguments))
        assert end.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ") and words.removesuffix("?") in line.replace("RUN", "runs")
        assert not list(tmp_path.rglob("summary*"))


@pytest.mark.parametrize("command", ["score", "compare"])
def test_scoring_does_not_wait_for_torch(command, tmp_path):
    """What takes seconds to import is not needed to score what is on disk."""
    run = str(write_run(tmp_path, ERRORS))
    write_run(tmp_path, ERRORS, method="same_pixel")
    arguments = [run, run, "--other-method", "same_pixel"] if command == "compare" else [run]
    code = f"""
import sys
from sdcorr.cli.{command} import main
main({[*arguments, "--bootstrap", "5"]})
slow = {{"torch", "matplotlib", "wandb", "diffusers", "lightning"}} & set(sys.modules)
assert not slow, slow
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "PCK@0.10" in done.stdout
