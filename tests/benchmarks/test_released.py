"""The imitation of the released computation, and every step from there to the library: the same answer."""

from dataclasses import fields, replace
from functools import cache
from itertools import pairwise

import pytest
import torch
from bars import AS_RELEASED, LIBRARY, Bar, ladder, passes, sampled, solve
from explicit import MapReader
from measure import Work
from problem import compare, make_unit
from released import Released, Savings, full_size_loss

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.prompt.objective import map_loss
from sdcorr.prompt.settings import PromptSettings
from tests import models

SETTINGS = PromptSettings(sigma=4.0, steps=2, restarts=2, transfer_crops=3, crop=0.8, learning_rate=0.01)
RUNGS = [bar for bar in ladder() if bar.savings is not None]
ALONE = [Bar(f"{name} alone", Savings(**{name: True})) for name in ("once_per_source", "one_batch")]


@pytest.fixture
def load(two_level_folder):
    """A fresh model, for the imitation takes its model over."""
    return lambda truncate=True: FrozenDiffusion.load(
        str(two_level_folder), layers=models.TWO_LEVEL_LAYERS, truncate=truncate
    )


@pytest.fixture(scope="module")
def unit():
    return make_unit(points=2, targets=2)


@pytest.fixture(scope="module")
def solved(two_level_folder, unit):
    """A bar's answer and the work that it took, each done once."""

    @cache
    def solved(bar):
        folder, work = str(two_level_folder), Work()
        backbone = FrozenDiffusion.load(folder, layers=models.TWO_LEVEL_LAYERS, truncate=bar.truncated)
        answer, multiply = solve(bar, backbone, SETTINGS, unit, 0, work)
        assert multiply == 1
        return answer, work

    return solved


@pytest.mark.parametrize("bar", RUNGS + ALONE, ids=lambda bar: bar.name)
def test_every_way_gives_the_librarys_answer(bar, solved, unit):
    answer, work = solved(bar)
    agreement = compare(answer, solved(LIBRARY)[0])
    assert agreement.compared == 4 and agreement.right == 1
    assert agreement.embeddings < 1e-4  # rounding, which Adam enlarges where a gradient is near its eps
    assert agreement.maps < 1e-6
    assert work.passes == passes(bar, SETTINGS, unit, 0)


def test_as_released_everything_is_done_for_every_pair_and_encoded_every_time(solved):
    steps, crops = 2 * 2 * 2 * 2, 2 * 2 * 2 * 3  # pairs x points x restarts x each
    assert solved(AS_RELEASED)[1] == {"steps": steps, "crops": crops, "encodes": steps + crops}


def test_the_library_does_a_part_of_it(solved):
    library, best = solved(LIBRARY)[1], solved(RUNGS[-1])[1]
    assert best["crops"] == library["crops"] and best["encodes"] == library["encodes"]
    assert best["steps"] == 2 * 2 * 2 <= library["steps"] <= 2 * 2 * 2 + 1  # one to see what a query takes


def test_a_step_down_the_ladder_never_adds_work(solved):
    counts = [[solved(bar)[1][kind] for kind in ("steps", "crops", "encodes")] for bar in RUNGS]
    for before, after in pairwise(counts):
        assert all(a >= b for a, b in zip(before, after, strict=True))
    encodes = {
        bar.name: (before[2], after[2]) for bar, before, after in zip(RUNGS[1:], counts, counts[1:], strict=False)
    }
    for saves in ("+ VAE once a crop", "+ optimized once a source point", "+ latents shared by all points"):
        assert encodes[saves][1] < encodes[saves][0]


def test_a_sample_does_some_of_the_equal_parts(load, unit, solved):
    work = Work()
    answer, multiply = solve(AS_RELEASED, load(truncate=False), SETTINGS, unit, 2, work)
    assert multiply == 2
    assert set(answer.points) == {("target-0", 0), ("target-1", 0)}  # two of four, evenly spread
    assert compare(answer, solved(LIBRARY)[0]).right == 1
    assert work.passes == passes(AS_RELEASED, SETTINGS, unit, 2) == 2 * 2 * (2 + 3)


def test_parts_that_share_something_are_not_sampled(load, unit):
    bar = next(bar for bar in RUNGS if bar.savings.once_per_source)
    work = Work()
    _, multiply = solve(bar, load(), SETTINGS, unit, 1, work)
    assert multiply == 1 and work["steps"] == 2 * 2 * 2


@pytest.mark.parametrize(
    ("sample", "chosen"), [(0, [0, 1, 2, 3, 4]), (2, [0, 2]), (5, [0, 1, 2, 3, 4]), (9, [0, 1, 2, 3, 4])]
)
def test_samples_are_spread(sample, chosen):
    assert sampled(range(5), sample) == chosen


def test_the_ladder_switches_one_thing_on_at_a_time():
    for before, after in pairwise(RUNGS):
        changed = [f.name for f in fields(Savings) if getattr(before.savings, f.name) != getattr(after.savings, f.name)]
        assert len(changed) == 1 and getattr(after.savings, changed[0])
    assert all(getattr(RUNGS[-1].savings, field.name) for field in fields(Savings))
    assert [bar.precision for bar in ladder(["bf16"])[-2:]] == ["fp32", "bf16"]


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("stop", [True, False])
def test_maps_and_gradients_are_the_librarys(load, small_backbone, explicit, stop):
    torch.manual_seed(0)
    noisy, embeddings = torch.randn(2, 4, 16, 16), torch.randn(2, 24, 64, requires_grad=True)
    reader = MapReader(load(truncate=stop), SETTINGS, explicit=explicit, stop=stop)
    ours = reader.read(noisy, 140, embeddings)
    wanted = small_backbone.attention_maps(noisy, 140, embeddings)
    for a, b in zip(ours, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
        gradients = [torch.autograd.grad(m.square().sum(), embeddings, retain_graph=True)[0] for m in (a, b)]
        torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-6)


def test_the_whole_unet_runs_unless_it_stops(load):
    reached = []
    for stop in (False, True):
        backbone = load(truncate=False)
        backbone.unet.conv_out.register_forward_hook(lambda *_, stop=stop: reached.append(stop))
        reader = MapReader(backbone, SETTINGS, explicit=True, stop=stop)
        with torch.no_grad():
            reader.read(torch.zeros(1, 4, 16, 16), 140, torch.zeros(1, 24, 64))
    assert reached == [False]


def test_only_the_fused_way_calls_the_fused_kernel(load, monkeypatch):
    called = []
    kernel = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional, "scaled_dot_product_attention", lambda *a, **k: called.append(1) or kernel(*a, **k)
    )
    for explicit in (True, False):
        backbone = load(truncate=False)
        reader = MapReader(backbone, SETTINGS, explicit=explicit, stop=False)
        with torch.no_grad():
            backbone.encode(torch.zeros(1, 3, 64, 64))
            reader.read(torch.zeros(1, 4, 16, 16), 140, torch.zeros(1, 24, 64))
        assert bool(called) != explicit


def test_the_full_size_loss_is_the_closed_form():
    torch.manual_seed(0)
    maps = [torch.rand(3, 2, grid, grid, dtype=torch.float64) for grid in (4, 8)]
    centers = torch.rand(3, 2, dtype=torch.float64) * 32
    torch.testing.assert_close(full_size_loss(maps, centers, 32, 3.0), map_loss(maps, centers, 32, 3.0))


@pytest.mark.parametrize("change", [{"crop_pool": 4}, {"plateau": 0.1}, {"adaptive_crops": False}])
def test_settings_that_released_code_does_not_know_are_refused(load, change):
    with pytest.raises(ValueError, match="not part of the released code"):
        Released(load(), replace(SETTINGS, **change), "test", Savings(), Work())
