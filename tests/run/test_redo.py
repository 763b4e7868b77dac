from pathlib import Path

import numpy as np
import pytest

from sdcorr.datasets import AttentionMaps
from sdcorr.errors import UserError
from sdcorr.run.redo import redo
from sdcorr.run.store import PredictionStore
from tests.run.fakes import FakeBenchmark, FakeMethod, evaluate

METHODS = ("fake", "other")


class WithMaps(FakeMethod):
    def match(self, unit, image):
        for pair, match in super().match(unit, image):
            maps = np.ones((len(match.points), 1, 2, 2), dtype=np.float32)
            yield pair, type(match)(match.points, match.confidence, AttentionMaps(("all",), maps, maps))


@pytest.fixture
def store(tmp_path: Path) -> PredictionStore:
    """Two methods on the twelve pairs of four images; c cannot be read."""
    made = PredictionStore(tmp_path / "run")
    for name in METHODS:
        evaluate(FakeBenchmark(broken="c"), WithMaps(), made, name)
    return made


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def again(store: PredictionStore) -> dict[str, list[str]]:
    """Method -> the pairs that the next evaluation predicts."""
    found = {}
    for name in METHODS:
        method = WithMaps()
        evaluate(FakeBenchmark(broken="c"), method, PredictionStore(store.run_dir), name)
        found[name] = sorted(method.matched)
    return found


def maps_of(store: PredictionStore, method: str, source: str) -> set[str]:
    return set(store.maps(method, source))


def test_a_method_is_forgotten_with_its_claim_and_no_other(store) -> None:
    assert redo(store, methods=["fake"]) == {"fake": 4}
    assert not any("fake" in path for path in files(store.run_dir))
    assert store.recorded() == ["other"] and maps_of(store, "other", "a") == {"a-b", "a-d"}
    assert again(store) == {"fake": ["a-b", "a-d", "b-a", "b-d", "d-a", "d-b"], "other": []}


def test_a_source_image_of_all_methods_or_of_one(store) -> None:
    assert redo(store, sources=["a", "c"]) == {"fake": 2, "other": 2}
    assert maps_of(store, "fake", "a") == set() and maps_of(store, "fake", "b") == {"b-a", "b-d"}
    assert store.claim_path("fake").exists()
    assert again(store) == {"fake": ["a-b", "a-d"], "other": ["a-b", "a-d"]}
    assert redo(store, methods=["other"], sources=["d"]) == {"other": 1}
    assert again(store) == {"fake": [], "other": ["d-a", "d-b"]}


def test_a_pair_with_its_maps_and_none_beside_it(store) -> None:
    assert redo(store, pairs=["a-b", "d-b"]) == {"fake": 2, "other": 2}
    assert maps_of(store, "fake", "a") == {"a-d"}
    assert again(store) == {"fake": ["a-b", "d-b"], "other": ["a-b", "d-b"]}
    assert maps_of(store, "fake", "a") == {"a-b", "a-d"}


def test_all_pairs_of_a_source_image_leave_no_empty_record(store) -> None:
    assert redo(store, methods=["fake"], pairs=["a-b", "a-c", "a-d"]) == {"fake": 1}
    assert not store.path("fake", "a").exists() and maps_of(store, "fake", "a") == set()


def test_a_pair_of_a_source_image_that_is_named_as_well(store) -> None:
    assert redo(store, sources=["a"], pairs=["a-b", "b-a"]) == {"fake": 2, "other": 2}
    assert again(store)["fake"] == ["a-b", "a-d", "b-a"]


def test_everything(store) -> None:
    assert redo(store, everything=True) == {"fake": 4, "other": 4}
    assert files(store.run_dir) == {"config.yaml", "pairs.json"}
    assert [len(pairs) for pairs in again(store).values()] == [6, 6]


def test_a_record_that_is_torn_may_be_named_by_its_source_image(store) -> None:
    store.path("fake", "b").write_text("{")
    assert redo(store, methods=["fake"], sources=["b"]) == {"fake": 1}
    assert again(store)["fake"] == ["b-a", "b-d"]


@pytest.mark.parametrize(
    "named, complaint",
    [
        ({}, "--method, --source or --pair, or --all"),
        ({"everything": True, "methods": ["fake"]}, "--method, --source or --pair, or --all"),
        ({"methods": ["fake", "fade"]}, "no predictions of a method 'fade': choose from fake, other"),
        ({"sources": ["a", "z"]}, "no predictions of a source image 'z': choose from a, b, c, d"),
        ({"pairs": ["a-b", "a-z"]}, "of a pair 'a-z': choose from a-b, a-c, a-d, b-a"),
        ({"sources": ["a"], "pairs": ["a-z"]}, "of a pair 'a-z'"),
    ],
)
def test_what_is_not_there_is_refused_and_nothing_forgotten(store, named, complaint) -> None:
    before = files(store.run_dir)
    with pytest.raises(UserError, match=complaint):
        redo(store, **named)
    assert files(store.run_dir) == before and again(store) == {"fake": [], "other": []}


def test_many_names_are_not_all_listed(tmp_path) -> None:
    store = PredictionStore(tmp_path)
    evaluate(FakeBenchmark("abcdefghijklmnop"), FakeMethod(), store)
    with pytest.raises(UserError, match=r"choose from a, b, .*, l and 4 more\."):
        redo(store, sources=["z"])
