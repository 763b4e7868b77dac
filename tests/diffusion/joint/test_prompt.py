"""The prompt method, unchanged, on models with joint attention. Weights are random: nothing is said of accuracy."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback

from sdcorr.datasets.base import SourceUnit, group_by_source
from sdcorr.diffusion.joint import JointDiffusion
from sdcorr.errors import UserError
from sdcorr.methods.prompt_units import match_unit
from sdcorr.methods.unet_features import UNetFeatures
from sdcorr.prompt import PromptSettings
from sdcorr.prompt.module import run
from sdcorr.prompt.speed import FastMatcher, ReadOnceMatcher, ReadOnceSettings
from sdcorr.toybox.dataset import Toybox
from tests.diffusion.joint.models import FAMILIES, save_joint
from tests.methods.test_unet_features import Given

SETTINGS = PromptSettings(
    timestep=100,
    transfer_timestep=100,
    noise="normal",
    heads="all",
    sigma=20.0,
    learning_rate=0.1,
    steps=30,
    restarts=2,
    transfer_crops=5,
)
BOX = Toybox("demo")


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> JointDiffusion:
    folder = save_joint(tmp_path_factory.mktemp(request.param), request.param)
    return JointDiffusion.load(str(folder), layers=["transformer_blocks.1.attn"], tokens=8)


@pytest.fixture(scope="module")
def unit() -> SourceUnit:
    """A drawing with two points, and one target."""
    whole = group_by_source(BOX.pairs)[0]
    pair = whole.targets[0].pair
    (unit,) = group_by_source([replace(pair, visible=pair.visible & (pair.visible.cumsum() <= 2))])
    return unit


def matcher_of(model: JointDiffusion, read_once: bool, **changes: Any) -> FastMatcher:
    settings = replace(SETTINGS, **changes)
    if read_once:
        return ReadOnceMatcher(model, ReadOnceSettings(**asdict(settings)), "toybox")
    return FastMatcher(model, settings, "toybox")


@pytest.mark.parametrize("read_once", [False, True])
def test_the_loss_falls(model, unit, read_once):
    matcher = matcher_of(model, read_once, crop_pool=3 if read_once else 0)
    module, crops = matcher.problem(BOX.image(unit.source), unit.points, unit.source)
    seen: list[float] = []
    run(module, crops, lambda step, loss: seen.append(loss.item() / len(crops.queries)))
    assert len(seen) == 30
    assert np.mean(seen[-5:]) < 0.9 * seen[0]  # it falls by 14 to 32 %


def test_the_map_rises_at_the_point(model, unit):
    matcher = matcher_of(model, read_once=False, steps=60)
    picture, key = BOX.image(unit.source), unit.source
    embeddings = matcher.optimize(picture, unit.points, key)
    start = matcher.draws.embeddings(matcher.queries(unit.points, key), model.tokens, model.width)
    x, y = np.rint(unit.points * model.image_size / picture.size).astype(int).T
    before, after = (
        matcher.source_maps(picture, each.view_as(embeddings), unit.points, key).mean(1)[[0, 1], y, x]
        for each in (start, embeddings)
    )
    assert (after > 2 * before).all()


@pytest.mark.parametrize("read_once", [False, True])
def test_two_drawings_from_end_to_end(model, unit, read_once):
    matcher = matcher_of(model, read_once, steps=3, crop_pool=2)
    ((pair, match),) = match_unit(matcher, unit, BOX.image, map_cells=8)
    assert match.points.shape == (2, 2) and match.confidence.shape == (2,)
    assert (match.points >= 0).all() and (match.points <= pair.target_size).all()
    assert match.maps.layers == (*model.layers, "combined")
    assert np.isfinite(match.maps.source).all() and match.maps.source.std() > 0


def test_batches_and_a_trainer_change_no_embedding(model, unit):
    picture = BOX.image(unit.source)
    together = matcher_of(model, False, steps=3).optimize(picture, unit.points, unit.source)
    apart = matcher_of(model, False, steps=3, queries_per_batch=1)
    torch.testing.assert_close(apart.optimize(picture, unit.points, unit.source), together, rtol=0, atol=2e-3)
    trained = matcher_of(model, False, steps=3).optimize(picture, unit.points, unit.source, [Callback()])
    assert torch.equal(trained, together)


def test_timesteps_end_with_the_schedule(model):
    with pytest.raises(UserError, match="method.timestep=1000 is not in this model: give 0 to 999"):
        matcher_of(model, False, timestep=1000)


def test_features_are_a_method_too(model, unit):
    method = UNetFeatures(Given(model), "transformer_blocks.0", timestep=100, draws=1)
    ((pair, match),) = method.match(unit, BOX.image)
    assert (match.points >= 0).all() and (match.points <= pair.target_size).all()
