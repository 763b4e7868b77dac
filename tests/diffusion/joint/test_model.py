"""What a model knows of itself; latents, noise, features."""

from types import SimpleNamespace

import pytest
import torch
from diffusers import AutoencoderKL, FluxPipeline

from sdcorr.diffusion.joint import JointDiffusion
from sdcorr.diffusion.joint.networks import grid_positions, pack
from sdcorr.errors import UserError
from sdcorr.methods.unet_features import UNetFeatures
from tests.diffusion.joint.inputs import TOKENS, load, random_inputs
from tests.diffusion.joint.models import WIDTH, build_transformer
from tests.diffusion.joint.reference import call


class TestLoad:
    def test_what_the_model_knows(self, model):
        assert (model.tokens, model.width, model.latent_channels) == (TOKENS, WIDTH, 16)
        assert (model.image_size, model.latent_size) == (128, 16)
        assert model.prediction_type == "flow_prediction"
        assert model.layers == model.all_layers
        assert not model.training and not any(p.requires_grad for p in model.parameters())

    def test_tokens_and_image_size_of_the_caller(self, folder):
        model = JointDiffusion.load(str(folder), layers=["transformer_blocks.1.attn"], image_size=64)
        assert (model.tokens, model.image_size, model.latent_size) == (77, 64, 8)
        (maps,) = model.attention_maps(torch.randn(1, 16, 8, 8), 0, torch.randn(1, 77, WIDTH), heads="all")
        assert maps.shape == (1, 4, 4, 4)

    def test_only_the_encoder_is_kept(self, model):
        assert {name.split(".")[0] for name, _ in model.vae.named_parameters()} == {"encoder"}

    @pytest.mark.parametrize("image_size", [136, 100])
    def test_image_size_that_is_not_whole_tokens(self, folder, image_size):
        with pytest.raises(
            UserError, match=f"image_size={image_size} must be a multiple of 16, the pixels of an image"
        ):
            load(folder, image_size=image_size)

    def test_image_size_beyond_the_positions(self, family, folder):
        if family == "flux_dev":  # rotary positions never end
            assert load(folder, image_size=208).latent_size == 26
        else:
            with pytest.raises(UserError, match="image_size=208 is too large: this model has positions for 192 pixels"):
                load(folder, image_size=208)

    def test_unknown_layer(self, folder):
        with pytest.raises(
            UserError, match=r"no joint attention layer up_blocks.1: choose from transformer_blocks.0.at"
        ):
            load(folder, ("up_blocks.1",))

    def test_compile_is_refused(self, folder):
        with pytest.raises(UserError, match="model.compile=true works for UNets only"):
            load(folder, compile=True)


class TestLatents:
    def test_mean_scale_and_shift(self, folder, model):
        images = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
        vae = AutoencoderKL.from_pretrained(folder / "vae", low_cpu_mem_usage=False)
        with torch.no_grad():
            mean = vae.encode(images * 2 - 1).latent_dist.mean
        scale, shift = {16: (1.5305, 0.0609), 64: (0.3611, 0.1159)}[model.transformer.config.in_channels]
        torch.testing.assert_close(model.encode(images), (mean - shift) * scale)

    def test_noise_of_the_schedule(self, family, model):
        # a third of the way, and shifted: by 3, or for 64 image tokens by exp(0.5 + 0.65 * (64 - 256) / 3840)
        shift = 3.0 if family != "flux_dev" else 2.718281828 ** (0.5 - 0.65 * 192 / 3840)
        sigma = shift * 0.3 / (1 + (shift - 1) * 0.3)
        noisy = model.add_noise(torch.full((1,), 3.0), torch.full((1,), 5.0), 300)
        assert noisy.item() == pytest.approx((1 - sigma) * 3 + sigma * 5, rel=1e-5)
        # scaled to power 1, the same latent has the noise of a diffusion schedule's that stands here
        alpha = model.alphas_cumprod[300].item()
        assert (1 - alpha) / alpha == pytest.approx((sigma / (1 - sigma)) ** 2, rel=1e-5)

    def test_packing_is_diffusers(self):
        latents = torch.randn(2, 16, 6, 4)
        assert torch.equal(pack(latents), FluxPipeline._pack_latents(latents, 2, 16, 6, 4))
        assert torch.equal(
            grid_positions(3, 2, torch.device("cpu")),
            FluxPipeline._prepare_latent_image_ids(2, 3, 2, torch.device("cpu"), torch.float32),
        )


class TestFeatures:
    def test_are_the_image_tokens_of_a_block(self, family, folder):
        model = load(folder, truncate=False)
        noisy, timestep, embeddings = random_inputs()
        (features,) = model.features(noisy, timestep, embeddings, ["transformer_blocks.1"]).values()
        seen = []
        plain = build_transformer(family)
        plain.transformer_blocks[1].register_forward_hook(lambda module, inputs, output: seen.append(output))
        with torch.no_grad():
            call(plain, noisy, model.sigmas[timestep].item(), embeddings)
        _, image = seen[0]
        assert features.shape == (2, 64, 8, 8) and features.dtype == torch.float32
        torch.testing.assert_close(features[1, :, 2, 5], image[1, 2 * 8 + 5], rtol=0, atol=1e-5)

    def test_blocks_that_there_are_not_any_more(self, folder):
        model = load(folder, ("transformer_blocks.1.attn",))
        assert len(model.features(*random_inputs(), ["transformer_blocks.0"])) == 1
        with pytest.raises(UserError, match="'transformer_blocks.1' was dropped, whole or in part.*truncate=False"):
            model.features(*random_inputs(), ["transformer_blocks.1"])
        with pytest.raises(UserError, match="no block 'up_blocks.1': choose from transformer_blocks.0 to"):
            model.features(*random_inputs(), ["up_blocks.1"])

    def test_a_method_that_compares_them_complains_of_another(self, folder):
        given = SimpleNamespace(backbone=lambda truncate: load(folder, truncate=truncate))
        UNetFeatures(given, "transformer_blocks.1", timestep=50).prepare()
        with pytest.raises(UserError, match="no block 'up_blocks.1'"):
            UNetFeatures(given, "up_blocks.1", timestep=50).prepare()


class TestFingerprint:
    def test_names_weights_precision_and_noise(self, folder, model):
        again, half, trained, noisier = load(folder), load(folder, precision="bf16"), load(folder), load(folder)
        trained.transformer.context_embedder.weight.data[0, 0] += 1e-3
        noisier.alphas_cumprod *= 0.9
        assert again.identity() == model.identity()
        assert len({tuple(each.identity().items()) for each in (model, half, trained, noisier)}) == 4
