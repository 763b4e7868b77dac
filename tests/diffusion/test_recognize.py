"""Which family a model is of, from its configurations alone: here those of the true sizes."""

from typing import Any

import pytest

from sdcorr.diffusion.families import FAMILIES
from sdcorr.diffusion.recognize import Recognized, describe, recognize
from sdcorr.diffusion.structures import SD_VAE, SDXL_VAE, STRUCTURES
from sdcorr.errors import UserError
from tests import models

SAME = {"sd15": "sd14"}  # families that differ in their weights alone


def configs(family: str, **unet: Any) -> dict[str, dict[str, Any]]:
    """The configurations of a family in its true size."""
    of = FAMILIES[family]
    guided = {"time_cond_proj_dim": 256} if of.guided else {}
    size = {"sample_size": of.side // (4 if family == "toybox" else 8)}
    vae = dict(SDXL_VAE if of.structure in ("sdxl", "ssd_1b") else SD_VAE)
    if family == "toybox":
        vae = models.reduced_vae(family)
    return {
        "unet": {**STRUCTURES[of.structure], **guided, **size, **unet},
        "vae": vae,
        "scheduler": models.family_schedule(family),
        "tokenizer": {},
        "text_encoder": {"max_position_embeddings": 77},
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family(family):
    known = recognize(configs(family), "it")
    assert known.family == SAME.get(family, family) and known.exact
    assert known.side == FAMILIES[family].side
    assert known.prediction == FAMILIES[family].prediction
    assert tuple(layer.name for layer in known.layers) == FAMILIES[family].layers
    assert known.large == (family != "toybox")


def grids(known: Recognized) -> list[tuple[int, int, int]]:
    return [(layer.grid, layer.heads, layer.blocks) for layer in known.layers]


def test_layers_of_the_paper():
    assert grids(recognize(configs("sd14"), "it")) == [(16, 8, 1)] * 3 + [(32, 8, 1)]


def test_names_say_nothing_of_the_grid():
    (*coarse, fine) = recognize(configs("tiny_sd"), "it").layers
    assert (coarse[0].name, coarse[0].grid) == ("up_blocks.0.attentions.0", 16)
    assert (fine.name, fine.grid) == ("up_blocks.1.attentions.0", 32)


def test_layers_of_sdxl():
    known = recognize(configs("sdxl"), "it")
    assert grids(known) == [(32, 20, 10)] * 3 + [(64, 10, 2)]
    assert (known.width, known.tokens) == (2048, 77)
    assert grids(recognize(configs("ssd_1b"), "it")) == [(32, 20, 4)] * 2 + [(32, 20, 10), (64, 10, 2)]


def test_layers_that_are_asked_for():
    asked = ["down_blocks.1.attentions.*", "mid_block.attentions.0"]
    assert grids(recognize(configs("sd21"), "it", layers=asked)) == [(48, 10, 1)] * 2 + [(12, 20, 1)]


def test_the_line_about_a_model():
    said = describe(recognize(configs("sdxl"), "it"), "folder/xl")
    assert said == (
        "folder/xl: Stable Diffusion XL (model=sdxl), 1024 px, prompts of 77 tokens of width 2048, epsilon; reads "
        "up_blocks.0.attentions.0 to 2 (32 x 32, 20 heads, the mean of 10 blocks); "
        "up_blocks.1.attentions.0 (64 x 64, 10 heads, the mean of 2 blocks)"
    )
    assert "it: Stable Diffusion 1.4 or Stable Diffusion 1.5 (model=sd14)" in describe(
        recognize(configs("sd15"), "it"), "it"
    )
    assert "told a guidance scale of 8.5" in describe(recognize(configs("lcm"), "it"), "it")


def test_a_structure_of_nobody_gets_the_rule_and_the_nearest_settings():
    two_levels = {
        "block_out_channels": (320, 640),
        "attention_head_dim": (5, 10),
        "down_block_types": ("CrossAttnDownBlock2D",) * 2,
        "up_block_types": ("CrossAttnUpBlock2D",) * 2,
    }
    known = recognize(configs("sd21", **two_levels), "it")
    assert (known.family, known.exact) == ("sd21_base", False)
    assert [layer.name for layer in known.layers][-1] == "up_blocks.1.attentions.0" and len(known.layers) == 4
    assert "a model of a structure of its own, with the settings of Stable Diffusion 2.1 base" in describe(known, "it")


def test_no_layer_on_the_way_up():
    blind = {"up_block_types": ("UpBlock2D",) * 4}
    with pytest.raises(UserError, match="UNet of it attends to its prompt nowhere on its way up: give model.layers"):
        recognize(configs("sd14", **blind), "it")


class TestSize:
    def test_early_configurations_say_32_where_it_was_64(self):
        old = {"sample_size": 32, "_diffusers_version": "0.6.0"}
        assert recognize(configs("sd14", **old), "it").side == 512

    @pytest.mark.parametrize("version", ["0.9.0", "0.42.1", "dev", None])
    def test_later_ones_mean_it(self, version):
        assert recognize(configs("sd14", sample_size=32, _diffusers_version=version), "it").side == 256

    @pytest.mark.parametrize("size", [None, [64, 64], "64", 0, True])
    def test_no_size(self, size):
        with pytest.raises(UserError, match=r"unet/config.json of it does not say.*model.image_size, for example 512"):
            recognize(configs("sd14", sample_size=size), "it")
        assert recognize(configs("sd14", sample_size=size), "it", image_size=512).side == 512


class TestTheFamilyThatIsNamed:
    def test_unknown(self):
        with pytest.raises(UserError, match="There is no model family 'sd9': choose from sd14"):
            recognize(configs("sd14"), "it", family="sd9")

    def test_decides_between_those_of_one_structure(self):
        assert recognize(configs("sd14"), "it", family="sd15").family == "sd15"

    def test_of_another_structure(self):
        with pytest.raises(UserError, match="it is not Stable Diffusion XL: give model=sd14, whose structure it has"):
            recognize(configs("sd14"), "it", family="sdxl")
