import json
import logging
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.errors import UserError
from tests import models

LAYERS = models.TWO_LEVEL_LAYERS


def random_inputs(model: FrozenDiffusion, batch: int = 2) -> tuple[torch.Tensor, int, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    noisy = torch.randn(batch, model.latent_channels, model.latent_size, model.latent_size, generator=generator)
    return noisy, 140, torch.randn(batch, model.tokens, model.width, generator=generator)


def maps_and_gradient(model: FrozenDiffusion) -> tuple[list[torch.Tensor], torch.Tensor]:
    noisy, timestep, embeddings = random_inputs(model)
    maps = model.attention_maps(noisy, timestep, embeddings.requires_grad_())
    return maps, torch.autograd.grad(sum(m.square().sum() for m in maps), embeddings)[0]


class TestLoad:
    def test_is_silent(self, two_level_folder, caplog, recwarn):
        logging.getLogger("diffusers").addHandler(caplog.handler)
        FrozenDiffusion.load(str(two_level_folder), layers=LAYERS)
        logging.getLogger("diffusers").removeHandler(caplog.handler)
        assert not caplog.records and not recwarn.list

    def test_what_the_model_knows(self, small_backbone):
        model = small_backbone
        assert (model.tokens, model.width, model.latent_channels) == (24, 64, 4)
        assert (model.image_size, model.latent_size) == (64, 16)
        assert model.prediction_type == "epsilon"
        assert model.layers == LAYERS
        assert not model.training and not any(p.requires_grad for p in model.parameters())

    def test_schedule_and_tokens_of_the_folder(self, tmp_path):
        model = FrozenDiffusion.load(str(models.save_sd2_like(tmp_path)), layers=["mid_block.attentions.0"])
        assert model.prediction_type == "v_prediction"
        assert model.tokens == 13
        assert model.width == 48

    def test_tokens_and_image_size_of_the_caller(self, two_level_folder):
        model = FrozenDiffusion.load(str(two_level_folder), layers=LAYERS, tokens=7, image_size=96)
        assert (model.tokens, model.image_size, model.latent_size) == (7, 96, 24)
        assert model.attention_maps(*random_inputs(model))[0].shape[-2:] == (12, 12)

    def test_clip_tokens_if_nothing_says_more(self, two_level_folder, tmp_path):
        shutil.copytree(two_level_folder / "unet", tmp_path / "unet")
        shutil.copytree(two_level_folder / "vae", tmp_path / "vae")
        assert FrozenDiffusion.load(str(tmp_path), layers=LAYERS).tokens == 77

    def test_only_the_encoder_is_kept(self, small_backbone):
        names = {name.split(".")[0] for name, _ in small_backbone.vae.named_parameters()}
        assert names == {"encoder", "quant_conv"}

    @pytest.mark.parametrize("attention_keys", ["old", "new"])
    def test_old_and_new_names_of_vae_attention(self, two_level_folder, tmp_path, attention_keys):
        folder = tmp_path / "model"
        shutil.copytree(two_level_folder, folder)
        path = folder / "vae" / "diffusion_pytorch_model.safetensors"
        renamed = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
        weights = load_file(path)
        if attention_keys == "old":
            for new, old in renamed.items():
                weights = {name.replace(f".{new}.", f".{old}."): value for name, value in weights.items()}
            assert any(".proj_attn." in name for name in weights)
        save_file(weights, path, metadata={"format": "pt"})
        images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        expected = FrozenDiffusion.load(str(two_level_folder), layers=LAYERS).encode(images)
        assert torch.equal(FrozenDiffusion.load(str(folder), layers=LAYERS).encode(images), expected)


class TestMistakes:
    def test_unknown_layer(self, two_level_folder):
        with pytest.raises(UserError, match="no cross-attention layer up_blocks.3.attentions.0: choose from down_bl"):
            FrozenDiffusion.load(str(two_level_folder), layers=["up_blocks.3.attentions.0"])

    def test_unknown_precision(self, two_level_folder):
        with pytest.raises(UserError, match="precision='fp16' is unknown: choose from fp32, tf32, bf16 or auto"):
            FrozenDiffusion.load(str(two_level_folder), layers=LAYERS, precision="fp16")

    def test_odd_image_size(self, two_level_folder):
        with pytest.raises(UserError, match="image_size=66 must be a multiple of 4"):
            FrozenDiffusion.load(str(two_level_folder), layers=LAYERS, image_size=66)


class TestEncode:
    def test_shape_and_scale(self, small_backbone):
        images = torch.rand(3, 3, 64, 64)
        latents = small_backbone.encode(images)
        assert latents.shape == (3, 4, 16, 16) and latents.dtype == torch.float32
        with torch.no_grad():
            mean = small_backbone.vae.encode(images * 2 - 1).latent_dist.mean
        torch.testing.assert_close(latents, mean * small_backbone.vae.config.scaling_factor)

    def test_mean_and_spread_of_each_channel(self, two_level_folder, tmp_path):
        folder = tmp_path / "spread"
        shutil.copytree(two_level_folder, folder)
        config = json.loads((folder / "vae" / "config.json").read_text())
        spread = {"latents_mean": [1.0, 2.0, 3.0, 4.0], "latents_std": [1.0, 2.0, 4.0, 8.0], "scaling_factor": 0.5}
        models.write_json(folder / "vae" / "config.json", config | spread)
        images = torch.rand(1, 3, 64, 64)
        plain = FrozenDiffusion.load(str(two_level_folder), layers=LAYERS).encode(images) / config["scaling_factor"]
        ours = FrozenDiffusion.load(str(folder), layers=LAYERS).encode(images)
        torch.testing.assert_close(ours[:, 3], (plain[:, 3] - 4) * 0.5 / 8)  # as diffusers' SDXL pipelines do

    def test_shift(self, two_level_folder, tmp_path):
        folder = tmp_path / "shifted"
        shutil.copytree(two_level_folder, folder)
        config = json.loads((folder / "vae" / "config.json").read_text())
        models.write_json(folder / "vae" / "config.json", config | {"shift_factor": 0.5, "scaling_factor": 2.0})
        images = torch.rand(1, 3, 64, 64)
        plain = FrozenDiffusion.load(str(two_level_folder), layers=LAYERS).encode(images) / config["scaling_factor"]
        shifted = FrozenDiffusion.load(str(folder), layers=LAYERS).encode(images)
        torch.testing.assert_close(shifted, (plain - 0.5) * 2)


def test_add_noise(small_backbone):
    # scaled_linear: beta_t is the square of a line from sqrt(0.00085) to sqrt(0.012) in 1000 steps
    first, last = math.sqrt(0.00085), math.sqrt(0.012)
    alpha = math.prod(1 - (first + (last - first) * t / 999) ** 2 for t in range(301))
    noisy = small_backbone.add_noise(torch.full((1,), 3.0), torch.full((1,), 5.0), 300)
    assert noisy.item() == pytest.approx(math.sqrt(alpha) * 3 + math.sqrt(1 - alpha) * 5, rel=1e-5)


class TestAttentionMaps:
    def test_shapes(self, small_backbone):
        maps = small_backbone.attention_maps(*random_inputs(small_backbone, 3), heads="all")
        assert [tuple(m.shape) for m in maps] == [(3, 2, 8, 8), (3, 2, 8, 8), (3, 2, 16, 16)]

    def test_each_row_of_a_batch_is_alone(self, small_backbone):
        noisy, timestep, embeddings = random_inputs(small_backbone)
        together = small_backbone.attention_maps(noisy, timestep, embeddings)
        for row in range(2):
            alone = small_backbone.attention_maps(noisy[row : row + 1], timestep, embeddings[row : row + 1])
            for a, b in zip(alone, together, strict=True):
                torch.testing.assert_close(a[0], b[row], rtol=1e-5, atol=1e-7)

    def test_tokens_share_one(self, small_backbone):
        inputs = random_inputs(small_backbone)
        total = sum(small_backbone.attention_maps(*inputs, token=token)[0] for token in range(24))
        torch.testing.assert_close(total, torch.ones_like(total))

    def test_gradient_is_the_slope(self, two_level_folder):
        model = FrozenDiffusion.load(str(two_level_folder), layers=LAYERS).double()
        noisy, timestep, embeddings = (x.double() if torch.is_tensor(x) else x for x in random_inputs(model))

        def loss(embeddings: torch.Tensor) -> torch.Tensor:
            return sum(m.square().sum() for m in model.attention_maps(noisy, timestep, embeddings))

        embeddings.requires_grad_()
        (gradient,) = torch.autograd.grad(loss(embeddings), embeddings)
        direction = torch.randn_like(embeddings)
        with torch.no_grad():
            slope = (loss(embeddings + 1e-5 * direction) - loss(embeddings - 1e-5 * direction)) / 2e-5
        assert slope.item() == pytest.approx((gradient * direction).sum().item(), rel=1e-5)

    def test_half_precision(self, two_level_folder, small_backbone):
        half = FrozenDiffusion.load(str(two_level_folder), layers=LAYERS, precision="bf16")
        noisy, timestep, embeddings = random_inputs(half)
        embeddings.requires_grad_()
        maps = half.attention_maps(noisy, timestep, embeddings)
        sum(m.sum() for m in maps).backward()
        assert {m.dtype for m in maps} == {embeddings.grad.dtype} == {torch.float32}
        assert half.encode(torch.rand(1, 3, 64, 64)).dtype == torch.float32
        for ours, exact in zip(maps, small_backbone.attention_maps(noisy, timestep, embeddings), strict=True):
            torch.testing.assert_close(ours, exact, rtol=0.1, atol=0.01)

    def test_channels_last_changes_no_map_and_no_gradient(self, two_level_folder, small_backbone):
        model = FrozenDiffusion.load(str(two_level_folder), layers=LAYERS, channels_last=True)
        assert model.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
        assert model.vae.encoder.conv_in.weight.is_contiguous()
        seen = []
        hook = model.unet.mid_block.register_forward_hook(lambda module, inputs, output: seen.append(output))
        read = [maps_and_gradient(m) for m in (model, small_backbone)]
        hook.remove()
        assert seen[0].is_contiguous(memory_format=torch.channels_last)  # and it is not lost on the way
        torch.testing.assert_close(*read, rtol=0, atol=1e-5)

    def test_nothing_is_left_behind(self, small_backbone):
        with pytest.raises(UserError, match="layer of 2 heads"):
            small_backbone.attention_maps(*random_inputs(small_backbone), heads=[7])
        assert small_backbone._tap.reading is None
