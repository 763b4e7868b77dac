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
    "probe": "always",
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


def test_a_probe_needs_a_pool_of_crops():
    with pytest.raises(UserError, match="crop_pool=0 is not legal: give 4, say"):
        PromptSettings(probe=True)
    with pytest.raises(UserError, match="flip=0.5 is not legal: give 0"):
        PromptSettings(probe=True, crop_pool=4, flip=0.5)
    PromptSettings(probe=True, crop_pool=4)


def test_what_embeddings_depend_on():
    base = PromptSettings().of_optimization()
    assert "steps" in base and "shared_draws" in base and "crop" in base and "seed" in base
    for name, value in {"restarts": 1, "transfer_crops": 3, "localization": "soft_argmax", "window": 5}.items():
        assert replace(PromptSettings(), **{name: value}).of_optimization() == base
