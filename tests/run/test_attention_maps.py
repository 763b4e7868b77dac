from dataclasses import replace

import numpy as np
import pytest

from sdcorr.datasets import AttentionMaps, Ballot, Match
from sdcorr.run.attention_maps import pack, unpack
from sdcorr.run.records import UnitRecord
from tests.run.fakes import Pictureless, claimed, make_pair

LAYERS = ("fine", "combined")


def made_maps(seed: int, points: int = 3, cells: int = 4) -> AttentionMaps:
    draws = np.random.default_rng(seed)
    source, target = draws.random((2, points, len(LAYERS), cells, cells), dtype=np.float32) * [[[[[1]]]], [[[[1e-6]]]]]
    return AttentionMaps(LAYERS, source.astype(np.float32), target.astype(np.float32))


def close(a: AttentionMaps, b: AttentionMaps) -> bool:
    """Within half a level of each map's range, which is at most 1 here, 1e-6 at the target."""
    step = 0.5 / 255 * 1.01
    return a.layers == b.layers and all(
        np.allclose(getattr(a, name), getattr(b, name), rtol=0, atol=step * scale)
        for name, scale in (("source", 1), ("target", 1e-6))
    )


def test_what_is_packed_is_found_again_to_a_level(tmp_path) -> None:
    shared = made_maps(0)
    found = {
        "a": shared,
        "b": AttentionMaps(LAYERS, shared.source[[2, 0]], made_maps(1, 2).target),
        "flat": made_maps(2, 1).of(np.array([0])),
    }
    found["flat"].target[:] = 0.25
    path = tmp_path / "maps.npz"
    path.write_bytes(pack(found))
    again = unpack(path)
    assert list(again) == list(found) and all(close(again[pair], found[pair]) for pair in ("a", "b"))
    assert (again["flat"].target == 0.25).all()
    with np.load(path) as archive:
        assert len(archive["source"]) == 3 + 1  # those that two pairs share are held once


def test_what_a_consensus_has_weighed_is_found_again(tmp_path) -> None:
    """Of the pairs that had one, each with its own points."""
    draws = np.random.default_rng(0)

    def weighed(points: int) -> Ballot:
        shapes = ((points, 2, 2), (points, 2), (points, 2), (3, 3, 2))
        return Ballot(*(draws.random(shape, dtype=np.float32) for shape in shapes))

    found = {"a": replace(made_maps(0, 3), ballot=weighed(3)), "none": made_maps(1, 2)}
    found["b"] = replace(made_maps(2, 1), ballot=weighed(1))
    path = tmp_path / "maps.npz"
    path.write_bytes(pack(found))
    again = unpack(path)
    assert again["none"].ballot is None
    for pair in ("a", "b"):
        for name in ("places", "shares", "votes", "grid"):
            assert (getattr(again[pair].ballot, name) == getattr(found[pair].ballot, name)).all()


def test_a_file_that_is_torn_or_not_there_holds_nothing(tmp_path) -> None:
    path = tmp_path / "maps.npz"
    assert unpack(path) == {}
    whole = pack({"a": made_maps(0)})
    for length in (0, 10, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:length])
        assert unpack(path) == {}


def test_layers_of_one_source_image_must_agree() -> None:
    other = AttentionMaps(("coarse", "combined"), made_maps(0).source, made_maps(0).target)
    with pytest.raises(ValueError, match="agree in their layers"):
        pack({"a": made_maps(0), "b": other})


def test_maps_that_are_not_finite_are_not_packed() -> None:
    maps = made_maps(0)
    maps.target[1, 0, 2, 2] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        pack({"a": maps})


FIRST, SECOND = make_pair("a-b"), make_pair("a-c")
MATCH, OTHER = Match(FIRST.true_points, np.ones(3)), Match(SECOND.true_points, np.ones(3))


@pytest.fixture
def saved(tmp_path):
    """Saves the record of a source image, and returns the maps that are kept with it."""
    store = claimed(tmp_path, Pictureless([FIRST, SECOND]), "prompt")

    def saves(*predictions) -> dict[str, AttentionMaps]:
        store.save(UnitRecord("fake", "test", "prompt", "a", 1.0, predictions))
        read = store.load("prompt", "a").predictions
        assert all(match.maps is None for _, match in read)  # they are read when they are looked at
        return store.maps("prompt", "a")

    return saves


def test_a_record_that_is_completed_keeps_its_maps(saved) -> None:
    saved((FIRST, replace(MATCH, maps=made_maps(0))))
    kept = saved((FIRST, MATCH), (SECOND, replace(OTHER, maps=made_maps(1))))
    assert close(kept["a-b"], made_maps(0)) and close(kept["a-c"], made_maps(1))
    assert set(saved((FIRST, MATCH), (SECOND, OTHER))) == {"a-b", "a-c"}


def test_a_pair_that_is_matched_anew_does_not_keep_the_maps_of_before(saved) -> None:
    saved((FIRST, replace(MATCH, maps=made_maps(0))), (SECOND, replace(OTHER, maps=made_maps(1))))
    moved = Match(MATCH.points + 1, MATCH.confidence)
    assert set(saved((FIRST, moved), (SECOND, OTHER))) == {"a-c"}
    assert saved((FIRST, moved), (SECOND, moved)) == {}


@pytest.mark.parametrize("cells, layers", [(6, LAYERS), (4, ("coarse", "combined"))])
def test_maps_of_another_kind_take_the_place_of_those_of_before(saved, cells, layers) -> None:
    """`maps=` may change between two runs of one folder, and so may what a method calls its layers."""
    saved((FIRST, replace(MATCH, maps=made_maps(0))))
    made = made_maps(1, cells=cells)
    new = AttentionMaps(layers, made.source, made.target)
    kept = saved((FIRST, MATCH), (SECOND, replace(OTHER, maps=new)))
    assert set(kept) == {"a-c"} and close(kept["a-c"], new)
