import errno
import json
import os

import pytest

from sdcorr.datasets import Match
from sdcorr.errors import UserError
from sdcorr.run.predict import predict
from sdcorr.run.store import PredictionStore
from tests.run.fakes import FakeBenchmark, FakeMethod, Overflowing, claimed, evaluate, make_pair


def contents(store: PredictionStore, method: str = "fake") -> dict[str, dict]:
    """Every record as it lies on disk, less the time that it took."""
    files = {path.name: json.loads(path.read_text()) for path in store.run_dir.glob(f"predictions/{method}/*.json")}
    cost = ("seconds", "peak_bytes", "cost")
    return {name: {key: value for key, value in plain.items() if key not in cost} for name, plain in files.items()}


@pytest.fixture
def whole(tmp_path):
    """The records of a run without any mishap."""
    store = PredictionStore(tmp_path / "whole")
    evaluate(FakeBenchmark(), FakeMethod(), store, "fake")
    return contents(store)


class TestPredict:
    def test_every_pair_is_predicted_and_saved_in_the_data_set_s_order(self, tmp_path):
        benchmark, store = FakeBenchmark(), PredictionStore(tmp_path)
        assert evaluate(benchmark, FakeMethod(), store, "fake") == ()
        found = {pair.id for record in store.records("fake") for pair, _ in record.predictions}
        assert found == {pair.id for pair in benchmark.pairs}
        assert [pair.id for pair, _ in store.load("fake", "b").predictions] == ["b-a", "b-c", "b-d"]

    def test_nothing_is_done_twice(self, tmp_path, whole):
        store = PredictionStore(tmp_path)
        evaluate(FakeBenchmark(), FakeMethod(), store, "fake")
        again = FakeMethod()
        evaluate(FakeBenchmark(), again, store, "fake")
        assert again.matched == []
        assert contents(store) == whole

    def test_a_method_is_made_and_prepared_once_and_only_if_something_is_to_be_predicted(self, tmp_path):
        store, made = claimed(tmp_path, FakeBenchmark(), "fake"), []

        def make() -> FakeMethod:
            made.append(FakeMethod())
            return made[-1]

        for _ in range(2):
            predict(FakeBenchmark(), make, store, "fake")
        assert [method.prepared for method in made] == [1]

    def test_a_method_that_cannot_be_prepared_leaves_nothing_behind(self, tmp_path):
        class Unready(FakeMethod):
            def prepare(self) -> None:
                raise UserError("The model has no layer up_blocks.9.")

        with pytest.raises(UserError, match="up_blocks.9"):
            evaluate(FakeBenchmark(), Unready(), PredictionStore(tmp_path / "run"))
        assert not (tmp_path / "run").exists()

    def test_ranks_together_do_what_one_does(self, tmp_path, whole):
        store, methods = PredictionStore(tmp_path), [FakeMethod() for _ in range(3)]
        for rank in (2, 0, 1):
            evaluate(FakeBenchmark(), methods[rank], store, "fake", rank=rank, world_size=3)
        assert contents(store) == whole
        assert sorted(sum((method.matched for method in methods), [])) == sorted(p.id for p in FakeBenchmark().pairs)

    def test_a_torn_record_is_predicted_anew_and_no_other(self, tmp_path, whole):
        store, method = PredictionStore(tmp_path), FakeMethod()
        evaluate(FakeBenchmark(), FakeMethod(), store, "fake")
        path = store.path("fake", "b")
        path.write_text(path.read_text()[:100])
        evaluate(FakeBenchmark(), method, store, "fake")
        assert method.matched == ["b-a", "b-c", "b-d"]
        assert contents(store) == whole

    def test_pairs_that_came_later_are_added(self, tmp_path, whole):
        store, method, benchmark = PredictionStore(tmp_path), FakeMethod(), FakeBenchmark()
        benchmark.pairs = [pair for pair in benchmark.pairs if pair.id not in ("b-c", "d-a", "d-b", "d-c")]
        evaluate(benchmark, FakeMethod(), store, "fake")
        evaluate(FakeBenchmark(), method, store, "fake")
        assert sorted(method.matched) == ["b-c", "d-a", "d-b", "d-c"]
        assert contents(store) == whole

    def test_a_changed_annotation_is_predicted_anew(self, tmp_path):
        store, method, benchmark = PredictionStore(tmp_path), FakeMethod(), FakeBenchmark()
        evaluate(benchmark, FakeMethod(), store, "fake")
        benchmark.pairs[0] = make_pair("a-b", points=2, target_points=[[1, 2], [3, 4]])
        evaluate(benchmark, method, store, "fake")
        assert method.matched == ["a-b"]
        assert store.load("fake", "a").predictions[0][0].target_points.tolist() == [[1, 2], [3, 4]]

    def test_another_split_is_predicted_anew(self, tmp_path):
        store, method, benchmark = PredictionStore(tmp_path), FakeMethod(), FakeBenchmark()
        evaluate(benchmark, FakeMethod(), store, "fake")
        benchmark.split = "val"
        evaluate(benchmark, method, store, "fake")
        assert len(method.matched) == len(benchmark.pairs)

    def test_a_pair_without_visible_points_is_recorded_and_not_asked_for(self, tmp_path):
        store, method, benchmark = PredictionStore(tmp_path), FakeMethod(), FakeBenchmark()
        benchmark.pairs = [make_pair("a-b", points=2, visible=[False, False]), make_pair("b-a")]
        evaluate(benchmark, method, store, "fake")
        assert method.matched == ["b-a"]
        ((pair, match),) = store.load("fake", "a").predictions
        assert pair.id == "a-b" and match.points.shape == (0, 2)


class TestBrokenImages:
    def test_a_target_costs_its_pairs_and_a_source_all_of_its_own(self, tmp_path, whole):
        store = PredictionStore(tmp_path)
        failures = evaluate(FakeBenchmark(broken="c"), FakeMethod(), store, "fake")
        ids = {failure.pair for failure in failures}
        assert ids == {"a-c", "b-c", "d-c", "c-a", "c-b", "c-d"}
        assert {failure.image for failure in failures} == {"c"}
        found = {pair.id for record in store.records("fake") for pair, _ in record.predictions}
        assert found == {pair.id for pair in FakeBenchmark().pairs} - ids

    def test_the_other_pairs_are_matched_once(self, tmp_path):
        method = FakeMethod()
        evaluate(FakeBenchmark(broken="c"), method, PredictionStore(tmp_path), "fake")
        assert sorted(method.matched) == ["a-b", "a-d", "b-a", "b-d", "d-a", "d-b"]

    def test_they_are_told_again_and_cost_nothing_more(self, tmp_path):
        store, again = PredictionStore(tmp_path), FakeMethod()
        first = evaluate(FakeBenchmark(broken="c"), FakeMethod(), store, "fake")
        before = contents(store)
        assert sorted(evaluate(FakeBenchmark(broken="c"), again, store, "fake"), key=str) == sorted(first, key=str)
        assert again.matched == []
        assert contents(store) == before

    def test_a_mended_image_is_predicted_by_the_next_run(self, tmp_path, whole):
        store, method = PredictionStore(tmp_path), FakeMethod()
        evaluate(FakeBenchmark(broken="c"), FakeMethod(), store, "fake")
        assert evaluate(FakeBenchmark(), method, store, "fake") == ()
        assert sorted(method.matched) == ["a-c", "b-c", "c-a", "c-b", "c-d", "d-c"]
        assert contents(store) == whole

    def test_another_mistake_is_not_taken_for_an_image(self, tmp_path):
        class Wrong(FakeMethod):
            def match(self, unit, image):
                raise UserError("The model has no such layer.")

        with pytest.raises(UserError, match="no such layer"):
            evaluate(FakeBenchmark(), Wrong(), PredictionStore(tmp_path), "fake")

    def test_a_mistake_after_a_broken_image_is_not_taken_for_it(self, tmp_path):
        class WrongLater(FakeMethod):
            def match(self, unit, image):
                yield from super().match(unit, lambda key: None)  # looks at no image
                raise UserError("The model has no such layer.")

        with pytest.raises(UserError, match="no such layer"):
            evaluate(FakeBenchmark(broken="b"), WrongLater(), PredictionStore(tmp_path), "fake")


class TestNaN:
    def test_it_costs_the_pairs_of_its_image_and_is_told_as_the_network_s(self, tmp_path, whole):
        store = PredictionStore(tmp_path)
        failures = evaluate(FakeBenchmark(), Overflowing("c"), store, "fake")
        assert {each.pair for each in failures} == {"a-c", "b-c", "d-c", "c-a", "c-b", "c-d"}
        assert {(each.image, each.cause) for each in failures} == {("c", "numbers")}
        assert "The features of c are NaN or infinite: numbers grow too large for bf16" in failures[0].reason
        found = {pair.id for record in store.records("fake") for pair, _ in record.predictions}
        assert found == {pair.id for pair in FakeBenchmark().pairs} - {each.pair for each in failures}

    def test_where_nobody_knows_of_which_image_what_is_left_of_the_source_goes(self, tmp_path):
        failures = evaluate(FakeBenchmark(), Overflowing("c", known=False), PredictionStore(tmp_path), "fake")
        assert [(each.pair, each.image) for each in failures] == [
            *(("a-c", "a"), ("a-d", "a"), ("b-c", "b"), ("b-d", "b")),
            *(("c-a", "c"), ("c-b", "c"), ("c-d", "c"), ("d-c", "d")),
        ]

    def test_the_next_run_tries_it_again_and_nothing_else(self, tmp_path, whole):
        store, method, mended = PredictionStore(tmp_path), Overflowing("c"), FakeMethod()
        first = evaluate(FakeBenchmark(), Overflowing("c"), store, "fake")
        assert set(evaluate(FakeBenchmark(), method, store, "fake")) == set(first)
        assert sorted(method.tried) == ["a", "b", "c", "d"]
        assert evaluate(FakeBenchmark(), mended, store, "fake") == ()
        assert sorted(mended.matched) == ["a-c", "b-c", "c-a", "c-b", "c-d", "d-c"]
        assert contents(store) == whole

    def test_if_there_is_nothing_else_the_rest_is_not_tried(self, tmp_path):
        store, method = PredictionStore(tmp_path), Overflowing("abcdef")
        with pytest.raises(UserError, match="fake makes nothing of the first 3 source images.*features of c are NaN"):
            evaluate(FakeBenchmark("abcdef"), method, store, "fake")
        assert method.tried == ["a", "b", "c"]
        assert {record.source: len(record.failures) for record in store.records("fake")} == {"a": 5, "b": 5, "c": 5}

    def test_one_good_image_is_enough_to_go_on_now_and_at_the_next_run(self, tmp_path):
        store, again = PredictionStore(tmp_path), Overflowing("bcdef")
        benchmark = FakeBenchmark("abcdef")
        benchmark.pairs = [pair for pair in benchmark.pairs if pair.target == "a" or pair.id == "a-b"]
        benchmark.pairs += [make_pair("a-g")]
        benchmark.colors["g"] = "black"
        assert len(evaluate(benchmark, Overflowing("bcdef"), store, "fake")) == 6
        assert len(evaluate(benchmark, again, store, "fake")) == 6 and again.tried == ["a", "b", "c", "d", "e", "f"]

    def test_a_share_is_tried_again_by_its_own_rank(self, tmp_path):
        store = PredictionStore(tmp_path)
        for rank in (0, 1):
            evaluate(FakeBenchmark(), Overflowing("c"), store, "fake", rank=rank, world_size=2)
        evaluate(FakeBenchmark(), FakeMethod(), store, "fake", rank=1, world_size=2)
        assert {each.pair for record in store.records("fake") for each in record.failures} == {
            "c-a",
            "c-b",
            "c-d",
            "d-c",
        }


class TestFullDisk:
    def test_it_stops_with_one_sentence_and_what_is_finished_stays(self, tmp_path, whole, monkeypatch):
        store, method, fsync, room = PredictionStore(tmp_path), FakeMethod(), os.fsync, [None] * 10

        def full(handle):
            if not room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            room.pop()
            fsync(handle)

        monkeypatch.setattr(os, "fsync", full)  # a file and its folder for each record, after three of the run
        with pytest.raises(UserError, match=r"Cannot write .* \(No space left on device\)"):
            evaluate(FakeBenchmark(), FakeMethod(), store, "fake")
        done = contents(store)
        assert len(done) == 2 and done.items() <= whole.items()
        monkeypatch.undo()
        evaluate(FakeBenchmark(), method, store, "fake")
        assert contents(store) == whole and len(method.matched) == 6  # of 12 pairs


class TestWrongMethods:
    def test_a_pair_left_out(self, tmp_path):
        class Lazy(FakeMethod):
            def match(self, unit, image):
                return list(super().match(unit, image))[1:]

        with pytest.raises(ValueError, match="lazy yields no match for pair"):
            evaluate(FakeBenchmark(), Lazy(), PredictionStore(tmp_path), "lazy")

    def test_too_few_points(self, tmp_path):
        class Short(FakeMethod):
            def match(self, unit, image):
                for pair, match in super().match(unit, image):
                    yield pair, Match(match.points[1:], match.confidence[1:])

        with pytest.raises(ValueError, match="matches for . asked points"):
            evaluate(FakeBenchmark(), Short(), PredictionStore(tmp_path), "short")
