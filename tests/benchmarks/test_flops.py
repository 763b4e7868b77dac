"""Counts of FLOPs: those that are known of Stable Diffusion 1.4, and how often the library runs the network."""

from dataclasses import replace

import pytest
from flops import Case, PartFlops, hours, library_calls, part_flops, released_calls, report, units_of
from shapes import load, model_named

from sdcorr.diffusion.flops import encode_flops, map_flops
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.speed.work import work_of

SMALL = Case("small", images=3, targets=2, points=2, total=12)
SETTINGS = PromptSettings(steps=6, restarts=2, transfer_crops=6)


@pytest.fixture(scope="module")
def parts() -> PartFlops:
    return part_flops(model_named("sd14"))


def test_a_step_of_stable_diffusion(parts):
    """Found independently, with the same counter: 803.3, 479.4, 470.5, 40.9 and 1116.7 GFLOP."""
    counted = [parts.whole, parts.forward, parts.backward, parts.prelude, parts.encode]
    assert [flops / 1e9 for flops in counted] == pytest.approx([803.3, 479.4, 470.5, 40.9, 1116.7], abs=0.1)


def test_a_point_as_released(parts):
    calls = released_calls(PromptSettings())
    assert calls == {"steps": 645, "crops": 100, "encodes": 745}
    assert parts.total(**calls, truncate=False) / 1e12 == pytest.approx(1734, abs=1)


def test_a_total_by_hand():
    parts = PartFlops(whole=100, forward=60, backward=40, prelude=5, encode=200)
    assert parts.total(steps=3, crops=2, encodes=1) == 3 * 100 + 2 * 60 + 200
    assert parts.total(steps=3, crops=2, encodes=1, truncate=False) == 3 * 140 + 2 * 100 + 200


def test_the_library_optimizes_once_a_source_and_transfers_once_a_pair():
    calls = library_calls(SMALL, SETTINGS, across=False)
    assert calls["steps"] == 2 * 6 / 2  # restarts x steps, shared by two targets
    assert calls["crops"] == 2 * 6


def test_latents_are_shared_by_what_shares_a_crop():
    within, across = (library_calls(SMALL, SETTINGS, across=across) for across in (False, True))
    assert within["steps"] == across["steps"] and within["crops"] == across["crops"]
    assert across["encodes"] < within["encodes"] < within["steps"] + within["crops"]


def test_without_random_crops_a_picture_is_encoded_once():
    whole = replace(SETTINGS, optimize_crops=False, transfer_crops=1)
    assert library_calls(SMALL, whole, across=False)["encodes"] == 3 / 4  # source and two targets; four matches
    assert library_calls(SMALL, whole, across=True)["encodes"] == 3 / 12


def test_classes_of_images():
    units, pictures = units_of(SMALL, size=8)
    assert len(units) == 3 and set(pictures) == {unit.source for unit in units}
    assert [len(unit.targets) for unit in units] == [2, 2, 2]
    assert all(unit.points.shape == (2, 2) for unit in units)


def test_hours_on_an_h200():
    assert hours(0.4 * 790e12 * 3600) == pytest.approx(1)


def test_the_report_names_every_case():
    model = model_named("toybox")
    plain, page = report(replace(model, settings=replace(SETTINGS, crop=0.8)), [SMALL])
    assert [row["variant"] for row in plain["results"]] == [
        "as released",
        "library, latents kept within a source",
        "library, latents kept across a class",
        "the same, maxima anywhere",
    ]
    flops = [row["flops"] for row in plain["results"]]
    assert flops[0] > flops[1] > flops[2]
    assert f"{flops[0] / 1e12:,.1f}" in page and "estimate" in page


@pytest.mark.parametrize("across", [False, True])
def test_what_a_run_says_beforehand_is_what_it_does(across):
    case = Case("ten points", images=4, targets=3, points=10, total=120)
    settings = PromptSettings(steps=20, restarts=2, transfer_crops=8)
    units, _ = units_of(case, size=512)
    units = units if across else units[:1]
    said, matches = work_of(units, settings, 512), len(units) * 30
    done = library_calls(case, settings, across=across)
    assert (said.steps, said.crops) == (done["steps"] * matches, done["crops"] * matches)
    assert said.encodes == pytest.approx(done["encodes"] * matches, rel=0.15)


def test_a_step_is_counted_alike_by_a_run(parts):
    blueprint = load(model_named("sd14"), "meta")
    counted = map_flops(blueprint)
    assert [counted.forward, counted.backward] == pytest.approx([parts.forward, parts.backward], rel=1e-3)
    assert encode_flops(blueprint) == parts.encode
