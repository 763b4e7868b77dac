from dataclasses import fields, replace

import pytest

from sdcorr.errors import UserError
from sdcorr.prompt.settings import PromptSettings

ILLEGAL = {
    "timestep": -1,
    "transfer_timestep": 40.5,
    "noise": "gaussian",
    "heads": "first_half",
    "token": None,
    "sigma": 0,
    "learning_rate": "fast",
    "adam_eps": -1e-8,
    "steps": 0,
    "restarts": 2.0,
    "optimize_crops": "yes",
    "flip": 1.5,
    "plateau": 1,
    "crop": 0,
    "crop_margin": 0.5,
    "crop_pool": -1,
    "shared_draws": None,
    "transfer_crops": 0,
    "adaptive_crops": 1,
    "combination": "max",
    "localization": "centroid",
    "window": -4,
    "seed": "lucky",
    "queries_per_batch": -1,
}


def test_every_setting_is_checked():
    assert set(ILLEGAL) == {field.name for field in fields(PromptSettings)}


@pytest.mark.parametrize("name", ILLEGAL)
def test_illegal_value_is_named(name):
    with pytest.raises(UserError, match=rf"method\.{name}={ILLEGAL[name]!r} is not legal: give \w+"):
        replace(PromptSettings(), **{name: ILLEGAL[name]})


@pytest.mark.parametrize("heads", [[], [0.5], [-1], ["all"], 4])
def test_illegal_heads(heads):
    with pytest.raises(UserError, match="last_half, all or a list of head numbers"):
        PromptSettings(heads=heads)


def test_legal_edges():
    PromptSettings(timestep=0, token=0, heads=[3, 1], flip=1, crop=1, crop_margin=0, steps=1, restarts=1, sigma=1)


@pytest.mark.parametrize("crop, side", [(0.9316549294381423, 477), (1.0, 512), (0.3, 153)])
def test_sides_of_crops_are_rounded_down(crop, side):
    settings = PromptSettings(crop=crop)
    assert settings.optimize_side(512) == settings.transfer_side(512) == side
    assert replace(settings, optimize_crops=False).optimize_side(512) == 512
    assert replace(settings, transfer_crops=1).transfer_side(512) == 512


def test_what_embeddings_depend_on():
    base = PromptSettings().of_optimization()
    assert "steps" in base and "shared_draws" in base and "crop" in base and "seed" in base
    for name, value in {"restarts": 1, "transfer_crops": 3, "localization": "soft_argmax", "window": 5}.items():
        assert replace(PromptSettings(), **{name: value}).of_optimization() == base
