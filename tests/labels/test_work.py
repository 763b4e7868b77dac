"""The loop and its folder, on pictures whose right answers are plain."""

import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from sdcorr.errors import UserError
from sdcorr.labels.filters import Filters
from sdcorr.labels.folder import SCHEMA, LabelFolder, costs, kept_rows, parts, read_labels, read_settings
from sdcorr.labels.work import Extent, finish, label, pictures_of, units_of
from tests.labels.fakes import EXTENT, Blobs, Colors, labeler_of

FILTERS = Filters(way_back=0.2)
SETTINGS = {"dataset": {"name": "blobs"}, "method": {"kind": "x.Colors", "settings": {}}}


def run(
    folder: Path, blobs: Blobs, method: Colors, extent=EXTENT, settings=SETTINGS, filters=FILTERS, **share
) -> LabelFolder:
    groups, digests, _ = pictures_of(blobs, extent)
    store = LabelFolder(folder, settings, filters, digests)
    label(units_of(groups, extent), lambda: labeler_of(blobs, method, extent), store, **share)
    return store


def rows(folder: Path) -> list[dict]:
    """All labels in one order; None for NaN, which is unlike itself."""
    listed = read_labels(folder).to_pylist()
    found = [{name: None if value != value else value for name, value in row.items()} for row in listed]
    return sorted(found, key=lambda row: (row["track"], row["target"]))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Everything, labeled at one go; no annotation was looked at, for asking for one fails."""
    folder = tmp_path_factory.mktemp("labels")
    run(folder, Blobs(), Colors())
    return folder


def test_every_point_of_every_source_is_followed_to_all_others(whole):
    found = rows(whole)
    assert len(found) == 4 * 4 * 3  # points, sources, targets
    assert {(row["source"], row["target"]) for row in found} == {(a, b) for a in "abcd" for b in "abcd" if a != b}
    assert {row["category"] for row in found} == {"blobs"}
    assert len({(row["track"], row["target"]) for row in found}) == len(found)


def test_points_are_on_squares_and_matches_on_squares_of_the_same_color(whole):
    blobs = Blobs()
    for row in kept_rows(whole):
        square = [
            next(
                number
                for number, (x, y) in enumerate(blobs.places(row[side]))
                if x <= row[f"{side}_x"] <= x + 16 and y <= row[f"{side}_y"] <= y + 16
            )
            for side in ("source", "target")
        ]
        assert square[0] == square[1]


def test_what_is_kept_passes_the_filters(whole):
    found = rows(whole)
    assert [row["kept"] for row in found] == [row["way_back"] <= np.float32(0.2) for row in found]
    assert sum(row["kept"] for row in found) > 0
    assert found[0]["restarts"] is None  # this method has none
    assert all(row["on_object"] > 1 for row in found if row["kept"])


def test_parts_are_plain_parquet_that_says_what_it_cost(whole):
    table = pq.read_table(parts(whole)[0])
    assert table.schema.remove_metadata() == SCHEMA
    assert [each.targets for each in costs(whole)] == [3] * 4
    assert all(each.cpu_seconds > 0 for each in costs(whole))


def test_a_kill_loses_at_most_one_source_and_nothing_is_labeled_twice(tmp_path, whole):
    blobs, first, second = Blobs(), Colors(), Colors()
    first.stop_after = 5  # in the second source
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, blobs, first)
    assert len(parts(tmp_path)) == 1
    run(tmp_path, blobs, second)
    assert set(first.matched[:3]).isdisjoint(second.matched)
    assert len(second.matched) == 3 * 3
    assert rows(tmp_path) == rows(whole)
    again = Colors()
    run(tmp_path, blobs, again)
    assert again.matched == []


def test_two_shares_give_the_same_as_one(tmp_path, whole):
    made = [Colors(), Colors()]
    for rank, method in enumerate(made):
        run(tmp_path, Blobs(), method, rank=rank, world_size=2)
    assert [len(method.matched) for method in made] == [6, 6]
    assert rows(tmp_path) == rows(whole)


def test_the_first_rank_makes_what_a_dead_one_left(tmp_path, whole):
    blobs = Blobs()
    store = run(tmp_path, blobs, Colors(), rank=0, world_size=2)
    groups, _, _ = pictures_of(blobs, EXTENT)
    alone = {"alone": lambda: True, "console": Console(quiet=True)}
    finish(units_of(groups, EXTENT), lambda: labeler_of(blobs, Colors()), store, **alone)
    assert rows(tmp_path) == rows(whole)


def test_other_settings_in_the_same_folder_are_refused(tmp_path):
    run(tmp_path, Blobs("ab"), Colors())
    other = SETTINGS | {"method": {"kind": "x.Colors", "settings": {"steps": 3}}}
    with pytest.raises(UserError, match=r"method.settings.steps is absent there and 3 here"):
        run(tmp_path, Blobs("ab"), Colors(), settings=other)


def test_with_other_filters_nothing_is_matched_again_and_others_are_kept(tmp_path, whole):
    run(tmp_path, Blobs(), Colors())
    method, filters = Colors(), Filters(way_back=0.2, on_object=20)
    store = run(tmp_path, Blobs(), method, filters=filters)
    groups, _, _ = pictures_of(Blobs(), EXTENT)
    assert store.filter_anew(units_of(groups, EXTENT)) == 4
    assert store.filter_anew(units_of(groups, EXTENT)) == 0
    assert method.matched == []
    found = rows(tmp_path)
    assert [row["kept"] for row in found] == [row["kept"] and row["on_object"] >= 20 for row in rows(whole)]
    assert 0 < sum(row["kept"] for row in found) < sum(row["kept"] for row in rows(whole))
    assert read_settings(tmp_path)["filters"]["on_object"] == 20
    run(tmp_path, Blobs(), method, filters=filters)  # the folder is that of the new filters


def test_a_replaced_picture_is_labeled_anew_wherever_it_had_a_part(tmp_path):
    blobs = Blobs("abc")
    extent = replace(EXTENT, sources=2, targets=1)
    run(tmp_path, blobs, Colors(), extent)
    before = {row["source"]: row["target"] for row in rows(tmp_path)}
    changed = before["a"]
    blobs.seeds[changed] = 77
    method = Colors()
    run(tmp_path, blobs, method, extent)
    assert {source for source, _ in method.matched} == {s for s in "ab" if changed in (s, before[s])}


def test_a_part_that_is_damaged_is_made_anew(tmp_path, whole):
    run(tmp_path, Blobs(), Colors())
    parts(tmp_path)[0].write_bytes(b"PAR1 torn")
    method = Colors()
    run(tmp_path, Blobs(), method)
    assert len(method.matched) == 3
    assert rows(tmp_path) == rows(whole)


def test_a_picture_that_cannot_be_read_costs_its_own_labels_alone(tmp_path, whole):
    blobs = Blobs()
    blobs.damaged = {"d"}  # known by its bytes, but no picture
    run(tmp_path, blobs, Colors())
    found = rows(tmp_path)
    assert {key for row in found for key in (row["source"], row["target"])} == set("abc")
    assert len(parts(tmp_path)) == 4  # one without a label: it is not tried again
    blobs.gone = {"d"}
    groups, digests, unread = pictures_of(blobs, EXTENT)
    assert groups == {"blobs": ("a", "b", "c")} and unread == ["d"] and set(digests) == set("abc")


def test_labels_of_pictures_that_have_gone_are_removed(tmp_path):
    store = run(tmp_path, Blobs("abc"), Colors())
    groups, _, _ = pictures_of(Blobs("ab"), EXTENT)
    assert store.clear(units_of(groups, EXTENT)) == 1
    assert {row["source"] for row in rows(tmp_path)} == set("ab")


def test_extent_takes_the_first_pictures_and_draws_targets_by_name():
    groups, _, _ = pictures_of(Blobs("abcdef"), replace(EXTENT, pictures=5))
    units = units_of(groups, replace(EXTENT, sources=3, targets=2))
    assert [unit.source for unit in units] == list("abc")
    assert all(len(set(unit.targets)) == 2 and unit.source not in unit.targets for unit in units)
    assert [unit.targets for unit in units] == [unit.targets for unit in units_of(groups, Extent(4, 0, 3, 2))]
    assert len({unit.targets for unit in units}) > 1
    with pytest.raises(UserError, match="points=0 is not legal"):
        Extent(0, 0, 0, 0)
    with pytest.raises(UserError, match="no group of two pictures"):
        pictures_of(Blobs("a"), EXTENT)


def test_without_pyarrow_one_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "sdcorr.parquet")
    with pytest.raises(UserError, match=r"pip install 'sdcorr\[labels\]'"):
        import_module("sdcorr.parquet")
