"""The models of configs/model: what they take from the table of families, and what has the last word over it."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from sdcorr.cli.compose import compose
from sdcorr.cli.configs import CONFIGS
from sdcorr.cli.model_settings import called
from sdcorr.diffusion.families import FAMILIES, family_defaults
from sdcorr.errors import UserError
from tests import models


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


class TestPath:
    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        return models.save_family(tmp_path, "tiny_sd")

    def test_a_folder_says_its_family(self, folder):
        cfg = compose("eval", f"model.path={folder}")
        assert (cfg.model.path, cfg.model.family, cfg.model.image_size) == (str(folder), "tiny_sd", None)
        assert list(cfg.model.layers) == list(FAMILIES["tiny_sd"].layers)

    def test_lengths_follow_the_size_that_it_was_trained_for(self, folder):
        models.save_family(folder, "tiny_sd", sample_size=32)
        for said in ([], ["model=tiny_sd"]):
            cfg = compose("eval", f"model.path={folder}", *said)
            assert (cfg.model.image_size, cfg.method.sigma) == (256, 27.97853316316864 / 2)

    def test_a_size_that_the_user_gives(self, folder):
        models.save_family(folder, "tiny_sd", sample_size=None)  # which says none itself
        cfg = compose("eval", f"model.path={folder}", "model.image_size=128")
        assert (cfg.model.family, cfg.model.image_size, cfg.method.window) == ("tiny_sd", 128, 7)

    def test_of_a_model_that_is_named_a_mistake_is_said_when_it_is_needed(self):
        assert compose("eval", "model=sd14", "model.path=./nowhere").model.path == "./nowhere"
        with pytest.raises(UserError, match="There is no model ./nowhere"):
            compose("eval", "model.path=./nowhere")

    def test_layers_of_a_structure_of_its_own(self, two_level_folder):
        cfg = compose("eval", f"model.path={two_level_folder}")
        by_rule = [f"up_blocks.0.attentions.{number}" for number in range(3)] + ["up_blocks.1.attentions.0"]
        assert (cfg.model.family, list(cfg.model.layers)) == ("sd14", by_rule)  # which has no up_blocks.2
        said = compose("eval", f"model.path={two_level_folder}", "model.layers=[up_blocks.1.attentions.2]")
        assert list(said.model.layers) == ["up_blocks.1.attentions.2"]

    def test_no_weights_are_read(self, folder):
        for weights in folder.glob("*/*.safetensors"):
            weights.unlink()
        assert compose("eval", f"model.path={folder}").model.family == "tiny_sd"


class TestCalled:
    @pytest.mark.parametrize(
        "said, name",
        [
            ({}, "sd14"),
            ({"model.path": "Lykon/dreamshaper-8"}, "dreamshaper-8"),
            ({"model.path": "/models/SD v1.4 (mine)/"}, "SD_v1.4_mine"),
            ({"model.path": "models/anything-v3.ckpt"}, "anything-v3"),
            ({"model.path": "hub/models--CompVis--stable-diffusion-v1-4/snapshots/133a221b"}, "stable-diffusion-v1-4"),
            ({"model.path": "模型"}, "模型"),
            ({"model.path": "/"}, "sd14"),
            ({"model.unet": "~/cleandift.safetensors"}, "sd14-cleandift"),
            ({"model.path": "mine", "model.unet": "other/"}, "mine-other"),
        ],
    )
    def test_as_what_takes_the_models_place(self, said, name):
        assert called("sd14", said) == name

    def test_here_is_the_folders_name(self, tmp_path, monkeypatch):
        (tmp_path / "mine").mkdir()
        monkeypatch.chdir(tmp_path / "mine")
        assert called("sd14", {"model.path": "."}) == called("sd14", {"model.path": "../mine"}) == "mine"

    def test_the_user_has_the_last_word(self):
        said = ["model=sd14", "model.path=./nowhere"]
        assert compose("eval", *said).model.name == "nowhere"
        assert compose("eval", *said, "model.name=x").model.name == compose("eval", "model.name=x").model.name == "x"


def test_the_command_line_has_the_last_word():
    cfg = compose("eval", "model=toybox", "method.steps=3", "model.layers=[up_blocks.2.attentions.*]")
    assert cfg.method.steps == 3 and cfg.model.layers == ["up_blocks.2.attentions.*"]
