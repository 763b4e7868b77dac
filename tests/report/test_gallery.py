import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from sdcorr.datasets import AttentionMaps, Ballot, Match
from sdcorr.errors import UserError
from sdcorr.report.data_urls import NO_PICTURE
from sdcorr.report.gallery import A_PAIR, AT_LEAST, gallery
from sdcorr.report.pairs import Judged, chosen, judged
from sdcorr.run.records import UnitRecord
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.protocols import protocol_named
from tests.run.fakes import make_pair
from tests.scoring.fakes import missed, record, write_records

SILENT = Console(quiet=True)


def many(**sizes: int) -> list[Judged]:
    """Pairs of categories of these sizes; the n-th of a category has n of 100 points right."""
    return [
        Judged(
            replace(make_pair(f"{category}{number}-x"), category=category),
            Match(np.zeros((3, 2)), np.full(3, 0.5)),
            (True,) * number + (False,) * (100 - number),
        )
        for category, size in sizes.items()
        for number in range(size)
    ]


def test_a_sample_is_spread_over_categories_with_the_best_and_the_worst_of_each() -> None:
    pairs = many(cat=50, bus=90, owl=3)
    kept = chosen(pairs, 20)
    by_category = {
        name: [each.fraction for each in kept if each.pair.category == name] for name in ("cat", "bus", "owl")
    }
    assert {name: len(shares) for name, shares in by_category.items()} == {"cat": 9, "bus": 8, "owl": 3}
    assert (by_category["cat"][0], by_category["cat"][-1]) == (0, 0.49)
    assert (by_category["bus"][0], by_category["bus"][-1]) == (0, 0.89)
    assert [pairs.index(each) for each in kept] == sorted(pairs.index(each) for each in kept)
    assert chosen(pairs, 143) == pairs and chosen(pairs, 0) == []


def test_right_is_what_the_protocol_says_and_unknown_where_there_is_no_truth() -> None:
    half = make_pair("a-b", points=3, target_points=[[1, 1], [np.nan, np.nan], [3, 3]])
    answer = Match(np.array([[1, 11], [2, 2], [3, 14]]), np.ones(3))  # 10 pixels are right, see tallies
    (found, sure) = judged(
        [record([(half, answer), missed(make_pair("a-c", points=2), [0, 30])])], protocol_named("standard")
    )
    assert found.right == (True, None, False) and found.fraction == 0.5 and sure.right == (True, False)
    blind = make_pair("a-d", points=1, target_points=[[np.nan, np.nan]])
    (unknown,) = judged([record([(blind, Match(np.ones((1, 2)), np.ones(1)))])], protocol_named("standard"))
    assert unknown.right == (None,) and unknown.fraction is None


def stored(folder, pairs: int = 4, cells: int = 4) -> PredictionStore:
    """One source image, whose pairs ask for the same points, with maps."""
    draws = np.random.default_rng(0)
    source = draws.random((3, 2, cells, cells), dtype=np.float32)
    predictions = []
    for number in range(pairs):
        pair = make_pair(f"s-t{number}", source_points=[[1, 2], [3, 4], [5, 6]])
        maps = AttentionMaps(("fine", "combined"), source, draws.random((3, 2, cells, cells), dtype=np.float32))
        predictions.append((pair, Match(pair.true_points, draws.random(3), maps)))
    return write_records(folder, [UnitRecord("spair", "test", "prompt", "s", 1.0, tuple(predictions))])


def picture(key: str) -> Image.Image:
    if key == "t2":
        raise UserError("The image is damaged.")
    return Image.new("RGB", (8, 8))


def test_what_pairs_share_is_held_once(tmp_path) -> None:
    store = stored(tmp_path)
    found = gallery(store, "prompt", judged(store.records("prompt"), protocol_named("standard")), picture, SILENT)
    assert len(found["images"]) == 5 and len(found["sources"]) == 1 and found["layers"] == ("fine", "combined")
    assert [pair["maps"]["rows"] for pair in found["pairs"]] == [[0, 1, 2]] * 4
    assert len({pair["maps"]["target"] for pair in found["pairs"]}) == 4
    assert [image["url"] == NO_PICTURE for image in found["images"]] == [False, False, False, True, False]
    assert (found["images"][0]["width"], found["images"][0]["height"]) == (100, 50)  # of the original
    point = dict(
        zip(
            ["x", "y", "to_x", "to_y", "true_x", "true_y", "right", "sure", "name", "hidden", "missing"],
            found["pairs"][0]["points"][1],
            strict=True,
        )
    )
    assert (point["x"], point["y"], point["right"]) == (3, 4, True) and found["names"][point["name"]] == "part 1"


def test_what_a_consensus_has_weighed_is_told(tmp_path) -> None:
    """A point without a second peak has one candidate."""
    pair = make_pair("s-t", source_points=[[1, 2], [3, 4], [5, 6]])
    shares = np.array([[0.4, 0.6], [1, 0], [0.75, 0.25]], dtype=np.float32)
    places, votes = np.full((3, 2, 2), 7.25, np.float32), np.array([[0, -1.5]] * 3, dtype=np.float32)
    grid = np.zeros((2, 2, 2), np.float32)
    maps = np.zeros((3, 1, 4, 4), np.float32)
    weighed = AttentionMaps(("combined",), maps, maps, Ballot(places, shares, votes, grid))
    record = UnitRecord("spair", "test", "prompt", "s", 1.0, ((pair, Match(pair.true_points, np.ones(3), weighed)),))
    store = write_records(tmp_path, [record])
    found = gallery(store, "prompt", judged(store.records("prompt"), protocol_named("standard")), None, SILENT)
    told = found["pairs"][0]["ballot"]
    assert told["candidates"][0] == [[7.2, 7.2, 0.4, 0], [7.2, 7.2, 0.6, -1.5]]
    assert [len(each) for each in told["candidates"]] == [2, 1, 2] and told["grid"] == [[[0, 0], [0, 0]]] * 2


def test_a_hidden_point_is_neither_right_nor_wrong(tmp_path) -> None:
    pair = make_pair("a-b", points=2, visible=[True, False], hidden=[False, True])
    store = write_records(tmp_path, [record([(pair, Match(np.nan_to_num(pair.true_points), np.ones(2)))])])
    found = gallery(store, "prompt", judged(store.records("prompt"), protocol_named("standard")), None, SILENT)
    assert [point[6] for point in found["pairs"][0]["points"]] == [True, None]
    assert [point[9] for point in found["pairs"][0]["points"]] == [False, True]
    assert found["pairs"][0]["fraction"] == 1


def test_a_run_without_maps_or_pictures_is_shown_too(tmp_path) -> None:
    store = write_records(tmp_path, [record([missed(make_pair("a-b"), [0, 0, 30])])])
    found = gallery(store, "prompt", judged(store.records("prompt"), protocol_named("standard")), None, SILENT)
    assert found["pairs"][0]["maps"] is None and found["layers"] == () and found["sources"] == []
    assert {image["url"] for image in found["images"]} == {NO_PICTURE}


@pytest.mark.parametrize("room", [A_PAIR, 12_000])
def test_a_gallery_keeps_to_its_size(tmp_path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    monkeypatch.setattr("sdcorr.report.gallery.A_PAIR", room)
    monkeypatch.setattr("sdcorr.report.gallery.AT_LEAST", 0)
    store, draws = stored(tmp_path, pairs=12, cells=32), np.random.default_rng(0)

    def noise(key: str) -> Image.Image:
        return Image.fromarray(draws.integers(0, 256, (30, 40, 3), dtype=np.uint8)).resize((640, 480))

    found = gallery(store, "prompt", judged(store.records("prompt"), protocol_named("standard")), noise, SILENT)
    assert len(json.dumps(found)) <= 12 * room * 1.02  # the frame round it is not counted
    assert AT_LEAST == 1_000 * A_PAIR < 24_500_000
