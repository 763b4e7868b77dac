"""Every family in its true structure: the maps and gradients that diffusers' own attention gives, unmodified."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.diffusion.conditioning import GUIDANCE_SCALE
from sdcorr.diffusion.families import FAMILIES, family_defaults
from sdcorr.diffusion.recognize import layers_by_rule
from sdcorr.diffusion.structures import STRUCTURES
from sdcorr.errors import UserError
from tests import models

SIDE = 128  # px of the image in these tests: 16 x 16 latents, 32 x 32 of the toybox
TIMESTEP = 140


SLOW = ("sdxl_turbo", "ssd_1b")  # of SDXL's size, of which one is enough in a quick run


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in FAMILIES]
)
def family(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(family, tmp_path_factory) -> Path:
    return models.save_family(tmp_path_factory.mktemp(family), family)


@pytest.fixture(scope="module")
def model(folder) -> FrozenDiffusion:
    """The family as it is loaded by default, cut after its last layer."""
    return FrozenDiffusion.load(str(folder), image_size=SIDE)


@pytest.fixture(scope="module")
def whole(folder) -> FrozenDiffusion:
    return FrozenDiffusion.load(str(folder), image_size=SIDE, truncate=False)


def inputs(model: FrozenDiffusion) -> tuple[Tensor, Tensor]:
    """Noisy latents and an embedding, far from zero: a zero embedding makes every map uniform."""
    generator = torch.Generator().manual_seed(1)
    noisy = torch.randn(2, 4, model.latent_size, model.latent_size, generator=generator)
    return noisy, (3 * torch.randn(2, model.tokens, model.width, generator=generator)).requires_grad_()


def conditions(unet: UNet2DConditionModel, batch: int) -> dict:
    """What diffusers' pipelines would give to the UNet beside the prompt."""
    given = {}
    if unet.config.addition_embed_type == "text_time":
        width = unet.add_embedding.linear_1.in_features - 6 * unet.config.addition_time_embed_dim
        sizes = torch.tensor([[SIDE, SIDE, 0, 0, SIDE, SIDE]] * batch)
        given["added_cond_kwargs"] = {"text_embeds": torch.zeros(batch, width), "time_ids": sizes}
    if unet.config.time_cond_proj_dim is not None:
        half = unet.config.time_cond_proj_dim // 2
        angles = (
            (GUIDANCE_SCALE - 1) * 1000 * torch.exp(-torch.log(torch.tensor(1e4)) * torch.arange(half) / (half - 1))
        )
        told = torch.cat((angles.sin(), angles.cos())).to(unet.dtype)
        given["timestep_cond"] = told[None].expand(batch, -1)
    return given


def maps_of_diffusers(folder, layers: list[str], noisy: Tensor, embeddings: Tensor) -> list[Tensor]:
    """The maps of token 1 and all heads, from what the linear layers of an unmodified UNet put out."""
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", low_cpu_mem_usage=False)
    unet = unet.eval().to(noisy.dtype)
    seen: dict[str, Tensor] = {}
    blocks = {layer: unet.get_submodule(layer).transformer_blocks for layer in layers}
    for layer, listed in blocks.items():
        for number, block in enumerate(listed):
            for side in ("to_q", "to_k"):
                keep = lambda module, given, out, key=f"{layer}/{number}/{side}": seen.__setitem__(key, out)  # noqa: E731
                getattr(block.attn2, side).register_forward_hook(keep)
    unet(noisy, TIMESTEP, embeddings, **conditions(unet, len(noisy)))
    maps = []
    for layer, listed in blocks.items():
        of_blocks = []
        for number, block in enumerate(listed):
            heads = block.attn2.heads
            q, k = (seen[f"{layer}/{number}/{side}"].unflatten(-1, (heads, -1)) for side in ("to_q", "to_k"))
            scores = torch.einsum("bnhd,bthd->bhnt", q, k) / q.shape[-1] ** 0.5
            of_blocks.append(scores.softmax(-1)[..., 1])  # (B, heads, N)
        mean = torch.stack(of_blocks).mean(0)
        side = round(mean.shape[-1] ** 0.5)
        maps.append(mean.unflatten(-1, (side, side)))
    return maps


def weighted(maps: list[Tensor]) -> Tensor:
    """A sum in which no two positions count the same."""
    return sum((m * torch.linspace(0, 1, m[0].numel()).view_as(m[0])).sum() for m in maps)


def test_maps_and_gradients_are_those_of_diffusers(folder, family):
    """In double precision, where what processors round differently is far below what a mistake would change."""
    model = FrozenDiffusion.load(str(folder), image_size=SIDE).double()
    noisy, embeddings = (each.detach().double() for each in inputs(model))
    embeddings.requires_grad_()
    maps = model.attention_maps(noisy, TIMESTEP, embeddings, heads="all")
    (gradient,) = torch.autograd.grad(weighted(maps), embeddings)
    expected = maps_of_diffusers(folder, list(FAMILIES[family].layers), noisy, embeddings)
    (expected_gradient,) = torch.autograd.grad(weighted(expected), embeddings)
    assert max(m.std() / m.mean() for m in maps) > 0.03  # not uniform
    assert [m.shape for m in maps] == [m.shape for m in expected]
    for ours, theirs in zip(maps, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    greatest = gradient.abs().max().item()
    torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-11 * greatest)


def test_truncation_is_exact(model, whole):
    assert sum(p.numel() for p in model.unet.parameters()) < sum(p.numel() for p in whole.unet.parameters())
    noisy, embeddings = inputs(model)
    results = []
    for each in (model, whole):
        maps = each.attention_maps(noisy, TIMESTEP, embeddings)
        results.append((maps, torch.autograd.grad(weighted(maps), embeddings)[0]))
    (maps, gradient), (expected, expected_gradient) = results
    assert all(map(torch.equal, maps, expected)) and torch.equal(gradient, expected_gradient)


def test_bfloat16_is_finite_and_near(folder, model):
    half = FrozenDiffusion.load(str(folder), image_size=SIDE, precision="bf16")
    noisy, embeddings = inputs(half)
    maps = half.attention_maps(noisy, TIMESTEP, embeddings)
    (gradient,) = torch.autograd.grad(weighted(maps), embeddings)
    assert gradient.isfinite().all() and gradient.abs().max() > 0
    for ours, exact in zip(maps, model.attention_maps(noisy, TIMESTEP, embeddings), strict=True):
        torch.testing.assert_close(ours, exact, rtol=0.2, atol=0.01)


def test_latents_are_those_of_diffusers(folder, model):
    image = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    vae = AutoencoderKL.from_pretrained(folder, subfolder="vae", low_cpu_mem_usage=False).eval()
    with torch.no_grad():
        expected = vae.encode(2 * image - 1).latent_dist.mean * vae.config.scaling_factor
    torch.testing.assert_close(model.encode(image), expected)


def test_read_once_with_the_same_embeddings_gives_the_maps(model):
    noisy, embeddings = inputs(model)
    queries = model.attention_queries(noisy, TIMESTEP, embeddings)
    maps = model.attend(queries, embeddings)
    torch.testing.assert_close(maps, model.attention_maps(noisy, TIMESTEP, embeddings))


def test_features_of_the_familys_block(whole, family):
    block, timestep = FAMILIES[family].features
    noisy, embeddings = inputs(whole)
    (features,) = whole.features(noisy, timestep, embeddings, [block]).values()
    assert features.shape[0] == 2 and features.isfinite().all()
    grid = {"sdxl": 4, "ssd_1b": 4, "toybox": 32}.get(FAMILIES[family].structure, 8)
    assert features.shape[-1] == grid  # DistillDIFT's 24 x 24 at 768 px; DIFT's 48 x 48 at 768 px


def test_a_layer_is_the_mean_of_its_blocks(tmp_path):
    layer = "up_blocks.0.attentions.2"  # of ten blocks
    folder = models.save_family(tmp_path, "sdxl")
    model = FrozenDiffusion.load(str(folder), image_size=64, layers=[layer, f"{layer}.transformer_blocks.*"])
    maps = model.attention_maps(*with_timestep(*inputs(model)))
    assert len(maps) == 11
    torch.testing.assert_close(torch.stack(maps[1:]).mean(0), maps[0], rtol=0, atol=1e-7)
    assert not torch.allclose(maps[1], maps[2], rtol=0, atol=1e-4)


def with_timestep(noisy: Tensor, embeddings: Tensor) -> tuple[Tensor, int, Tensor]:
    return noisy, TIMESTEP, embeddings


def test_the_rule_finds_the_familys_layers(family):
    with torch.device("meta"):
        unet = UNet2DConditionModel(**models.reduced_unet(family))
    expected = FAMILIES[family].layers
    if family == "toybox":  # which reads the second attention of 32 x 32 as well
        expected = expected[:-1]
    assert layers_by_rule(unet, family) == expected


PARAMETERS = {"sd1": 859.5, "sd2": 865.9, "sdxl": 2567.5, "ssd_1b": 1331.3, "small_sd": 579.4, "tiny_sd": 323.4}


@pytest.mark.parametrize("structure", PARAMETERS)
def test_structures_have_the_published_numbers_of_parameters(structure):
    with torch.device("meta"):
        unet = UNet2DConditionModel(**STRUCTURES[structure])
    millions = sum(parameter.numel() for parameter in unet.parameters()) / 1e6
    assert millions == pytest.approx(PARAMETERS[structure], abs=0.1)


class TestDefaults:
    def test_lengths_of_the_released_code(self):
        features = {"consensus_block": "up_blocks.1", "consensus_timestep": 261, "evidence_timestep": 261}
        assert family_defaults("sd14")["prompt"] == {"sigma": 27.97853316316864, "window": 28} | features
        assert family_defaults("sd14")["unet_features"] == {"block": "up_blocks.1", "timestep": 261}

    def test_lengths_follow_the_side(self):
        toybox = family_defaults("toybox")["prompt"]
        assert (toybox["sigma"], toybox["window"], toybox["steps"]) == (4.0, 4, 30)
        # The odds of a reflection were fitted at the one, the calibrations that ship at the other.
        assert (toybox["consensus_timestep"], toybox["evidence_timestep"]) == (261, 100)
        large = family_defaults("sdxl")["prompt"]
        lengths = {"sigma": pytest.approx(2 * 27.97853316316864), "window": 56}
        features = {"consensus_block": "up_blocks.0.attentions.0", "consensus_timestep": 101, "evidence_timestep": 101}
        assert large == {"heads": "all"} | lengths | features
        assert family_defaults("sdxl", 512)["prompt"]["sigma"] == 27.97853316316864

    def test_unknown(self):
        with pytest.raises(UserError, match="no model family 'sd3': choose from sd14, sd15, sd21"):
            family_defaults("sd3")
