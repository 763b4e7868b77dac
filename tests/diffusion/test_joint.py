"""Joint attention on small models in the true structure of each family, against a plain computation."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, FluxPipeline

from sdcorr.diffusion import joint_attention
from sdcorr.diffusion.joint import JointDiffusion
from sdcorr.diffusion.joint_networks import grid_positions, pack
from sdcorr.errors import UserError
from sdcorr.prompt.speed.memory import saved_bytes
from tests.diffusion.joint_models import FAMILIES, WIDTH, build_transformer, save_joint
from tests.diffusion.joint_reference import call, plain_maps

TOKENS = 7
TIMESTEP = 140
Inputs = tuple[torch.Tensor, int, torch.Tensor]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_joint(tmp_path_factory.mktemp(family), family)


@pytest.fixture(scope="module")
def model(folder: Path) -> JointDiffusion:
    """With every layer read."""
    return load(folder)


def load(folder: Path, layers: tuple[str, ...] = ("*",), **options: object) -> JointDiffusion:
    return JointDiffusion.load(str(folder), layers=layers, tokens=TOKENS, **options)


def random_inputs(batch: int = 2, tokens: int = TOKENS) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    noisy = torch.randn(batch, 16, 16, 16, generator=generator)
    return noisy, TIMESTEP, torch.randn(batch, tokens, WIDTH, generator=generator)


def weighted(maps: list[torch.Tensor]) -> torch.Tensor:
    """A number that every cell of every map is part of."""
    return sum((m * torch.linspace(-1, 1, m.numel()).view_as(m)).sum() for m in maps)


def maps_and_gradient(model: JointDiffusion, **options: object) -> tuple[list[torch.Tensor], torch.Tensor]:
    noisy, timestep, embeddings = random_inputs()
    maps = model.attention_maps(noisy, timestep, embeddings.requires_grad_(), **{"heads": "all"} | options)
    return maps, torch.autograd.grad(weighted(maps), embeddings)[0]


class TestAgainstAPlainComputation:
    """Maps are about 0.014 in the mean and differ by 2e-7 at most; gradients are up to 0.4 and differ by 4e-7."""

    @pytest.mark.parametrize("token", [0, 3, 6])
    def test_maps_and_gradients(self, family, model, token):
        maps, gradient = maps_and_gradient(model, token=token)
        noisy, _, embeddings = random_inputs()
        sigma = model.sigmas[TIMESTEP].item()
        expected = plain_maps(build_transformer(family), model.layers, noisy, sigma, embeddings.requires_grad_(), token)
        torch.testing.assert_close(maps, list(expected.values()), rtol=0, atol=3e-7)
        (expected_gradient,) = torch.autograd.grad(weighted(list(expected.values())), embeddings)
        torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-6)
        assert expected_gradient.abs().max() > 0.05

    def test_a_model_that_is_read_computes_what_it_did(self, family, folder):
        transformer, seen = load(folder, truncate=False).transformer, []
        transformer.proj_out.register_forward_hook(lambda module, inputs, output: seen.append(output))
        noisy, _, embeddings = random_inputs()
        with torch.no_grad():
            call(transformer, noisy, 0.3, embeddings)
            call(build_transformer(family), noisy, 0.3, embeddings)
        other = build_transformer(family)
        other.proj_out.register_forward_hook(lambda module, inputs, output: seen.append(output))
        with torch.no_grad():
            call(other, noisy, 0.3, embeddings)
        torch.testing.assert_close(*seen, rtol=0, atol=1e-6)


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


class TestMaps:
    def test_shapes_and_heads(self, model):
        inputs = random_inputs(3)
        every = model.attention_maps(*inputs, heads="all")
        assert {tuple(m.shape) for m in every} == {(3, 4, 8, 8)} and len(every) == len(model.layers)
        for heads, chosen in (("last_half", [2, 3]), ([3, 0], [3, 0])):
            some = model.attention_maps(*inputs, heads=heads)
            torch.testing.assert_close(some, [m[:, chosen] for m in every])

    def test_unknown_heads_leave_nothing_behind(self, model):
        with pytest.raises(UserError, match="layer of 4 heads"):
            model.attention_maps(*random_inputs(), heads=[4])
        assert model._tap.now is None

    def test_text_has_less_than_all(self, model):
        inputs = random_inputs()
        share = sum(model.attention_maps(*inputs, token=token, heads="all")[0] for token in range(TOKENS))
        assert share.min() > 0 and 0.05 < share.mean() < 0.2  # the rest is the image's: 7 tokens beside 64

    def test_each_row_of_a_batch_is_alone(self, model):
        noisy, timestep, embeddings = random_inputs()
        together = model.attention_maps(noisy, timestep, embeddings)
        for row in range(2):
            alone = model.attention_maps(noisy[row : row + 1], timestep, embeddings[row : row + 1])
            torch.testing.assert_close([m[0] for m in alone], [m[row] for m in together], rtol=1e-5, atol=1e-7)

    def test_tokens_have_no_positions(self, model):
        noisy, timestep, embeddings = random_inputs()
        swapped = embeddings[:, [0, 5, 2, 3, 4, 1, 6]]
        torch.testing.assert_close(
            model.attention_maps(noisy, timestep, embeddings, token=1),
            model.attention_maps(noisy, timestep, swapped, token=5),
        )

    def test_few_rows_at_a_time_change_no_map_and_no_gradient(self, model, monkeypatch):
        whole = maps_and_gradient(model)
        monkeypatch.setattr(joint_attention, "_SCORES_AT_ONCE", 5_000)
        torch.testing.assert_close(maps_and_gradient(model), whole, rtol=0, atol=2e-7)

    def test_the_softmax_is_not_kept_for_the_backward_pass(self, folder, monkeypatch):
        noisy, timestep, embeddings = random_inputs(1)
        embeddings.requires_grad_()
        model = load(folder, ("transformer_blocks.1.attn",))

        def kept() -> int:
            return saved_bytes(lambda: model.attention_maps(noisy, timestep, embeddings, heads="all"))

        ours = kept()
        monkeypatch.setattr(joint_attention, "checkpoint", lambda function, *inputs, **options: function(*inputs))
        assert kept() - ours >= 4 * 4 * 64 * (64 + TOKENS)  # bytes of a number, heads, rows, columns

    @pytest.mark.parametrize("layer", [0, 1, -1])
    def test_gradient_is_the_slope(self, folder, model, layer):
        exact = load(folder, (model.all_layers[layer],)).double()
        noisy, timestep, embeddings = (x.double() if torch.is_tensor(x) else x for x in random_inputs())
        embeddings.requires_grad_()
        (gradient,) = torch.autograd.grad(weighted(exact.attention_maps(noisy, timestep, embeddings)), embeddings)
        direction = torch.randn(embeddings.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():  # diffusers rotates and takes root mean squares in float32
            up, down = (
                weighted(exact.attention_maps(noisy, timestep, embeddings + step * direction)) for step in (1e-2, -1e-2)
            )
        assert ((up - down) / 2e-2).item() == pytest.approx((gradient * direction).sum().item(), rel=2e-3)

    def test_half_precision(self, folder, model):
        half = load(folder, precision="bf16")
        assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
        maps, gradient = maps_and_gradient(half)
        expected, expected_gradient = maps_and_gradient(model)
        assert {m.dtype for m in maps} == {gradient.dtype} == {torch.float32}
        assert all(m.isfinite().all() for m in maps) and gradient.isfinite().all()
        torch.testing.assert_close(maps, expected, rtol=0.15, atol=2e-3)
        assert torch.cosine_similarity(gradient.flatten(), expected_gradient.flatten(), dim=0) > 0.98
        assert half.encode(torch.rand(1, 3, 128, 128)).dtype == torch.float32


class TestTruncation:
    def test_same_maps_and_gradients_for_any_last_layer(self, folder, model):
        sizes = []
        for last in range(len(model.all_layers)):
            layers = tuple(dict.fromkeys((model.all_layers[last], model.all_layers[last // 2])))
            cut, whole = (load(folder, layers, truncate=truncate) for truncate in (True, False))
            for ours, expected in zip(maps_and_gradient(cut)[0], maps_and_gradient(whole)[0], strict=True):
                assert torch.equal(ours, expected)
            assert torch.equal(maps_and_gradient(cut)[1], maps_and_gradient(whole)[1])
            sizes.append(sum(p.numel() for p in cut.transformer.parameters()))
        assert sizes == sorted(set(sizes))  # each later cut keeps more
        assert sizes[-1] < sum(p.numel() for p in whole.transformer.parameters())

    def test_layers_keep_the_order_asked_for(self, folder):
        first, second = "transformer_blocks.0.attn", "transformer_blocks.1.attn"
        backward = load(folder, (second, first))
        assert backward.layers == (second, first)
        assert torch.equal(maps_and_gradient(backward)[0][1], maps_and_gradient(load(folder, (first, second)))[0][0])


class TestReadOnce:
    @pytest.mark.parametrize("heads", ["last_half", "all", [1, 0]])
    @pytest.mark.parametrize("truncate", [True, False])
    def test_with_the_same_embeddings_they_are_the_maps(self, folder, heads, truncate):
        model = load(folder, ("transformer_blocks.[01].attn",), truncate=truncate)
        noisy, timestep, embeddings = random_inputs(3)
        queries = model.attention_queries(noisy, timestep, embeddings, heads=heads)
        maps = model.attend(queries, embeddings, heads=heads, token=5)
        expected = model.attention_maps(noisy, timestep, embeddings, heads=heads, token=5)
        torch.testing.assert_close(maps, expected, rtol=0, atol=3e-7)

    def test_at_every_layer(self, model):
        noisy, timestep, embeddings = random_inputs()
        queries = model.attention_queries(noisy, timestep, embeddings)
        assert all(len(part) == 2 and not part.requires_grad for part in queries)
        torch.testing.assert_close(
            model.attend(queries, embeddings),
            model.attention_maps(noisy, timestep, embeddings),
            rtol=0,
            atol=3e-7,
        )

    def test_other_embeddings_are_an_approximation_but_in_the_first_layer(self, model):
        noisy, timestep, embeddings = random_inputs()
        queries = model.attention_queries(noisy, timestep, torch.zeros_like(embeddings))
        maps = model.attend(queries, embeddings)
        expected = model.attention_maps(noisy, timestep, embeddings)
        torch.testing.assert_close(maps[0], expected[0], rtol=0, atol=3e-7)
        assert (maps[-1] - expected[-1]).abs().max() > 1e-4

    def test_one_picture_serves_many_embeddings(self, model):
        noisy, timestep, embeddings = random_inputs(3)
        queries = model.attention_queries(noisy[:1], timestep, embeddings[:1])
        together = model.attend(queries, embeddings)
        for row in range(3):
            alone = model.attend(queries, embeddings[row : row + 1])
            torch.testing.assert_close([m[row] for m in together], [m[0] for m in alone])

    def test_gradient_is_that_of_the_model_with_the_image_held_still(self, folder, model):
        exact = load(folder).double()
        noisy, timestep, embeddings = (x.double() if torch.is_tensor(x) else x for x in random_inputs())
        queries = exact.attention_queries(noisy, timestep, embeddings)
        embeddings.requires_grad_()
        (gradient,) = torch.autograd.grad(weighted(exact.attend(queries, embeddings)), embeddings)
        direction = torch.randn(embeddings.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            up, down = (weighted(exact.attend(queries, embeddings + step * direction)) for step in (1e-2, -1e-2))
        assert ((up - down) / 2e-2).item() == pytest.approx((gradient * direction).sum().item(), rel=2e-3)

    def test_half_precision(self, folder):
        half = load(folder, ("transformer_blocks.1.attn",), precision="bf16")
        noisy, timestep, embeddings = random_inputs()
        maps = half.attend(half.attention_queries(noisy, timestep, embeddings), embeddings)
        assert {m.dtype for m in maps} == {torch.float32}
        torch.testing.assert_close(maps, half.attention_maps(noisy, timestep, embeddings), rtol=0.05, atol=1e-3)


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


class TestFingerprint:
    def test_names_weights_precision_and_noise(self, folder, model):
        again, half, trained, noisier = load(folder), load(folder, precision="bf16"), load(folder), load(folder)
        trained.transformer.context_embedder.weight.data[0, 0] += 1e-3
        noisier.alphas_cumprod *= 0.9
        assert again.fingerprint() == model.fingerprint()
        assert len({each.fingerprint() for each in (model, half, trained, noisier)}) == 4
