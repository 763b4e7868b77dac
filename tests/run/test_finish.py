import io
import threading
import time

import pytest
from rich.console import Console

from sdcorr.datasets import group_by_source
from sdcorr.run.predict import finish
from sdcorr.run.store import PredictionStore
from sdcorr.run.units import share
from tests.run.fakes import FakeBenchmark, FakeMethod, Overflowing, evaluate, make_pair


@pytest.fixture
def run(tmp_path):
    """A run whose first rank of three has done its share."""
    benchmark, store = FakeBenchmark("abcdefg"), PredictionStore(tmp_path)
    evaluate(benchmark, FakeMethod(), store, "fake", rank=0, world_size=3)
    return benchmark, store


def sources(method: FakeMethod) -> set[str]:
    return {pair.split("-")[0] for pair in method.matched}


def end(run, alone=lambda: False, patience=60.0) -> tuple[FakeMethod, str]:
    """Finish it; what the first rank has made for others, and what it said."""
    method, text = FakeMethod(), io.StringIO()
    options = {"console": Console(file=text, width=120), "poll": 0.005, "least_patience": patience}
    finish(run[0], {"fake": lambda: method}, run[1], alone=alone, **options)
    assert {pair.id for record in run[1].records("fake") for pair, _ in record.predictions} == {
        pair.id for pair in run[0].pairs
    }
    return method, text.getvalue()


def test_it_waits_for_the_others_and_does_nothing_twice(run):
    def others():
        for rank in (1, 2):
            evaluate(run[0], FakeMethod(seconds=0.002), run[1], "fake", rank=rank, world_size=3)

    thread = threading.Thread(target=others)
    thread.start()
    method, text = end(run)
    thread.join()
    assert method.matched == []
    assert "source images are still to come, with the other ranks" in text


def test_what_dead_ranks_leave_is_made_here_the_last_first(run):
    method, text = end(run, alone=lambda: True)
    theirs = [unit for unit in share(group_by_source(run[0].pairs), 0, 1) if unit.source in sources(method)]
    assert [pair.id for unit in theirs[::-1] for pair in unit.pairs] == method.matched
    assert len(theirs) == 4 and "4 source images are still to come, made here" in text
    assert method.prepared == 1


def test_the_last_record_of_a_rank_that_ends_is_not_made_again(run):
    def alone():
        for rank in (1, 2):
            evaluate(run[0], FakeMethod(), run[1], "fake", rank=rank, world_size=3)
        return True

    assert end(run, alone=alone)[0].matched == []


def test_ranks_that_are_silent_for_long_are_done_without(run):
    start = time.monotonic()
    method, _ = end(run, patience=0.2)
    assert time.monotonic() - start > 0.2
    assert len(sources(method)) == 4


def test_silence_is_measured_by_the_longest_source_image(run):
    """After one of 0.1 seconds, 0.3 seconds of silence are nothing, whatever the least patience."""
    record = run[1].records("fake")[0]
    run[1].save(type(record)(**(vars(record) | {"seconds": 0.1})))

    def others():
        time.sleep(0.3)
        for rank in (1, 2):
            evaluate(run[0], FakeMethod(), run[1], "fake", rank=rank, world_size=3)

    thread = threading.Thread(target=others)
    thread.start()
    method, _ = end(run, patience=0.0)
    thread.join()
    assert method.matched == []


def test_a_broken_image_is_not_waited_for(tmp_path):
    benchmark, store, method = FakeBenchmark(broken="c"), PredictionStore(tmp_path), FakeMethod()
    evaluate(benchmark, FakeMethod(), store, "fake")
    finish(benchmark, {"fake": lambda: method}, store, alone=lambda: False, console=Console(quiet=True), poll=1e6)
    assert method.matched == []


def test_nan_is_tried_once_in_a_run_whoever_did(tmp_path):
    benchmark, store, method = FakeBenchmark(), PredictionStore(tmp_path), Overflowing("c")
    evaluate(benchmark, Overflowing("c"), store, "fake", rank=0, world_size=2)
    finish(benchmark, {"fake": lambda: method}, store, alone=lambda: True, console=Console(quiet=True), poll=1e6)
    assert method.tried == ["b", "b", "a", "a"]  # the dead rank's, each once with "c" and once without
    assert len(store.records("fake")) == 4


def test_one_source_image_for_three_ranks(tmp_path):
    benchmark, store = FakeBenchmark(), PredictionStore(tmp_path)
    benchmark.pairs = [make_pair("a-b")]
    for rank in (1, 2):
        evaluate(benchmark, FakeMethod(), store, "fake", rank=rank, world_size=3)
    assert store.methods() == []
    assert end((benchmark, store), alone=lambda: True)[0].matched == ["a-b"]
