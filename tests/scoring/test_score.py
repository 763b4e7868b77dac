import json
from pathlib import Path

import pytest

from sdcorr.cli.command import answer
from sdcorr.errors import UserError
from sdcorr.run.records import Failure
from sdcorr.scoring.protocols import PROTOCOLS
from sdcorr.scoring.score import main, protocols_for, score, write_summary
from tests.run.fakes import make_pair
from tests.scoring.tallies import ALPHAS, missed, record, write_records, write_run

STANDARD = PROTOCOLS["standard"]
ERRORS = {"a-z": [0, 0, 0], "b-z": [0, 6, 20], "c-z": [6, 6, 20], "d-z": [20, 20, 20]}  # right: 5 and 10 pixels


@pytest.fixture
def store(tmp_path):
    records = []
    for id, errors in ERRORS.items():
        pair = make_pair(id, points=3, category="cat" if id < "c" else "bus")
        records.append(record([missed(pair, errors)], failures=[Failure(f"{pair.source}-x", "x", "damaged")]))
        records.append(record([missed(pair, [20, 20, 0])], method="same_pixel", seconds=0.25))
    return write_records(tmp_path, records)


class TestScore:
    def test_a_run_folder(self, store):
        summary = score(store, "prompt", STANDARD, ALPHAS)
        assert (summary["protocol"], summary["headline"]) == ("standard", "per_point")
        assert (summary["dataset"], summary["split"]) == ("spair", "test")
        assert (summary["pairs"], summary["points"], summary["failures"], summary["seconds"]) == (4, 12, 4, 8)
        assert summary["pck@0.05/per_point"] == pytest.approx(4 / 12)
        assert summary["pck@0.10/per_point"] == pytest.approx(7 / 12)
        assert summary["pck@0.10/per_point/category/cat"] == pytest.approx(5 / 6)
        assert summary["baseline/same_pixel/pck@0.10/per_point"] == pytest.approx(4 / 12)
        assert summary["baseline/same_pixel/seconds"] == 1
        assert summary["difference/same_pixel/pck@0.10/per_point"] == pytest.approx(3 / 12)
        low, high = (summary[f"difference/same_pixel/pck@0.10/per_point/{end}"] for end in ("low", "high"))
        assert low < 3 / 12 < high

    def test_protocols_differ_on_the_same_records(self, store):
        standard, hedlin = (score(store, "prompt", PROTOCOLS[name], ALPHAS) for name in ("standard", "hedlin"))
        assert hedlin["protocol"] == "hedlin"
        assert standard["pck@0.10/per_point"] > hedlin["pck@0.10/per_point"]

    def test_tss_is_averaged_by_image_then_by_subset(self, tmp_path):
        """Errors in pixels; the source image is 100 wide, so 5 are allowed."""
        errors = {"JODS": [[0, 0, 9, 9], [0]], "PASCAL": [[0, 0, 0], [0, 9], [9, 9]], "FG3DCar": [[4]]}
        records = []
        for subset, of_pairs in errors.items():
            pairs = [make_pair(f"{subset}{k}-z", points=len(by), category=subset) for k, by in enumerate(of_pairs)]
            for pair, by in zip(pairs, of_pairs, strict=True):
                records.append(record([missed(pair, by)], dataset="tss"))
        summary = score(write_records(tmp_path, records), "prompt", STANDARD, [0.05])
        assert summary["headline"] == "category_per_image"
        subsets = {name: summary[f"pck@0.05/per_image/category/{name}"] for name in errors}
        assert subsets == pytest.approx({"JODS": 0.75, "PASCAL": 0.5, "FG3DCar": 1})
        assert summary["pck@0.05/category_per_image"] == pytest.approx(0.75)

    def test_written_and_read_again(self, store):
        summary = score(store, "prompt", STANDARD, ALPHAS)
        path = write_summary(store.run_dir, summary)
        assert path == store.run_dir / "summary.json"
        assert json.loads(path.read_text()) == summary

    def test_a_method_without_records(self, store):
        with pytest.raises(UserError, match="no predictions of oracle .*only prompt, same_pixel"):
            score(store, "oracle", STANDARD)


class TestProtocolsFor:
    def test_all_are_those_with_a_rule(self):
        names = [protocol.name for protocol in protocols_for(["all"], "cub")]
        assert names == ["standard", "hedlin", "asic"]

    def test_named_ones_once_and_in_order(self):
        assert [p.name for p in protocols_for(["hedlin", "standard", "hedlin"], "spair")] == ["hedlin", "standard"]


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
        assert [line.split()[-1] for line in lines if "one: prompt" in line][:2] == ["58.3", "58.3"]
        assert [line.split()[-1] for line in lines if "two: prompt" in line][:2] == ["33.3", "33.3"]

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
