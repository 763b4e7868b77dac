"""Latents, noise and cross-attention maps against the released code."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.prompt.settings import PromptSettings
from tests.golden import released

LATENTS, MAPS = 1e-5, 5e-6  # tolerances, absolute


@pytest.fixture(scope="module")
def recorded(arrays):
    return arrays("b_maps")


def read(model: FrozenDiffusion, recorded, **options) -> dict[str, np.ndarray]:
    noisy = torch.from_numpy(recorded["noisy"])
    maps = model.attention_maps(noisy, int(recorded["timestep"]), torch.from_numpy(recorded["context"]), **options)
    names = [layer_index(layer) for layer in model.layers]
    return {name: m[0].numpy() for name, m in zip(names, maps, strict=True)}


def layer_index(layer: str) -> str:
    (index,) = [i for i, name in enumerate(released.layer_names()) if name.startswith(f"{layer}.")]
    return f"{index:02d}"


@pytest.mark.parametrize("name", ["src", "trg"])
def test_latents(backbone, images, arrays, name):
    latents = backbone.encode(images[name][None])
    expected = arrays("a_latents")[f"latent_{name}"]
    np.testing.assert_allclose(latents.numpy(), expected, rtol=0, atol=LATENTS)


def test_schedule_and_default_timesteps(backbone, arrays):
    recorded = arrays("a_latents")
    np.testing.assert_array_equal(backbone.alphas_cumprod.numpy(), recorded["alphas_cumprod"])
    assert PromptSettings().timestep == recorded["timesteps"][-8]
    assert PromptSettings().transfer_timestep == recorded["timesteps"][-3]


def test_noise(backbone, recorded):
    latents, noise = (torch.from_numpy(recorded[name]) for name in ("latent", "noise"))
    noisy = backbone.add_noise(latents, noise, int(recorded["timestep"]))
    np.testing.assert_allclose(noisy.numpy(), recorded["noisy"], rtol=0, atol=1e-6)


def test_every_layer(whole, recorded):
    maps = read(whole, recorded)
    assert len(maps) == sum(name.startswith("native_") for name in recorded)
    for index, layer_maps in maps.items():
        np.testing.assert_allclose(layer_maps, recorded[f"native_{index}"], rtol=0, atol=MAPS, err_msg=index)


def test_truncated_layers(backbone, recorded):
    maps = read(backbone, recorded)
    assert list(maps) == released.loss_indices()
    for index, layer_maps in maps.items():
        np.testing.assert_allclose(layer_maps, recorded[f"native_{index}"], rtol=0, atol=MAPS, err_msg=index)


def test_last_half_are_the_kept_heads(whole, recorded):
    every, kept = read(whole, recorded, heads="all"), read(whole, recorded, heads=released.kept_heads())
    last = read(whole, recorded, heads="last_half")
    for index in last:
        np.testing.assert_array_equal(last[index], kept[index])
        np.testing.assert_array_equal(last[index], every[index][released.kept_heads()])
    for name in (name for name in recorded if name.startswith("all_heads_")):
        np.testing.assert_allclose(every[name[-2:]], recorded[name], rtol=0, atol=MAPS)


def test_every_token(backbone, recorded):
    (name,) = [name for name in recorded if name.startswith("all_tokens_")]
    index, head = re.fullmatch(r"all_tokens_(\d+)_head(\d+)", name).groups()
    tokens = recorded[name].shape[1]
    for token in (0, 1, 2, tokens // 2, tokens - 1):
        column = read(backbone, recorded, token=token, heads=[int(head)])[index].reshape(-1)
        np.testing.assert_allclose(column, recorded[name][:, token], rtol=0, atol=MAPS)


def test_upsampled_maps(backbone, recorded, images):
    size = images["src"].shape[-1]
    maps = [torch.from_numpy(m)[None] for m in read(backbone, recorded).values()]
    large = torch.cat([F.interpolate(m, size=(size, size), mode="bilinear") for m in maps])  # (L, heads, S, S)
    expected = recorded["up512_stride8"]
    np.testing.assert_allclose(large[:, :, 3::8, 3::8], expected, rtol=0, atol=MAPS)
    np.testing.assert_allclose(large.mean(1)[:, 1::4, 1::4], recorded["up512_headmean_stride4"], rtol=0, atol=MAPS)


def test_tapped_unet_is_still_the_unet(whole, recorded):
    noisy, context = torch.from_numpy(recorded["noisy"]), torch.from_numpy(recorded["context"])
    with torch.no_grad():
        output = whole.unet(noisy, int(recorded["timestep"]), context).sample
    np.testing.assert_allclose(output.numpy(), recorded["unet_out"], rtol=0, atol=1e-5)
