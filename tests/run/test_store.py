import errno
import json
import os

import numpy as np
import pytest

from sdcorr.datasets import Match
from sdcorr.errors import UserError
from sdcorr.files import write_whole
from sdcorr.run.records import UnitRecord
from sdcorr.run.store import PredictionStore
from tests.run.fakes import CLAIM, CONFIG, FakeBenchmark, Pictureless, claimed, make_pair
from tests.run.test_records import make_record

ALL = Pictureless([make_pair(f"{source}-{target}") for source in "abc" for target in "abcdx" if source != target])


@pytest.fixture
def store(tmp_path) -> PredictionStore:
    """A run of all pairs that `make_record` may be of."""
    return claimed(tmp_path / "run", ALL, "fake", "prompt", "old")


class TestRecords:
    def test_the_order_is_the_same_whoever_wrote_when(self, tmp_path):
        stores = [claimed(tmp_path / name, ALL, "fake") for name in ("one", "two")]
        for store, sources in zip(stores, ("abc", "cab"), strict=True):
            for source in sources:
                store.save(make_record(source))
        first, second = ([record.source for record in store.records("fake")] for store in stores)
        assert first == second

    def test_methods_are_kept_apart(self, store):
        assert store.methods() == []
        for method in ("prompt", "fake"):
            store.save(make_record(method=method))
        assert store.methods() == ["fake", "prompt"]
        assert store.load("prompt", "a").method == "prompt"
        assert store.load("prompt", "b") is None

    def test_no_predictions_names_the_methods_there_are(self, store):
        with pytest.raises(UserError, match="no predictions of fake .*none at all"):
            store.records("fake")
        store.save(make_record(method="prompt"))
        with pytest.raises(UserError, match="no predictions of other .*only prompt"):
            store.records("other")

    def test_a_reader_needs_nothing_but_the_folder(self, store):
        store.save(make_record())
        reader = PredictionStore(store.run_dir)
        assert reader.methods() == ["fake"] and reader.config() == CONFIG and reader.claim_of("fake") == CLAIM
        (record,) = reader.records("fake")
        assert [pair.id for pair, _ in record.predictions] == ["a-b", "a-c"]
        assert record.pictures == {key: f"picture {key}" for key in "abc"}

    def test_what_changes_on_disk_is_read_again(self, store):
        reader = PredictionStore(store.run_dir)
        for targets in ("b", "bc"):
            store.save(make_record(targets=targets))
            assert len(reader.records("fake")[0].predictions) == len(targets)

    def test_files_that_systems_leave_are_none_of_ours(self, store):
        store.save(make_record())
        folder = store.path("fake", "a").parent
        (folder / f"._{store.path('fake', 'a').name}").write_bytes(b"\x00\x05\x16\x07")
        (folder.parent / "elsewhere").mkdir()
        (folder.parent / "elsewhere/._x.json").write_bytes(b"\x00")
        assert store.methods() == ["fake"] and len(store.records("fake")) == 1


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
        "an older format": json.dumps(plain | {"format": "sdcorr predictions 1"}),
        "without predictions": json.dumps({key: plain[key] for key in plain if key != "predictions"}),
        "with wrong predictions": json.dumps(plain | {"predictions": "none"}),
        "with wrong pictures": json.dumps(plain | {"pictures": ["a"]}),
        "with fewer points": json.dumps(fewer),
        "of another source": json.dumps(plain | {"source": "z"}),
        "of another method": json.dumps(plain | {"method": "z"}),
        "of another claim": json.dumps(plain | {"claim": "0123456789abcdef"}),
        "binary": "\x00\x01",
    }


class TestDamage:
    @pytest.mark.parametrize("kind", damage(json.dumps({"predictions": [{"predicted": [1]}]})))
    def test_a_damaged_record_is_named_when_scored_and_missing_when_predicted(self, store, kind):
        store.save(make_record())
        path = store.path("fake", "a")
        path.write_text(damage(path.read_text())[kind])
        assert store.load("fake", "a") is None
        with pytest.raises(UserError, match=f"{path.name} is not a whole prediction record"):
            store.records("fake")

    def test_a_copy_does_not_count_twice(self, store):
        store.save(make_record())
        path = store.path("fake", "a")
        (path.parent / "copy.json").write_text(path.read_text())
        with pytest.raises(UserError, match="copy.json is not .*belongs at"):
            store.records("fake")

    def test_what_a_killed_process_leaves_is_not_read(self, store):
        store.save(make_record())
        (store.path("fake", "a").parent / ".b.json.0123abcd.tmp").write_text("{")
        assert len(store.records("fake")) == 1
        assert store.methods() == ["fake"]


class TestCurrent:
    """Whoever reads sees what agrees with pairs.json, and nothing else."""

    def test_pairs_that_have_vanished_or_changed_are_left_out_and_stay_in_the_folder(self, store):
        for method, source in (("fake", "a"), ("fake", "b"), ("old", "b")):
            store.save(make_record(source, method=method, targets="cd"))
        changed = make_pair("a-d", target_points=np.ones((3, 2)))
        claimed(store, Pictureless([make_pair("a-c"), changed, make_pair("a-x")]), "fake").begin("fake")
        for seen in (store, PredictionStore(store.run_dir)):
            assert seen.methods() == ["fake"]
            (record,) = seen.records("fake")
            assert [pair.id for pair, _ in record.predictions] == ["a-c"]
            assert [failure.pair for failure in record.failures] == ["a-x"]
            assert seen.left_out() == {"a-d", "b-c", "b-d"}
            assert len(seen.files("fake")) == 2 and seen.recorded() == ["fake", "old"]

    def test_nothing_is_left_out_of_what_is_current(self, store):
        store.save(make_record("a", targets="bc"))
        assert not store.left_out() and len(store.records("fake")[0].predictions) == 2

    @pytest.mark.parametrize("key, kept", [("a", []), ("b", ["a-c"]), ("d", ["a-b", "a-c"])])
    def test_a_pair_with_another_picture_is_left_out(self, tmp_path, key, kept):
        benchmark = FakeBenchmark()
        benchmark.pairs = ALL.pairs
        benchmark.colors["x"] = "black"
        store = claimed(tmp_path, benchmark, "fake")
        seen = {key: benchmark.digest(key) for key in "abc"}
        record = make_record("a", targets="bc")
        store.save(UnitRecord("fake", "test", "fake", "a", 1.0, record.predictions, pictures=seen))
        benchmark.colors[key] = "white"
        claimed(store, benchmark, "fake").begin("fake")
        records = PredictionStore(tmp_path)._of("fake")
        assert [pair.id for record in records for pair, _ in record.predictions] == kept

    def test_another_split_is_another_run_s(self, store):
        store.save(make_record())
        claimed(store, Pictureless(ALL.pairs, split="val"), "fake").begin("fake")
        assert PredictionStore(store.run_dir).methods() == []

    @pytest.mark.parametrize(
        "text", [None, "", "{", "[]", '{"format": "sdcorr pairs 0"}', '{"format": "sdcorr pairs 1"}']
    )
    def test_without_pairs_json_nobody_knows(self, store, text):
        store.save(make_record())
        path = store.run_dir / "pairs.json"
        path.unlink() if text is None else path.write_text(text)
        with pytest.raises(UserError, match="pairs.json cannot be read .*run the same evaluation again"):
            PredictionStore(store.run_dir).records("fake")
        assert len(store.records("fake")) == 1  # who evaluates knows
        claimed(PredictionStore(store.run_dir), ALL, "fake").begin("fake")
        assert len(PredictionStore(store.run_dir).records("fake")) == 1


class TestWriting:
    def test_a_method_that_was_not_claimed_has_no_records(self, tmp_path):
        with pytest.raises(ValueError, match="claim"):
            PredictionStore(tmp_path).save(make_record())
        assert not list(tmp_path.iterdir())

    def test_numbers_that_are_not_finite_leave_nothing(self, store):
        pair = make_pair("a-b", flags={"turn": float("nan")})
        match = Match(pair.true_points, np.ones(3))
        with pytest.raises(ValueError):
            store.save(UnitRecord("fake", "test", "fake", "a", 1.0, ((pair, match),)))
        assert store.recorded() == []

    def test_a_folder_that_goes_while_it_is_written_is_one_sentence_and_not_made_anew(self, store, tmp_path):
        store.save(make_record())
        (tmp_path / "run").rename(tmp_path / "elsewhere")
        with pytest.raises(UserError, match="run has gone while predictions were being written"):
            store.save(make_record("b"))
        assert not (tmp_path / "run").exists()
        assert PredictionStore(tmp_path / "elsewhere").load("fake", "a")

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

    def test_a_folder_that_cannot_be_made_is_one_sentence(self, store, tmp_path):
        (tmp_path / "run").write_text("a file")
        with pytest.raises(UserError, match=r"Cannot write .*run.config.yaml.*"):
            store.save(make_record())

    def test_others_may_read_what_is_written(self, tmp_path):
        write_whole(tmp_path / "file.json", "text")
        (tmp_path / "plain").write_text("text")
        assert (tmp_path / "file.json").stat().st_mode == (tmp_path / "plain").stat().st_mode
