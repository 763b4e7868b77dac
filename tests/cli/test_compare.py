"""`sdcorr compare` as it is called."""

import pytest

from sdcorr.cli.command import answer
from sdcorr.cli.compare import main
from tests.scoring.fakes import write_run
from tests.scoring.test_compare import ERRORS, WORSE


class TestCommand:
    def test_two_runs(self, tmp_path, capsys):
        ours, theirs = (str(write_run(tmp_path / n, e)) for n, e in (("ours", ERRORS), ("theirs", WORSE)))
        main([ours, theirs, "--alphas", "0.1", "--bootstrap", "0"])
        shown = " ".join(capsys.readouterr().out.split())
        assert "3 pairs that both have" in shown
        assert "A - B +11.1" in shown
        for label, name in (("A", ours), ("B", theirs)):
            assert f"{label}: {name}: prompt; 1 pairs that it alone has are left out" in shown

    def test_two_methods_of_one_run(self, tmp_path, capsys):
        write_run(tmp_path, ERRORS)
        write_run(tmp_path, WORSE, method="same_pixel")
        main([str(tmp_path), str(tmp_path), "--other-method", "same_pixel", "--alphas", "0.1", "--bootstrap", "0"])
        assert "A - B +11.1" in " ".join(capsys.readouterr().out.split())

    MISTAKES = {
        "itself": (["run", "run"], "compared with itself"),
        "one run": (["run"], "runs"),
        "no run": (["run", "nowhere"], "no run in nowhere"),
        "protocol": (["run", "run", "--protocol", "pascal", "--other-method", "x"], "no protocol 'pascal'"),
        "other data": (["run", "cub"], "only runs on the same split of the same data set"),
    }

    @pytest.mark.parametrize("name", MISTAKES)
    def test_a_mistake_is_answered_with_one_sentence(self, name, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        write_run(tmp_path / "run", ERRORS)
        write_run(tmp_path / "cub", ERRORS, dataset="cub")
        arguments, words = self.MISTAKES[name]
        with pytest.raises(SystemExit) as end:
            answer(lambda: main(arguments))
        assert end.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ") and words in line.replace("RUN", "runs")
