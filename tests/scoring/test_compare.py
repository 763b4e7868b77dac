import pytest

from sdcorr.cli.command import answer
from sdcorr.errors import UserError
from sdcorr.scoring.arrays import collect
from sdcorr.scoring.compare import compare, main
from sdcorr.scoring.protocols import PROTOCOLS
from tests.run.fakes import make_pair
from tests.scoring.tallies import ALPHAS, missed, record, write_run

STANDARD = PROTOCOLS["standard"]
ERRORS = {"a-z": [0, 0, 0], "b-z": [0, 6, 20], "c-z": [6, 6, 20], "d-z": [20, 20, 20]}  # right: 5 and 10 pixels
WORSE = {"b-z": [0, 20, 20], "c-z": [6, 20, 20], "d-z": [20, 20, 0], "e-z": [0]}


def answers(errors, **changes):
    pairs = [
        make_pair(id, points=len(by), category="cat" if id < "c" else "bus", **changes) for id, by in errors.items()
    ]
    return collect([record([missed(pair, by)]) for pair, by in zip(pairs, errors.values(), strict=True)])


class TestCompare:
    def test_hand_computed_on_the_pairs_that_both_have(self):
        summary = compare(answers(ERRORS), answers(WORSE), STANDARD, ALPHAS)
        assert (summary["pairs"], summary["points"], summary["a/only"], summary["b/only"]) == (3, 9, 1, 1)
        assert summary["a/pck@0.10/per_point"] == pytest.approx(4 / 9)  # without a-z, which is easy
        assert summary["b/pck@0.10/per_point"] == pytest.approx(3 / 9)
        assert summary["difference/pck@0.10/per_point"] == pytest.approx(1 / 9)
        assert summary["difference/pck@0.10/hybrid"] == pytest.approx((1 * (2 - 1) / 3 + 2 * (2 - 2) / 6) / 3)
        assert summary["difference/pck@0.10/per_point/category/cat"] == pytest.approx(1 / 3)
        assert summary["difference/pck@0.05/per_image/category/bus"] == pytest.approx(-1 / 6)

    def test_what_makes_a_pair_hard_for_both_cancels(self):
        """One run is right where the other is, and once more in every other pair: the difference is never below 0."""
        draws = [[0 if (k * j) % 3 else 30 for j in range(4)] for k in range(40)]
        ours = {f"{k:02d}-z": [0, *by] if k % 2 else [30, *by] for k, by in enumerate(draws)}
        theirs = {f"{k:02d}-z": [30, *by] for k, by in enumerate(draws)}
        summary = compare(answers(ours), answers(theirs), STANDARD, ALPHAS)
        name = "pck@0.10/per_point"
        assert summary[f"difference/{name}/low"] > 0
        assert summary[f"b/{name}/high"] > summary[f"a/{name}/low"]  # each for itself would not tell

    def test_the_protocol_decides(self):
        standard, hedlin = (
            compare(answers(ERRORS), answers(WORSE), PROTOCOLS[p], ALPHAS) for p in ("standard", "hedlin")
        )
        assert standard["a/pck@0.10/per_point"] > hedlin["a/pck@0.10/per_point"]
        assert hedlin["headline"] == "per_image"


class TestRefusals:
    def test_other_data(self):
        other = collect([record([missed(make_pair("a-z", points=1), [0])], dataset="cub")])
        with pytest.raises(UserError, match="first run is on spair test and the second on cub test"):
            compare(answers(ERRORS), other, STANDARD)

    def test_another_split(self):
        other = collect([record([missed(make_pair("a-z", points=1), [0])], split="val")])
        with pytest.raises(UserError, match="spair test and the second on spair val"):
            compare(answers(ERRORS), other, STANDARD)

    @pytest.mark.parametrize("field", ["target_box", "target_points", "source_points", "target_size"])
    def test_other_annotations_of_the_same_pairs(self, field):
        changed = {"target_box": (5, 20, 45, 121), "target_size": (80, 161)}.get(field, [[1, 2], [3, 4], [5, 6]])
        with pytest.raises(UserError, match="annotations of pair b-z differ"):
            compare(answers(ERRORS), answers({"b-z": [0, 0, 0]}, **{field: changed}), STANDARD)

    def test_nothing_in_common(self):
        with pytest.raises(UserError, match="no pair in common"):
            compare(answers(ERRORS), answers({"x-z": [0]}), STANDARD)


class TestCommand:
    def test_two_runs(self, tmp_path, capsys):
        ours, theirs = (str(write_run(tmp_path / n, e)) for n, e in (("ours", ERRORS), ("theirs", WORSE)))
        main([ours, theirs, "--alphas", "0.1", "--bootstrap", "0"])
        shown = " ".join(capsys.readouterr().out.split())
        assert "3 pairs that both have" in shown
        assert "A - B 11.1" in shown
        for label, name in (("A", ours), ("B", theirs)):
            assert f"{label}: {name}: prompt; 1 pairs that it alone has are left out" in shown

    def test_two_methods_of_one_run(self, tmp_path, capsys):
        write_run(tmp_path, ERRORS)
        write_run(tmp_path, WORSE, method="same_pixel")
        main([str(tmp_path), str(tmp_path), "--other-method", "same_pixel", "--alphas", "0.1", "--bootstrap", "0"])
        assert "A - B 11.1" in " ".join(capsys.readouterr().out.split())

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
