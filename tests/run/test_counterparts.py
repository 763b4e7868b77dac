"""Counterparts found in drawings whose points have lost their names, and what scores make of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sdcorr.cli import build
from sdcorr.cli.compose import compose
from sdcorr.datasets import Match
from sdcorr.errors import UserError
from sdcorr.run.counterparts import find_sides, taken
from sdcorr.run.found_sides import FILE, FoundSides, read_sides, write_sides
from sdcorr.run.records import UnitRecord
from sdcorr.scoring.arrays import collect
from sdcorr.scoring.metrics.mirror import mirror_hits
from sdcorr.scoring.protocols import protocol_named
from sdcorr.toybox.dataset import Toybox
from tests.run.fakes import make_pair

NAMES = {"left claw": "1", "right claw": "2", "left eye": "3", "right eye": "4", "left foot": "5", "right foot": "6"}


class NamelessCrabs(Toybox):
    """The crabs of val, whose points have numbers for names."""

    name = "nameless"

    def __init__(self) -> None:
        super().__init__(split="val")
        crabs = [pair for pair in self.pairs if pair.category == "crab"]
        self.pairs = tuple(replace(pair, names=tuple(NAMES.get(name, "7") for name in pair.names)) for pair in crabs)


@pytest.mark.slow
def test_of_nameless_crabs_both_claws_eyes_and_feet_are_found(tmp_path: Path) -> None:
    words = ["methods=[unet_features]", "method.draws=1", "method.timestep=261", "embeddings=null"]
    entry = build.only_method(compose("eval", *words), "nameless")
    entry.method.prepare()
    found = find_sides(NamelessCrabs(), entry.method)
    assert {each.names for each in found} == {("1", "2"), ("3", "4"), ("5", "6")}
    assert all(each.category == "crab" and 3 <= each.found <= each.pictures == 14 for each in found)
    write_sides(tmp_path, found, "unet_features")
    assert read_sides(tmp_path) == found and '"found, not annotated"' in (tmp_path / FILE).read_text()


def test_what_is_rare_or_has_a_better_counterpart_is_not_taken() -> None:
    linked = {("cat", "a", "b"): 6, ("cat", "b", "c"): 5, ("cat", "d", "e"): 2, ("cat", "f", "g"): 2}
    seen = dict.fromkeys(linked, 10) | {("cat", "f", "g"): 2}
    assert taken(linked, seen) == [FoundSides("cat", ("a", "b"), 6, 10)]


def test_a_method_without_features_cannot_find_any() -> None:
    entry = build.only_method(compose("eval", "methods=[same_pixel]", "embeddings=null"), "toybox")
    with pytest.raises(UserError, match="counterparts=true stands on a method with features"):
        find_sides(Toybox(split="demo"), entry.method)


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    assert read_sides(tmp_path) == []
    (tmp_path / FILE).write_text('{"format": "another"}')
    with pytest.raises(UserError, match=r"counterparts\.json is no whole record.*delete it"):
        read_sides(tmp_path)


def test_scores_heed_what_was_found_where_nothing_is_annotated() -> None:
    """The first point is found where the second is."""
    hits = {}
    for names in (("1", "2"), ("left ear", "right ear"), ("left ear", "nose")):
        pair = replace(make_pair("a-b", points=2), names=names)
        found = Match([pair.true_points[1], pair.true_points[1]], [0.5, 0.5])
        record = UnitRecord("folder", "all", "method", pair.source, 1.0, ((pair, found),))
        arrays = collect([record], [FoundSides(pair.category, ("1", "2"), 5, 9)])
        told = mirror_hits(arrays, protocol_named("standard", "folder"), [0.01])[:, 0]
        hits[names] = told.tolist(), len(arrays.heeded)
    assert hits["1", "2"] == ([1, 0], 1)
    assert hits["left ear", "right ear"] == ([1, 0], 0)  # annotated
    assert np.isnan(hits["left ear", "nose"][0]).all()  # annotated as well: nobody asks for the other ear
