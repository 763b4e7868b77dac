"""The models of configs/model: what they take from the table of families, and what has the last word over it."""

import pytest
from omegaconf import OmegaConf

from sdcorr.cli.compose import compose
from sdcorr.cli.configs import CONFIGS
from sdcorr.diffusion.families import FAMILIES, family_defaults


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_a_model(family):
    assert (CONFIGS / "model" / f"{family}.yaml").is_file()
    model = OmegaConf.to_container(compose("eval", f"model={family}").model, resolve=True)
    assert (model["name"], model["path"]) == (family, FAMILIES[family].path)
    assert tuple(model["layers"]) == FAMILIES[family].layers
    assert model["methods"] == family_defaults(family)


def test_settings_of_the_released_code():
    settings = compose("eval", "model=sd14").method
    assert (settings.sigma, settings.window, settings.heads, settings.steps) == (
        27.97853316316864,
        28,
        "last_half",
        129,
    )


def test_lengths_follow_the_image():
    settings = compose("eval", "model=sdxl", "model.image_size=512").method
    assert (settings.sigma, settings.window) == (27.97853316316864, 28)


def test_another_family_brings_its_own_of_everything():
    """What is done with the family that a folder turns out to be of."""
    cfg = compose("eval", "model=sd14", "model.path=FOLDER", "model.family=tiny_sd")
    assert cfg.model.path == "FOLDER" and cfg.model.name == "tiny_sd"
    assert list(cfg.model.layers) == list(FAMILIES["tiny_sd"].layers)


def test_the_command_line_has_the_last_word():
    cfg = compose("eval", "model=toybox", "method.steps=3", "model.layers=[up_blocks.2.attentions.*]")
    assert cfg.method.steps == 3 and cfg.model.layers == ["up_blocks.2.attentions.*"]
