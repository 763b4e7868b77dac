import errno
import io
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from sdcorr.datasets import Match, group_by_source
from sdcorr.errors import UserError
from sdcorr.run.predict import predict, share
from sdcorr.run.records import PredictionStore
from tests.run.fakes import FakeBenchmark, FakeMethod, make_pair


def contents(store: PredictionStore, method: str = "fake") -> dict[str, dict]:
    """Every record as it lies on disk, less the time that it took."""
    files = {path.name: json.loads(path.read_text()) for path in store.run_dir.glob(f"predictions/{method}/*.json")}
    cost = ("seconds", "peak_bytes")
    return {name: {key: value for key, value in plain.items() if key not in cost} for name, plain in files.items()}


@pytest.fixture
def whole(tmp_path):
    """The records of a run without any mishap."""
    store = PredictionStore(tmp_path / "whole")
    predict(FakeBenchmark(), FakeMethod(), store, "fake")
    return contents(store)


class TestShare:
    def test_every_unit_once_balanced_and_in_the_order_of_the_data_set(self):
        pairs = [make_pair(f"s{index}-t", points=1 + index % 7) for index in range(40)]
        units = group_by_source(pairs)
        hands = [share(units, rank, 3) for rank in range(3)]
        assert sorted(unit.source for hand in hands for unit in hand) == sorted(unit.source for unit in units)
        for hand in hands:
            assert hand == [unit for unit in units if unit in hand]
        loads = [sum(unit.cost for unit in hand) for hand in hands]
        assert max(loads) - min(loads) <= max(unit.cost for unit in units)

    def test_the_order_of_the_units_changes_no_hand(self):
        units = group_by_source([make_pair(f"s{index}-t", points=1 + index % 3) for index in range(12)])
        first, second = share(units, 1, 2), share(units[::-1], 1, 2)
        assert {unit.source for unit in first} == {unit.source for unit in second}

    def test_more_ranks_than_units(self):
        units = group_by_source([make_pair("a-b")])
        assert [len(share(units, rank, 3)) for rank in range(3)] == [1, 0, 0]

    @pytest.mark.parametrize("rank, world_size", [(2, 2), (-1, 2), (0, 0)])
    def test_a_rank_that_does_not_exist(self, rank, world_size):
        with pytest.raises(ValueError, match="rank must be in"):
            share([], rank, world_size)


class TestPredict:
    def test_every_pair_is_predicted_and_saved_in_the_data_set_s_order(self, tmp_path):
        benchmark, store = FakeBenchmark(), PredictionStore(tmp_path)
        assert predict(benchmark, FakeMethod(), store, "fake") == ()
        found = {pair.id for record in store.records("fake") for pair, _ in record.predictions}
        assert found == {pair.id for pair in benchmark.pairs}
        assert [pair.id for pair, _ in store.load("fake", "b").predictions] == ["b-a", "b-c", "b-d"]

    def test_nothing_is_done_twice(self, tmp_path, whole):
        store = PredictionStore(tmp_path)
        predict(FakeBenchmark(), FakeMethod(), store, "fake")
        again = FakeMethod()
        predict(FakeBenchmark(), again, store, "fake")
        assert again.matched == []
        assert contents(store) == whole

    def test_ranks_together_do_what_one_does(self, tmp_path, whole):
        store, methods = PredictionStore(tmp_path), [FakeMethod() for _ in range(3)]
        for rank in (2, 0, 1):
            predict(FakeBenchmark(), methods[rank], store, "fake", rank=rank, world_size=3)
        assert contents(store) == whole
        assert sorted(sum((method.matched for method in methods), [])) == sorted(p.id for p in FakeBenchmark().pairs)

    def test_a_torn_record_is_predicted_anew_and_no_other(self, tmp_path, whole):
        store, method = PredictionStore(tmp_path), FakeMethod()
        predict(FakeBenchmark(), FakeMethod(), store, "fake")
        path = store.path("fake", "b")
        path.write_text(path.read_text()[:100])
        predict(FakeBenchmark(), method, store, "fake")
        assert method.matched == ["b-a", "b-c", "b-d"]
        assert contents(store) == whole

    def test_pairs_that_came_later_are_added(self, tmp_path, whole):
        store, method, benchmark = PredictionStore(tmp_path), FakeMethod(), FakeBenchmark()
        benchmark.pairs = [pair for pair in benchmark.pairs if pair.id not in ("b-c", "d-a", "d-b", "d-c")]
        predict(benchmark, FakeMethod(), store, "fake")
        predict(FakeBenchmark(), method, store, "fake")
        assert sorted(method.matched) == ["b-c", "d-a", "d-b", "d-c"]
        assert contents(store) == whole

    def test_a_changed_annotation_is_predicted_anew(self, tmp_path):
        store, method, benchmark = PredictionStore(tmp_path), FakeMethod(), FakeBenchmark()
        predict(benchmark, FakeMethod(), store, "fake")
        benchmark.pairs[0] = make_pair("a-b", points=2, target_points=[[1, 2], [3, 4]])
        predict(benchmark, method, store, "fake")
        assert method.matched == ["a-b"]
        assert store.load("fake", "a").predictions[0][0].target_points.tolist() == [[1, 2], [3, 4]]

    def test_another_split_is_predicted_anew(self, tmp_path):
        store, method, benchmark = PredictionStore(tmp_path), FakeMethod(), FakeBenchmark()
        predict(benchmark, FakeMethod(), store, "fake")
        benchmark.split = "val"
        predict(benchmark, method, store, "fake")
        assert len(method.matched) == len(benchmark.pairs)

    def test_a_pair_without_visible_points_is_recorded_and_not_asked_for(self, tmp_path):
        store, method, benchmark = PredictionStore(tmp_path), FakeMethod(), FakeBenchmark()
        benchmark.pairs = [make_pair("a-b", points=2, visible=[False, False]), make_pair("b-a")]
        predict(benchmark, method, store, "fake")
        assert method.matched == ["b-a"]
        ((pair, match),) = store.load("fake", "a").predictions
        assert pair.id == "a-b" and match.points.shape == (0, 2)


class TestBrokenImages:
    def test_a_target_costs_its_pairs_and_a_source_all_of_its_own(self, tmp_path, whole):
        store = PredictionStore(tmp_path)
        failures = predict(FakeBenchmark(broken="c"), FakeMethod(), store, "fake")
        ids = {failure.pair for failure in failures}
        assert ids == {"a-c", "b-c", "d-c", "c-a", "c-b", "c-d"}
        assert {failure.image for failure in failures} == {"c"}
        found = {pair.id for record in store.records("fake") for pair, _ in record.predictions}
        assert found == {pair.id for pair in FakeBenchmark().pairs} - ids

    def test_the_other_pairs_are_matched_once(self, tmp_path):
        method = FakeMethod()
        predict(FakeBenchmark(broken="c"), method, PredictionStore(tmp_path), "fake")
        assert sorted(method.matched) == ["a-b", "a-d", "b-a", "b-d", "d-a", "d-b"]

    def test_they_are_told_again_and_cost_nothing_more(self, tmp_path):
        store, again = PredictionStore(tmp_path), FakeMethod()
        first = predict(FakeBenchmark(broken="c"), FakeMethod(), store, "fake")
        before = contents(store)
        assert sorted(predict(FakeBenchmark(broken="c"), again, store, "fake"), key=str) == sorted(first, key=str)
        assert again.matched == []
        assert contents(store) == before

    def test_a_mended_image_is_predicted_by_the_next_run(self, tmp_path, whole):
        store, method = PredictionStore(tmp_path), FakeMethod()
        predict(FakeBenchmark(broken="c"), FakeMethod(), store, "fake")
        assert predict(FakeBenchmark(), method, store, "fake") == ()
        assert sorted(method.matched) == ["a-c", "b-c", "c-a", "c-b", "c-d", "d-c"]
        assert contents(store) == whole

    def test_another_mistake_is_not_taken_for_an_image(self, tmp_path):
        class Wrong(FakeMethod):
            def match(self, unit, image):
                raise UserError("The model has no such layer.")

        with pytest.raises(UserError, match="no such layer"):
            predict(FakeBenchmark(), Wrong(), PredictionStore(tmp_path), "fake")

    def test_a_mistake_after_a_broken_image_is_not_taken_for_it(self, tmp_path):
        class WrongLater(FakeMethod):
            def match(self, unit, image):
                yield from super().match(unit, lambda key: None)  # looks at no image
                raise UserError("The model has no such layer.")

        with pytest.raises(UserError, match="no such layer"):
            predict(FakeBenchmark(broken="b"), WrongLater(), PredictionStore(tmp_path), "fake")


class TestFullDisk:
    def test_it_stops_with_one_sentence_and_what_is_finished_stays(self, tmp_path, whole, monkeypatch):
        store, method, fsync, room = PredictionStore(tmp_path), FakeMethod(), os.fsync, [None] * 4

        def full(handle):
            if not room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            room.pop()
            fsync(handle)

        monkeypatch.setattr(os, "fsync", full)  # a file and its folder for each record
        with pytest.raises(UserError, match=r"Cannot write .* \(No space left on device\)"):
            predict(FakeBenchmark(), FakeMethod(), store, "fake")
        done = contents(store)
        assert len(done) == 2 and done.items() <= whole.items()
        monkeypatch.undo()
        predict(FakeBenchmark(), method, store, "fake")
        assert contents(store) == whole and len(method.matched) == 6  # of 12 pairs


class TestWrongMethods:
    def test_a_pair_left_out(self, tmp_path):
        class Lazy(FakeMethod):
            def match(self, unit, image):
                return list(super().match(unit, image))[1:]

        with pytest.raises(ValueError, match="lazy yields no match for pair"):
            predict(FakeBenchmark(), Lazy(), PredictionStore(tmp_path), "lazy")

    def test_too_few_points(self, tmp_path):
        class Short(FakeMethod):
            def match(self, unit, image):
                for pair, match in super().match(unit, image):
                    yield pair, Match(match.points[1:], match.confidence[1:])

        with pytest.raises(ValueError, match="matches for . visible points"):
            predict(FakeBenchmark(), Short(), PredictionStore(tmp_path), "short")


class TestProgress:
    def test_lines_where_there_is_no_terminal(self, tmp_path):
        text = io.StringIO()
        predict(FakeBenchmark(), FakeMethod(), PredictionStore(tmp_path), "fake", console=Console(file=text))
        assert "fake: 4/4 source images, about 0 min left" in text.getvalue()

    def test_nothing_visible_is_no_work(self, tmp_path):
        text, benchmark = io.StringIO(), FakeBenchmark()
        benchmark.pairs = [make_pair("a-b", points=1, visible=[False])]
        predict(benchmark, FakeMethod(), PredictionStore(tmp_path), "fake", console=Console(file=text))
        assert "fake: 1/1 source images" in text.getvalue()

    def test_a_rank_speaks_of_its_own_share(self, tmp_path):
        text = io.StringIO()
        console = Console(file=text, width=100)
        predict(FakeBenchmark(), FakeMethod(), PredictionStore(tmp_path), "fake", rank=1, world_size=3, console=console)
        assert "fake, share 2 of 3: 1/1 source images" in text.getvalue()

    def test_what_is_said_of_the_records_so_far_stands_beside_it(self, tmp_path):
        seen, store = [], PredictionStore(tmp_path)

        def describe(record):
            seen.append(record.source)
            return f"{len(seen)} seen"

        for _ in range(2):  # the second time all are found
            text = io.StringIO()
            console = Console(file=text, width=100)
            predict(FakeBenchmark(), FakeMethod(), store, "fake", console=console, describe=describe)
            assert ("fake: 4/4 source images, 4 seen, about" in text.getvalue()) == (len(seen) == 4)
        assert sorted(seen) == sorted("abcd" * 2)

    def test_a_bar_in_a_terminal(self, tmp_path):
        text = io.StringIO()
        console = Console(file=text, force_terminal=True, width=100)
        predict(FakeBenchmark(), FakeMethod(), PredictionStore(tmp_path), "fake", console=console)
        assert "4/4 source images" in text.getvalue() and "min left" not in text.getvalue()


def work(folder: Path, rank: int, world_size: int) -> None:
    """What a rank does, in a process of its own."""
    store = PredictionStore(folder)
    store.claim({"seed": 0})
    predict(FakeBenchmark("abcdefgh"), FakeMethod(seconds=0.002), store, "fake", rank=rank, world_size=world_size)


@pytest.mark.parametrize("world_size", [1, 2])
def test_killed_at_random_moments(tmp_path, world_size):
    """Whatever the moments of 30 kill -9, nothing torn is left, nothing is lost, and the end is the same."""
    processes = multiprocessing.get_context("fork")  # starts in no time
    dice, kills, survived = random.Random(world_size), 0, 0
    whole = PredictionStore(tmp_path / "whole")
    predict(FakeBenchmark("abcdefgh"), FakeMethod(), whole, "fake")
    while kills < 30:  # a run lives through a few kills, then it is done, and another begins
        store = PredictionStore(tmp_path / f"run {survived}")
        before = kills
        while len(contents(store)) < 8:
            ranks = [
                processes.Process(target=work, args=(store.run_dir, rank, world_size)) for rank in range(world_size)
            ]
            for rank in ranks:
                rank.start()
            for rank in ranks:
                rank.join(dice.uniform(0.0, 0.06) * (1 + (kills - before) / 10))  # longer where the machine is busy
                rank.kill()
            for rank in ranks:
                rank.join()
                assert rank.exitcode in (0, -signal.SIGKILL)
                kills += rank.exitcode != 0
            assert kills - before < 100
            if store.methods():
                store.records("fake")  # raises if anything is torn
        assert contents(store) == contents(whole)
        survived += 1
        store.claim({"seed": 0})


WRITE = """
import sys
from pathlib import Path
from sdcorr.files import write_whole

print("ready", flush=True)
for number in range(10**6):
    write_whole(Path(sys.argv[1]), str(number % 10) * 2_000_000)
"""


def test_killed_while_writing(tmp_path):
    """A process that does nothing but write is killed in the middle of a write; the file is one of those written."""
    path, dice = tmp_path / "file.json", random.Random(2)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", WRITE, str(path)], stdout=subprocess.PIPE, env=environment)
        assert process.stdout.readline() == b"ready\n"
        time.sleep(dice.uniform(0.02, 0.06))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if path.exists():
            text = path.read_text()
            assert len(text) == 2_000_000 and len(set(text)) == 1
    assert path.exists()
    assert list(tmp_path.glob(".*.tmp"))  # some were killed in the middle, or this test would show nothing
