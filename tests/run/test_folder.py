from dataclasses import replace
from pathlib import Path

import pytest

from sdcorr.errors import UserError
from sdcorr.methods.base import Claim
from sdcorr.run.store import PredictionStore
from tests.run.fakes import CLAIM, Pictureless, claimed, make_pair
from tests.run.test_records import make_record

ALL = Pictureless([make_pair(f"{source}-{target}") for source in "abc" for target in "abcdx" if source != target])
RUN = {"dataset": {"name": "spair", "split": "test", "categories": None}}


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def store(tmp_path) -> PredictionStore:
    """A run folder with a record of each of two methods."""
    store = claimed(tmp_path / "run", ALL, "fake", "other", config=RUN)
    for method in ("fake", "other"):
        store.save(make_record(method=method))
    return store


def again(store: PredictionStore, **changes) -> PredictionStore:
    """Another process that opens the same folder."""
    return claimed(PredictionStore(store.run_dir), ALL, "fake", config=RUN, **changes)


class TestTheRun:
    def test_the_same_configuration_goes_on(self, store):
        again(store).save(make_record("b"))
        assert PredictionStore(store.run_dir).config() == RUN

    @pytest.mark.parametrize(
        "config, complaint",
        [
            ({"dataset": RUN["dataset"] | {"split": "val"}}, "dataset.split is test there and val here"),
            ({"dataset": RUN["dataset"] | {"size": "small"}}, "dataset.size is absent there and small here"),
            ({"dataset": RUN["dataset"], "more": 1}, "more is absent there and 1 here"),
        ],
    )
    def test_another_configuration_is_refused_by_its_keys(self, store, config, complaint):
        before = {path: (store.run_dir / path).read_bytes() for path in files(store.run_dir)}
        with pytest.raises(UserError, match=f"run is another run .*{complaint}.*choose another run folder"):
            PredictionStore(store.run_dir).claim_run(config, Pictureless([]))
        assert {path: (store.run_dir / path).read_bytes() for path in files(store.run_dir)} == before

    @pytest.mark.parametrize("text", ["[1, 2", "- a list", "", None])
    def test_a_damaged_configuration_is_written_anew_and_nothing_is_lost(self, store, text):
        path = store.run_dir / "config.yaml"
        path.unlink() if text is None else path.write_text(text)
        (store.run_dir / "pairs.json").write_text(text or "")
        with pytest.raises(UserError, match="no config.yaml" if text is None else "run the same evaluation again"):
            PredictionStore(store.run_dir).config()
        again(store).save(make_record("b"))
        reader = PredictionStore(store.run_dir)
        assert reader.config() == RUN and [record.source for record in reader.records("fake")] == ["a", "b"]
        assert len(reader.records("other")) == 1

    def test_predictions_of_another_data_set_or_of_nobody_knows_what_are_kept_and_refused(self, store):
        (store.run_dir / "config.yaml").unlink()
        elsewhere = Pictureless(ALL.pairs, split="val")
        with pytest.raises(UserError, match="holds predictions of fake test, and no config.yaml .*another run folder"):
            PredictionStore(store.run_dir).claim_run(RUN, elsewhere)
        for method in ("fake", "other"):
            store.path(method, "a").write_text("{")
        with pytest.raises(UserError, match="holds predictions of nobody knows what"):
            again(store)
        assert len(files(store.run_dir)) == 5

    def test_a_folder_without_a_run_is_named(self, tmp_path):
        (tmp_path / "summary.json").write_text("{}")
        for no_run in (tmp_path, tmp_path / "summary.json"):
            with pytest.raises(UserError, match="There is no run in"):
                PredictionStore(no_run).config()


class TestTheMethod:
    def test_the_same_claim_goes_on(self, store):
        again(store, claim=replace(CLAIM, settings=dict(CLAIM.settings))).save(make_record("b"))
        reader = PredictionStore(store.run_dir)
        assert reader.claim_of("fake") == CLAIM and len(reader.records("fake")) == 2

    @pytest.mark.parametrize(
        "changes, complaint",
        [
            ({"settings": {"steps": 50}}, "settings.steps is 129 there and 50 here"),
            ({"settings": {"steps": 129, "new": True}}, "settings.new is absent there and True here"),
            ({"version": 2}, "version is 1 there and 2 here"),
            ({"kind": "tests.Other"}, "kind is tests.run.fakes.FakeMethod there and tests.Other here"),
            ({"model": CLAIM.model | {"unet/weights": "9bc2"}}, "model.unet/weights is 3fa0 there and 9bc2 here"),
            ({"model": None}, "model.unet/config.json is 77 there and absent here"),
        ],
    )
    def test_another_claim_is_refused_by_what_differs_and_what_to_do(self, store, changes, complaint):
        before = {path: (store.run_dir / path).read_bytes() for path in files(store.run_dir)}
        with pytest.raises(UserError) as refusal:
            again(store, claim=replace(CLAIM, **changes))
        said = str(refusal.value)
        assert (
            complaint in said and f"`sdcorr redo {store.run_dir} --method fake`" in said and "another run_dir" in said
        )
        assert {path: (store.run_dir / path).read_bytes() for path in files(store.run_dir)} == before

    def test_the_command_can_be_pasted(self, tmp_path):
        claimed(tmp_path / "a (1)", ALL, "fake").save(make_record())
        with pytest.raises(UserError, match=r"`sdcorr redo '.*a \(1\)' --method fake`"):
            claimed(tmp_path / "a (1)", ALL, "fake", claim=Claim("other", 1, {}))

    def test_another_method_or_its_settings_are_nobody_else_s_business(self, store):
        kept = {method: store.path(method, "a").read_bytes() for method in ("fake", "other")}
        store.forget_method("other")
        reopened = again(store)
        reopened.claim("other", Claim("tests.Other", 3, {"timestep": 100}))
        reopened.claim("third", Claim("tests.Third", 1, {}))
        for method in ("other", "third"):
            reopened.save(make_record(method=method))
        assert store.path("fake", "a").read_bytes() == kept["fake"]
        assert PredictionStore(store.run_dir).methods() == ["fake", "other", "third"]

    def test_records_without_a_claim_are_refused(self, store):
        store.claim_path("fake").unlink()
        for ask in (lambda: again(store), lambda: PredictionStore(store.run_dir).records("fake")):
            with pytest.raises(UserError, match=r"does not say what made its predictions of fake.*sdcorr redo .*fake`"):
                ask()
        assert PredictionStore(store.run_dir).records("other")

    @pytest.mark.parametrize("text", ["", "{", "- 1", "kind: a", "kind: a\nversion: x\nsettings: {}\nmodel: null\n"])
    def test_a_damaged_claim_is_refused(self, store, text):
        store.claim_path("fake").write_text(text)
        for ask in (lambda: again(store), lambda: PredictionStore(store.run_dir).records("fake")):
            with pytest.raises(UserError, match=r"claim.yaml cannot be read .*sdcorr redo .*fake`"):
                ask()

    def test_a_claim_that_was_changed_by_hand_takes_no_records_over(self, store):
        path = store.claim_path("fake")
        path.write_text(path.read_text().replace("129", "50"))
        claim = replace(CLAIM, settings={"steps": 50})
        assert again(store, claim=claim).load("fake", "a") is None  # it is predicted anew
        with pytest.raises(UserError, match="not made by what claim.yaml names"):
            PredictionStore(store.run_dir).records("fake")


class TestBeginning:
    def test_nothing_is_written_before_a_method_is_ready(self, tmp_path):
        store = claimed(tmp_path / "run", ALL, "fake")
        assert not store.run_dir.exists()
        store.begin("fake")
        assert files(store.run_dir) == ["config.yaml", "pairs.json", "predictions/fake/claim.yaml"]

    def test_a_run_that_has_no_record_yet_may_become_another(self, tmp_path):
        claimed(tmp_path, ALL, "fake").begin("fake")
        store = claimed(tmp_path, ALL, "fake", claim=replace(CLAIM, version=2), config=RUN)
        store.save(make_record())
        reader = PredictionStore(tmp_path)
        assert reader.claim_of("fake").version == 2 and reader.config() == RUN

    def test_who_comes_second_is_refused_or_stopped(self, tmp_path):
        """Two evaluations that differ, in one folder at one time: whoever saves first has it."""
        first = claimed(tmp_path, ALL, "fake")
        second = claimed(tmp_path, ALL, "fake", claim=replace(CLAIM, version=2))
        first.begin("fake")
        second.begin("fake")  # there is no record yet
        with pytest.raises(UserError, match="forgotten, or begun otherwise, while this evaluation was at work"):
            first.save(make_record())
        second.save(make_record())
        third = claimed(PredictionStore(tmp_path), ALL, "fake", claim=replace(CLAIM, version=2))
        fourth = PredictionStore(tmp_path)
        with pytest.raises(UserError, match="version is 2 there and 1 here"):
            claimed(fourth, ALL, "fake")
        assert third.load("fake", "a").claim == second.load("fake", "a").claim

    def test_a_record_of_another_claim_counts_for_nothing(self, tmp_path):
        """What the first had saved before the second began."""
        second = claimed(tmp_path, ALL, "fake", claim=replace(CLAIM, version=2))
        claimed(tmp_path, ALL, "fake").save(make_record())
        with pytest.raises(UserError, match="version is 1 there and 2 here"):
            second.save(make_record())

    def test_methods_that_are_forgotten_meanwhile_are_not_written_without_their_claim(self, store):
        PredictionStore(store.run_dir).forget_method("fake")
        with pytest.raises(UserError, match="were forgotten.*run the same command again"):
            store.save(make_record())
        assert store.recorded() == ["other"]

    def test_a_rank_may_begin_and_predict_while_another_claims(self, tmp_path, monkeypatch):
        slow, fast, looked = PredictionStore(tmp_path), PredictionStore(tmp_path), []

        def recorded(self):
            if not looked:  # just after the slow one has found no record
                looked.append(True)
                monkeypatch.undo()
                claimed(fast, ALL, "fake").save(make_record())
                return []
            return ["fake"]

        monkeypatch.setattr(PredictionStore, "recorded", recorded)
        claimed(slow, ALL, "fake").save(make_record("b"))
        assert looked and len(PredictionStore(tmp_path).records("fake")) == 2

    def test_ranks_write_the_same(self, store):
        before = {path: (store.run_dir / path).stat().st_mtime_ns for path in files(store.run_dir)}
        again(store).begin("fake")
        assert {path: (store.run_dir / path).stat().st_mtime_ns for path in files(store.run_dir)} == before
