"""The models that are measured."""

import pytest
import torch
from shapes import load, model_named
from standin import StandIn

from sdcorr.diffusion.structures import CLIP_TOKENS
from sdcorr.errors import UserError


@pytest.fixture(scope="module")
def whole():
    return load(model_named("sd14"), "meta", truncate=False)


def test_sd14_has_stable_diffusions_shape(whole):
    assert sum(p.numel() for p in whole.unet.parameters()) == 859_520_964  # as published
    assert (whole.image_size, whole.latent_size, whole.tokens, whole.width) == (512, 64, 77, 768)
    assert {processor.device.type for processor in whole.parameters()} == {"meta"}


def test_sd14_can_be_truncated_and_run_in_another_precision(whole):
    cut = load(model_named("sd14"), "meta", precision="bf16", channels_last=True)
    assert sum(p.numel() for p in cut.unet.parameters()) < 859_520_964
    noisy, embeddings = torch.zeros(1, 4, 64, 64, device="meta"), torch.zeros(1, 77, 768, device="meta")
    maps = cut.attention_maps(noisy, 140, embeddings)
    assert [tuple(layer.shape) for layer in maps] == [(1, 4, 16, 16)] * 3 + [(1, 4, 32, 32)]
    assert cut.unet.dtype == torch.bfloat16 and maps[0].dtype == torch.float32


def test_the_stand_in_answers_in_the_models_shapes(whole):
    standin = StandIn()
    for name in ("image_size", "latent_size", "latent_channels", "tokens", "width"):
        assert getattr(standin, name) == getattr(whole, name)
    maps = standin.attention_maps(torch.zeros(2, 4, 64, 64), 140, torch.zeros(2, CLIP_TOKENS, 768))
    assert [tuple(layer.shape) for layer in maps] == [(2, 4, 16, 16)] * 3 + [(2, 4, 32, 32)]
    assert len(standin.alphas_cumprod) == len(whole.alphas_cumprod)


@pytest.mark.parametrize("name", ["golden", "toybox"])
def test_the_small_models_come_with_their_settings(name):
    model = model_named(name)
    backbone = load(model)
    assert backbone.layers == model.layers
    assert (model.settings.noise, backbone.image_size) == {"golden": ("uniform", 512), "toybox": ("normal", 64)}[name]


def test_another_size_of_picture():
    assert load(model_named("golden", image_size=128)).latent_size == 16


def test_a_folder_that_is_not_there():
    with pytest.raises(UserError, match="no model 'nowhere'"):
        model_named("nowhere")
