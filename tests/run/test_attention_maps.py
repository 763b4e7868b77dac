import numpy as np
import pytest

from sdcorr.datasets import AttentionMaps, Match
from sdcorr.run.attention_maps import pack, unpack
from sdcorr.run.records import PredictionStore, UnitRecord
from tests.run.fakes import make_pair

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


def test_a_record_that_is_completed_keeps_its_maps(tmp_path) -> None:
    store, first, second = PredictionStore(tmp_path), make_pair("a-b"), make_pair("a-c")

    def saved(*predictions) -> None:
        store.save(UnitRecord("fake", "test", "prompt", "a", 1.0, predictions))

    with_maps = Match(first.true_points, np.ones(3), made_maps(0))
    saved((first, with_maps))
    (read, match), *_ = store.load("prompt", "a").predictions
    assert match.maps is None  # it is read when it is looked at
    saved((read, match), (second, Match(second.true_points, np.ones(3), made_maps(1))))
    kept = store.maps("prompt", "a")
    assert close(kept["a-b"], made_maps(0)) and close(kept["a-c"], made_maps(1))
