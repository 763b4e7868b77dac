import errno
import json
import os

import numpy as np
import pytest

from sdcorr.datasets import Match
from sdcorr.errors import UserError
from sdcorr.run.records import (
    CurrentPredictions,
    Failure,
    PredictionStore,
    UnitRecord,
    pair_to_json,
    write_whole,
)
from tests.run.fakes import answer, make_pair


def make_record(source="a", method="fake", targets="bc") -> UnitRecord:
    pairs = [make_pair(f"{source}-{target}") for target in targets]
    predictions = tuple((pair, answer(pair, pair.query_points)) for pair in pairs)
    failures = (Failure(f"{source}-x", "x", "The image x is damaged."),)
    return UnitRecord("fake", "test", method, source, 1.5, predictions, failures)


class TestRecords:
    def test_everything_comes_back(self, tmp_path):
        unseen = make_pair(
            "a-b",
            points=3,
            target_points=[[1.1, 2.2], [np.nan, np.nan], [1 / 3, 1e-9]],
            visible=[True, False, True],
            ambiguous=[True, False, False],
            flags={"occlusion": 2, "pose": "Left", "turn": 0.25},
            source_box=None,
        )
        predicted = Match([[0.1, 0.2], [1 / 3, 2 / 3]], [0.0, 1 / 7])
        store = PredictionStore(tmp_path)
        store.save(UnitRecord("fake", "val", "fake", "a", 1.5, ((unseen, predicted),), (Failure("p", "k", "r"),)))
        (record,) = store.records("fake")
        ((pair, match),) = record.predictions
        assert pair_to_json(pair) == pair_to_json(unseen)
        assert np.array_equal(match.points, predicted.points) and np.array_equal(match.confidence, predicted.confidence)
        assert (record.dataset, record.split, record.method, record.source) == ("fake", "val", "fake", "a")
        assert record.seconds == 1.5 and record.failures == (Failure("p", "k", "r"),)

    def test_the_order_is_the_same_whoever_wrote_when(self, tmp_path):
        for folder, sources in (("one", "abc"), ("two", "cab")):
            for source in sources:
                PredictionStore(tmp_path / folder).save(make_record(source))
        first, second = (
            [r.source for r in PredictionStore(tmp_path / name).records("fake")] for name in ("one", "two")
        )
        assert first == second

    def test_methods_are_kept_apart(self, tmp_path):
        store = PredictionStore(tmp_path)
        assert store.methods() == []
        for method in ("prompt", "fake"):
            store.save(make_record(method=method))
        assert store.methods() == ["fake", "prompt"]
        assert store.load("prompt", "a").method == "prompt"
        assert store.load("prompt", "b") is None

    def test_no_predictions_names_the_methods_there_are(self, tmp_path):
        store = PredictionStore(tmp_path)
        store.save(make_record(method="prompt"))
        with pytest.raises(UserError, match="no predictions of other .*only prompt"):
            store.records("other")


def damage(text: str) -> dict[str, str]:
    plain = json.loads(text)
    fewer = json.loads(text)
    fewer["predictions"][0]["predicted"].pop()
    return {
        "empty": "",
        "torn": text[: len(text) // 2],
        "not json": "hello",
        "another file's json": '{"a": 1}',
        "a list": "[1, 2]",
        "an older format": json.dumps(plain | {"format": "sdcorr predictions 0"}),
        "without predictions": json.dumps({key: plain[key] for key in plain if key != "predictions"}),
        "with wrong predictions": json.dumps(plain | {"predictions": "none"}),
        "with fewer points": json.dumps(fewer),
        "of another source": json.dumps(plain | {"source": "z"}),
        "of another method": json.dumps(plain | {"method": "z"}),
        "binary": "\x00\x01",
    }


class TestDamage:
    @pytest.mark.parametrize("kind", damage(json.dumps({"predictions": [{"predicted": [1]}]})))
    def test_a_damaged_record_is_named_when_scored_and_missing_when_predicted(self, tmp_path, kind):
        store = PredictionStore(tmp_path)
        store.save(make_record())
        path = store.path("fake", "a")
        path.write_text(damage(path.read_text())[kind])
        assert store.load("fake", "a") is None
        with pytest.raises(UserError, match=f"{path.name} is not a whole prediction record"):
            store.records("fake")

    def test_a_copy_does_not_count_twice(self, tmp_path):
        store = PredictionStore(tmp_path)
        store.save(make_record())
        path = store.path("fake", "a")
        (path.parent / "copy.json").write_text(path.read_text())
        with pytest.raises(UserError, match="copy.json is not .*belongs at"):
            store.records("fake")

    def test_what_a_killed_process_leaves_is_not_read(self, tmp_path):
        store = PredictionStore(tmp_path)
        store.save(make_record())
        (store.path("fake", "a").parent / ".b.json.0123abcd.tmp").write_text("{")
        assert len(store.records("fake")) == 1
        assert store.methods() == ["fake"]


class TestClaim:
    CONFIG = {"method": {"steps": 129, "adam_eps": 1e-8, "heads": None, "layers": ["up.1", "up.2"]}, "seed": 0}

    def test_the_same_configuration_goes_on(self, tmp_path):
        store = PredictionStore(tmp_path / "new" / "run")
        store.claim(self.CONFIG)
        store.save(make_record())
        store.claim(self.CONFIG | {"method": self.CONFIG["method"] | {"layers": ("up.1", "up.2")}})  # a tuple is a list
        assert store.config() == self.CONFIG

    @pytest.mark.parametrize(
        "method, complaint",
        [
            ({"steps": 50}, r"method.steps is 129 there and 50 here"),
            ({"steps": 50, "adam_eps": 1.0}, r"method.adam_eps is 1e-08 there and 1.0 here; method.steps is"),
            ({"new": True}, r"method.new is absent there and True here"),
            ({"layers": ["up.1"]}, r"method.layers is \['up.1', 'up.2'\] there"),
        ],
    )
    def test_another_configuration_is_refused_by_its_keys(self, tmp_path, method, complaint):
        store = PredictionStore(tmp_path)
        store.claim(self.CONFIG)
        with pytest.raises(UserError, match=complaint):
            store.claim(self.CONFIG | {"method": self.CONFIG["method"] | method})

    def test_many_differences_are_counted(self, tmp_path):
        PredictionStore(tmp_path).claim({name: 0 for name in "abcdefg"})
        with pytest.raises(UserError, match="and 3 more"):
            PredictionStore(tmp_path).claim({name: 1 for name in "abcdefg"})

    def test_predictions_of_unknown_origin_are_refused(self, tmp_path):
        store = PredictionStore(tmp_path)
        store.save(make_record())
        with pytest.raises(UserError, match="no config.yaml"):
            store.claim(self.CONFIG)

    @pytest.mark.parametrize("text", ["[1, 2", "- a list", ""])
    def test_a_damaged_configuration_is_refused(self, tmp_path, text):
        (tmp_path / "config.yaml").write_text(text)
        with pytest.raises(UserError, match="config.yaml"):
            PredictionStore(tmp_path).claim(self.CONFIG)

    def test_a_folder_without_a_run_is_named(self, tmp_path):
        (tmp_path / "summary.json").write_text("{}")
        for no_run in (tmp_path, tmp_path / "summary.json"):
            with pytest.raises(UserError, match="There is no run in"):
                PredictionStore(no_run).config()


class TestCurrent:
    def test_pairs_that_have_vanished_or_changed_are_left_out_and_stay_in_the_folder(self, tmp_path):
        store = PredictionStore(tmp_path)
        for method, source in (("fake", "a"), ("fake", "b"), ("old", "b")):
            store.save(make_record(source, method=method, targets="cd"))
        changed = make_pair("a-d", target_points=np.ones((3, 2)))
        current = CurrentPredictions(store, [make_pair("a-c"), changed, make_pair("a-x")])
        assert current.methods() == ["fake"]
        (record,) = current.records("fake")
        assert [pair.id for pair, _ in record.predictions] == ["a-c"]
        assert [failure.pair for failure in record.failures] == ["a-x"]
        assert current.left_out == {"a-d", "b-c", "b-d"}
        assert len(store.records("fake")) == 2 and store.methods() == ["fake", "old"]

    def test_nothing_is_left_out_of_what_is_current(self, tmp_path):
        store = PredictionStore(tmp_path)
        store.save(make_record("a", targets="bc"))
        current = CurrentPredictions(store, [make_pair("a-b"), make_pair("a-c"), make_pair("a-x")])
        assert not current.left_out and len(current.records("fake")[0].predictions) == 2

    def test_a_method_without_any_is_named(self, tmp_path):
        with pytest.raises(UserError, match="no predictions of fake .*none at all"):
            CurrentPredictions(PredictionStore(tmp_path), []).records("fake")


class TestWriting:
    def test_a_folder_that_goes_while_it_is_written_is_one_sentence_and_not_made_anew(self, tmp_path):
        store = PredictionStore(tmp_path / "run")
        store.claim({"seed": 0})
        store.save(make_record())
        (tmp_path / "run").rename(tmp_path / "elsewhere")
        with pytest.raises(UserError, match="run has gone while predictions were being written"):
            store.save(make_record("b"))
        assert not (tmp_path / "run").exists()
        assert PredictionStore(tmp_path / "elsewhere").load("fake", "a")

    def test_a_rank_may_claim_and_predict_while_another_claims(self, tmp_path, monkeypatch):
        slow, fast, first = PredictionStore(tmp_path), PredictionStore(tmp_path), []

        def methods(self):
            if not first:  # just after the slow one has found no config.yaml
                first.append(True)
                monkeypatch.undo()
                fast.claim({"seed": 0})
                fast.save(make_record())
            return ["fake"]

        monkeypatch.setattr(PredictionStore, "methods", methods)
        slow.claim({"seed": 0})
        assert first

    def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(self, tmp_path, monkeypatch):
        path = tmp_path / "file.json"
        write_whole(path, "old")

        def full(handle):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(UserError, match=r"Cannot write .*file.json \(No space left on device\)"):
            write_whole(path, "new")
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]

    def test_a_folder_that_cannot_be_made_is_one_sentence(self, tmp_path):
        (tmp_path / "run").write_text("a file")
        with pytest.raises(UserError, match=r"Cannot write .*run.predictions.fake.*"):
            PredictionStore(tmp_path / "run").save(make_record())

    def test_others_may_read_what_is_written(self, tmp_path):
        write_whole(tmp_path / "file.json", "text")
        (tmp_path / "plain").write_text("text")
        assert (tmp_path / "file.json").stat().st_mode == (tmp_path / "plain").stat().st_mode
