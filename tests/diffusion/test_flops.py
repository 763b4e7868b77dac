"""Counts on a blueprint are those of the model; how they are made is torch's affair."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.diffusion.flops import attend_flops, encode_flops, feature_flops, feature_rate, map_flops, rate, step_rate
from sdcorr.diffusion.joint import JointDiffusion
from tests.diffusion.joint.models import save_joint
from tests.models import save_two_level


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_two_level(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def blueprint(folder: str) -> FrozenDiffusion:
    return FrozenDiffusion.load(folder, device="meta", truncate=False)


def test_a_blueprint_reads_no_weights(folder: str, blueprint: FrozenDiffusion) -> None:
    assert blueprint.device.type == "meta" and all(each.is_meta for each in blueprint.parameters())
    assert blueprint.layers == FrozenDiffusion.load(folder).layers


def test_passes_are_those_of_the_model(folder: str, blueprint: FrozenDiffusion) -> None:
    model = FrozenDiffusion.load(folder, truncate=False)
    noisy = torch.zeros(1, 4, 16, 16)
    prompt = torch.zeros(1, 24, 64, requires_grad=True)
    with sdpa_kernel(SDPBackend.MATH):  # of a CPU's fused attention torch counts nothing
        with FlopCounterMode(display=False) as forward:
            maps = model.attention_maps(noisy, 0, prompt, heads="all")
        with FlopCounterMode(display=False) as backward:
            torch.stack([each.sum() for each in maps]).sum().backward()
        with FlopCounterMode(display=False) as encode:
            model.encode(torch.zeros(1, 3, 64, 64))
        with FlopCounterMode(display=False) as features:
            model.features(noisy, 0, prompt.detach(), ["up_blocks.0"])
    counted = map_flops(blueprint)
    assert counted.forward == forward.get_total_flops() > 0 and counted.backward == backward.get_total_flops() > 0
    assert counted.step == counted.forward + counted.backward
    assert encode_flops(blueprint) == encode.get_total_flops() > 0
    assert feature_flops(blueprint, "up_blocks.0") == features.get_total_flops() > 0
    assert 0 < attend_flops(blueprint).step < counted.step


@pytest.mark.parametrize("family", ["sd3_medium", "flux_dev"])
def test_joint_attention(family: str, tmp_path: Path) -> None:
    name = str(save_joint(tmp_path, family))
    layers = ["transformer_blocks.0.attn"]
    model, blueprint = (JointDiffusion.load(name, layers=layers, device=device) for device in ("cpu", "meta"))
    side = model.latent_size
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        model.attention_maps(
            torch.zeros(1, model.latent_channels, side, side), 0, torch.zeros(1, model.tokens, model.width), heads="all"
        )
    assert blueprint.device.type == "meta" and map_flops(blueprint).forward == forward.get_total_flops() > 0
    assert encode_flops(blueprint) > 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """How long each piece of work takes by the clock, in seconds; the last for all that follow."""
    taken = [0.25]
    readings = (reading for number in count() for reading in (0.0, taken[min(number, len(taken) - 1)]))
    monkeypatch.setattr("sdcorr.diffusion.flops.time.perf_counter", lambda: next(readings))
    yield taken


def test_a_rate_is_that_of_the_quickest_trial(clock: list[float]) -> None:
    clock[:] = [0.4, 0.05, 0.1, 0.2, 0.3]
    done: list[int] = []
    assert rate(lambda: done.append(1), 1e9, torch.device("cpu")) == 1e9 / 0.05
    assert len(done) == 3  # after half a second, 0.4 + 0.05 + 0.1


def test_slow_work_is_tried_twice(clock: list[float]) -> None:
    clock[:] = [9.0, 8.0]
    assert rate(lambda: None, 1e9, torch.device("cpu")) == 1e9 / 8.0


def test_a_models_rate_is_that_of_its_own_steps(folder: str, blueprint: FrozenDiffusion, clock: list[float]) -> None:
    model = FrozenDiffusion.load(folder, truncate=False)
    assert step_rate(model, blueprint) == map_flops(blueprint).step / 0.25
    assert feature_rate(model, blueprint, "up_blocks.0") == feature_flops(blueprint, "up_blocks.0") / 0.25
    assert all(each.grad is None for each in model.parameters())
