"""Single-file checkpoints: the same maps as the same weights in the diffusers layout, and no code of a file is run."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.diffusion.families import FAMILIES
from sdcorr.diffusion.files import find_model
from sdcorr.diffusion.structures import STRUCTURES
from sdcorr.errors import UserError
from tests import models
from tests.diffusion.first_names import single_file

NORMS = {"norm_num_groups": 32}  # of every single file


def networks(family: str, **changes: Any) -> tuple[UNet2DConditionModel, AutoencoderKL]:
    """A family's, in its true structure; heads of 64 channels where the family has such."""
    of = FAMILIES[family]
    levels = len(STRUCTURES[of.structure]["block_out_channels"])
    widths = (32, 64, 128, 128) if of.structure == "sd1" else (64, 128, 256, 256)[:levels]
    heads = 8 if of.structure == "sd1" else [width // 64 for width in widths]
    config = models.reduced_unet(family) | NORMS | {"block_out_channels": widths, "attention_head_dim": heads}
    if config.get("addition_embed_type"):
        config |= {"addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 64 + 6 * 256}
    vae = models.reduced_vae(family) | NORMS | {"block_out_channels": (32, 32, 64, 64)}
    torch.manual_seed(0)
    return UNet2DConditionModel(**config | changes), AutoencoderKL(**vae)


@pytest.fixture(scope="module")
def sd14() -> tuple[UNet2DConditionModel, AutoencoderKL]:
    return networks("sd14")


@pytest.fixture
def tensors(sd14) -> dict[str, Tensor]:
    """Of a small checkpoint of Stable Diffusion 1.x."""
    return single_file(*sd14)


def maps(model: FrozenDiffusion) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    noisy = torch.randn(1, 4, model.latent_size, model.latent_size, generator=generator)
    return model.attention_maps(noisy, 140, torch.randn(1, model.tokens, model.width, generator=generator))


def assert_same(file: FrozenDiffusion, folder: FrozenDiffusion) -> None:
    assert all(map(torch.equal, maps(file), maps(folder)))
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(file.encode(image), folder.encode(image))
    assert torch.equal(file.alphas_cumprod, folder.alphas_cumprod)


@pytest.mark.parametrize(
    "family", ["sd14", "sd21", *(pytest.param(f, marks=pytest.mark.slow) for f in ("sdxl", "ssd_1b"))]
)
def test_the_same_as_in_the_diffusers_layout(family, tmp_path):
    unet, vae = networks(family)
    unet.save_pretrained(tmp_path / "folder" / "unet")
    vae.save_pretrained(tmp_path / "folder" / "vae")
    models.write_json(tmp_path / "folder" / "scheduler" / "scheduler_config.json", models.family_schedule(family))
    save_file(single_file(unet, vae), tmp_path / "file.safetensors")
    found = find_model(str(tmp_path / "file.safetensors"))
    assert (found.recognized.family, found.recognized.side) == (family, FAMILIES[family].side)
    assert found.recognized.prediction == FAMILIES[family].prediction
    assert found.files.keys() == {"unet/file.safetensors", "vae/file.safetensors"}
    loaded = [FrozenDiffusion.load(str(tmp_path / each), image_size=64) for each in ("file.safetensors", "folder")]
    assert_same(*loaded)


class TestCheckpoints:
    def test_of_lightning_with_settings_that_need_its_code(self, tensors, tmp_path):
        settings = {"epoch": 3, "callbacks": {"model_checkpoint": Path("/tmp")}}  # Path: a class that is not torch's
        torch.save({"state_dict": tensors, **settings}, tmp_path / "v1.ckpt")
        save_file(tensors, tmp_path / "v1.safetensors")
        assert_same(
            *(FrozenDiffusion.load(str(tmp_path / f"v1.{kind}"), image_size=64) for kind in ("ckpt", "safetensors"))
        )

    @pytest.mark.parametrize("zipped", [True, False])
    def test_no_code_is_run(self, tensors, tmp_path, zipped):
        class Harm:
            def __reduce__(self) -> tuple[Any, ...]:
                return os.mkdir, (str(tmp_path / "harm"),)

        torch.save({"state_dict": tensors, "harm": Harm()}, tmp_path / "v1.ckpt", _use_new_zipfile_serialization=zipped)
        with pytest.raises(UserError, match="reading it would run code that is in it: get the model as .safetensors"):
            find_model(str(tmp_path / "v1.ckpt"))
        assert not (tmp_path / "harm").exists()

    def test_averaged_weights_are_taken_if_there_are_such(self, tensors, tmp_path):
        prefix = "model.diffusion_model."
        averaged = {
            "model_ema." + name.removeprefix("model.").replace(".", ""): torch.full_like(value, 0.5)
            for name, value in tensors.items()
            if name.startswith(prefix)
        }
        torch.save({"state_dict": tensors | averaged}, tmp_path / "full-ema.ckpt")
        load = lambda **options: FrozenDiffusion.load(str(tmp_path / "full-ema.ckpt"), **options)  # noqa: E731
        assert load().unet.conv_in.bias.eq(0.5).all()
        own = tensors[f"{prefix}input_blocks.0.0.bias"]
        assert torch.equal(load(variant="non_ema").unet.conv_in.bias, own)

    def test_half_precision(self, tensors, tmp_path):
        save_file({name: value.half() for name, value in tensors.items()}, tmp_path / "fp16.safetensors")
        assert FrozenDiffusion.load(str(tmp_path / "fp16.safetensors")).unet.dtype == torch.float32


class TestFamilies:
    @pytest.fixture
    def sd2(self, tmp_path) -> str:
        save_file(single_file(*networks("sd21")), tmp_path / "v2.safetensors")
        return str(tmp_path / "v2.safetensors")

    def test_the_user_says_what_the_file_does_not(self, sd2):
        known = find_model(sd2, family="sd21_base").recognized
        assert (known.family, known.side, known.prediction) == ("sd21_base", 512, "epsilon")

    def test_what_the_user_says_is_part_of_what_it_is(self, sd2):
        own, other = (find_model(sd2, family=family).decided for family in ("sd21", "sd21_base"))
        assert (own["image_size"], other["image_size"]) == (768, 512)
        assert find_model(sd2, variant="non_ema").decided["variant"] == "non_ema"

    def test_by_itself_it_is_taken_for_the_large_one(self, sd2):
        known = find_model(sd2).recognized
        assert (known.family, known.side, known.prediction) == ("sd21", 768, "v_prediction")

    def test_of_another_structure(self, sd2):
        with pytest.raises(UserError, match="is not Stable Diffusion 1.4: give model=sd21"):
            find_model(sd2, family="sd14")

    def test_velocity_and_noise_to_the_end(self, tensors, tmp_path):
        save_file(tensors | {"v_pred": torch.zeros(1), "ztsnr": torch.zeros(1)}, tmp_path / "v.safetensors")
        model = FrozenDiffusion.load(str(tmp_path / "v.safetensors"))
        assert model.prediction_type == "v_prediction"
        assert model.alphas_cumprod[-1] == pytest.approx(0, abs=1e-6)


def said(path: Path, content: dict[str, Tensor]) -> str:
    save_file(content, path)
    with pytest.raises(UserError) as caught:
        find_model(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestWrongFiles:
    @pytest.mark.parametrize(
        "channels, what", [(9, "an inpainting model"), (8, "InstructPix2Pix"), (5, "depth-to-image")]
    )
    def test_channels(self, tmp_path, channels, what):
        assert what in said(tmp_path / "it.safetensors", single_file(*networks("sd14", in_channels=channels)))

    def test_unclip(self, tensors, tmp_path):
        label = {"model.diffusion_model.label_emb.0.0.weight": torch.zeros(8, 8)}
        assert "is an unCLIP model" in said(tmp_path / "it.safetensors", tensors | label)

    def test_a_unet_without_a_vae(self, tensors, tmp_path):
        unet = {name: value for name, value in tensors.items() if name.startswith("model.")}
        assert "is a UNet without a VAE" in said(tmp_path / "it.safetensors", unet)

    @pytest.mark.parametrize(
        "name, what",
        [
            ("lora_unet_down_blocks_0.lora_up.weight", "a LoRA"),
            ("unet.down_blocks.0.attentions.0.lora.up.weight", "a LoRA"),
            ("control_model.input_blocks.0.0.weight", "a ControlNet"),
            ("model.diffusion_model.joint_blocks.0.x", "Stable Diffusion 3"),
            ("double_blocks.0.img_attn.qkv.weight", "FLUX"),
            ("emb_params", "a textual inversion"),
            ("down_blocks.0.resnets.0.conv1.weight", "a part of a diffusers model"),
            ("first_stage_model.encoder.conv_in.weight", "a VAE alone"),
            ("text_model.embeddings.position_embedding.weight", "a text encoder"),
            ("layer1.weight", "no Stable Diffusion"),
        ],
    )
    def test_other_things(self, tmp_path, name, what):
        assert f"it.safetensors is {what}" in said(tmp_path / "it.safetensors", {name: torch.zeros(2)})

    def test_half_of_a_model(self, tensors, tmp_path):
        del tensors["model.diffusion_model.input_blocks.4.0.out_layers.3.weight"]
        assert "has no tensor 'model.diffusion_model.input_blocks.4.0" in said(tmp_path / "it.safetensors", tensors)

    def test_no_such_variant(self, tensors, tmp_path):
        save_file(tensors, tmp_path / "it.safetensors")
        with pytest.raises(UserError, match="has no weights of the variant 'fp16': leave model.variant away"):
            find_model(str(tmp_path / "it.safetensors"), variant="fp16")

    @pytest.mark.parametrize("name", ["model.gguf", "model.onnx", "notes.txt"])
    def test_other_formats(self, tmp_path, name):
        (tmp_path / name).write_bytes(b"GGUF")
        with pytest.raises(UserError, match="is no file of weights that can be read: give one of .safetensors, .ckpt"):
            find_model(str(tmp_path / name))

    @pytest.mark.parametrize("kind", ["safetensors", "ckpt"])
    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"{}" * 99])
    def test_broken(self, tmp_path, kind, content):
        (tmp_path / f"it.{kind}").write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as weights .*fetch the file again") as caught:
            find_model(str(tmp_path / f"it.{kind}"))
        assert "\n" not in str(caught.value)
