import json

import numpy as np
import pytest

from sdcorr.datasets import Match
from sdcorr.run.pairs import RunPairs
from sdcorr.run.records import Failure, UnitRecord
from tests.run.fakes import FakeBenchmark, answer, make_pair


def record(*ids: str, pictures=None) -> UnitRecord:
    pairs = [make_pair(id, points=2 + index % 3) for index, id in enumerate(ids)]
    predictions = tuple((pair, answer(pair, pair.query_points)) for pair in pairs)
    return UnitRecord("fake", "test", "m", ids[0][0], 1.0, predictions, pictures=pictures or {})


@pytest.fixture
def benchmark() -> FakeBenchmark:
    made = FakeBenchmark("abcd")
    made.pairs = [make_pair(f"a-{target}", points=2 + index % 3) for index, target in enumerate("bcd")]
    return made


def seen(benchmark: FakeBenchmark) -> dict[str, str]:
    return {key: benchmark.digest(key) for key in "abcd"}


def ids(record: UnitRecord) -> list[str]:
    return [pair.id for pair, _ in record.predictions]


def test_they_come_back_from_the_file(benchmark) -> None:
    benchmark.broken = "d"
    made = RunPairs.of(benchmark)
    again = RunPairs.from_text(made.to_text())
    assert vars(again) == vars(made) and again.pictures["d"] is None
    assert list(again.annotations) == ["a-b", "a-c", "a-d"] and set(again.pictures) == set("abcd")
    assert again.to_text() == made.to_text()


def test_what_was_made_of_the_same_is_current(benchmark) -> None:
    whole = record("a-b", "a-c", "a-d", pictures=seen(benchmark))
    pairs = RunPairs.of(benchmark)
    assert ids(pairs.current(whole)) == ["a-b", "a-c", "a-d"] and not pairs.repainted(whole)


@pytest.mark.parametrize("key, stale", [("a", ["a-b", "a-c", "a-d"]), ("b", ["a-b"]), ("d", ["a-d"])])
def test_a_source_concerns_all_its_pairs_and_a_target_its_own(benchmark, key, stale) -> None:
    whole = record("a-b", "a-c", "a-d", pictures=seen(benchmark))
    benchmark.colors[key] = "white"
    pairs = RunPairs.of(benchmark)
    assert pairs.repainted(whole) == set(stale)
    assert ids(pairs.current(whole)) == [id for id in ("a-b", "a-c", "a-d") if id not in stale]


def test_a_picture_that_nobody_noted_is_another(benchmark) -> None:
    whole = record("a-b", "a-c", pictures={key: digest for key, digest in seen(benchmark).items() if key != "b"})
    assert ids(RunPairs.of(benchmark).current(whole)) == ["a-c"]


def test_a_picture_that_cannot_be_read_now_is_not_known_to_have_changed(benchmark) -> None:
    whole = record("a-b", "a-c", "a-d", pictures=seen(benchmark))
    benchmark.broken = "ab"
    assert ids(RunPairs.of(benchmark).current(whole)) == ["a-b", "a-c", "a-d"]


def test_a_pair_without_a_visible_point_asks_for_no_picture(benchmark) -> None:
    blind = make_pair("a-b", visible=np.zeros(3, dtype=bool))
    benchmark.pairs = [blind]
    nothing = Match(np.empty((0, 2)), np.empty(0))
    asked = UnitRecord("fake", "test", "m", "a", 1.0, ((blind, nothing),))
    assert ids(RunPairs.of(benchmark).current(asked)) == ["a-b"]


def test_other_annotations_and_pairs_that_are_gone_are_not_current_and_not_repainted(benchmark) -> None:
    whole = record("a-b", "a-c", "a-d", pictures=seen(benchmark))
    benchmark.pairs = [make_pair("a-b", points=2), make_pair("a-c", points=3, category="dog")]
    benchmark.colors["c"] = benchmark.colors["d"] = "white"
    pairs = RunPairs.of(benchmark)
    assert ids(pairs.current(whole)) == ["a-b"] and not pairs.repainted(whole)
    failed = UnitRecord("fake", "test", "m", "a", 1.0, (), (Failure("a-b", "b", "r"), Failure("a-d", "d", "r")))
    assert [failure.pair for failure in pairs.current(failed).failures] == ["a-b"]


def test_what_a_file_holds_is_the_same_whoever_writes_it_when(benchmark) -> None:
    first = RunPairs.of(benchmark).to_text()
    benchmark.pairs = benchmark.pairs[::-1]
    assert RunPairs.of(benchmark).to_text() == first
    assert json.loads(first)["pictures"]["a"] == benchmark.digest("a")
