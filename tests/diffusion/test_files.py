"""What people have on disk: layouts that load, to the same maps, and folders that are told for what they are."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.diffusion.files import find_model, look_at
from sdcorr.errors import UserError
from tests import models

NAME = "diffusion_pytorch_model"
INDEX = f"{NAME}.safetensors.index.json"


@pytest.fixture
def folder(two_level_folder, tmp_path) -> Path:
    """A copy of a small model, to be changed."""
    return Path(shutil.copytree(two_level_folder, tmp_path / "model"))


def unet_bias(folder: Path, **options: str) -> torch.Tensor:
    """One tensor of the UNet that was loaded."""
    return FrozenDiffusion.load(str(folder), **options).unet.conv_in.bias


def weights(folder: Path, part: str = "unet") -> Path:
    return folder / part / f"{NAME}.safetensors"


def replace_weights(folder: Path, change: float, name: str) -> None:
    """Saves the UNet's weights under a name, with a bias that tells them from others; 16 bits under an fp16 name."""
    tensors = load_file(weights(folder))
    tensors["conv_in.bias"] = torch.full_like(tensors["conv_in.bias"], change)
    if "fp16" in name:
        tensors = {key: value.half() for key, value in tensors.items()}
    path = folder / "unet" / name
    if path.suffix == ".safetensors":
        save_file(tensors, path, metadata={"format": "pt"})
    else:
        torch.save(tensors, path)


class TestVariants:
    def test_the_only_ones_are_found(self, folder):
        replace_weights(folder, 0.5, f"{NAME}.fp16.safetensors")
        weights(folder).unlink()
        bias = unet_bias(folder)
        assert bias.dtype == torch.float32 and bias.eq(0.5).all()

    def test_the_full_ones_are_preferred_and_others_are_had_by_name(self, folder):
        replace_weights(folder, 0.5, f"{NAME}.fp16.safetensors")
        replace_weights(folder, 0.25, f"{NAME}.non_ema.safetensors")
        full = load_file(weights(folder))["conv_in.bias"]
        assert torch.equal(unet_bias(folder), full)
        assert unet_bias(folder, variant="fp16").eq(0.5).all()
        assert unet_bias(folder, variant="non_ema").eq(0.25).all()  # the VAE has no such, and gives its own

    def test_averaged_ones_before_those_that_are_not(self, folder):
        replace_weights(folder, 0.25, f"{NAME}.non_ema.safetensors")
        replace_weights(folder, 0.5, f"{NAME}.fp16.safetensors")
        weights(folder).unlink()
        assert unet_bias(folder).eq(0.5).all()

    def test_unknown(self, folder):
        replace_weights(folder, 0.5, f"{NAME}.fp16.safetensors")
        with pytest.raises(UserError, match=r"has no weights of the variant 'ema': give model.variant=null, fp16\.$"):
            find_model(str(folder), variant="ema")

    @pytest.mark.parametrize("pattern", ["{NAME}-{n:05}-of-00002.fp16", "{NAME}.fp16-{n:05}-of-00002"])
    def test_in_several_files(self, folder, pattern):
        tensors = load_file(weights(folder))
        names = sorted(tensors)
        halves = names[::2], names[1::2]
        for number, half in enumerate(halves, 1):
            path = folder / "unet" / (pattern.format(NAME=NAME, n=number) + ".safetensors")
            save_file({name: tensors[name].half() for name in half}, path, metadata={"format": "pt"})
        weights(folder).unlink()
        assert torch.equal(unet_bias(folder), tensors["conv_in.bias"].half().float())


def test_pickled_weights(folder):
    replace_weights(folder, 0.5, f"{NAME}.bin")
    weights(folder).unlink()
    assert unet_bias(folder).eq(0.5).all()


def test_parts_that_are_not_read_may_be_away(folder):
    shutil.rmtree(folder / "text_encoder")
    assert FrozenDiffusion.load(str(folder)).tokens == 77


def test_a_home_folder_is_found(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert find_model("~/model").weights["unet"] == (weights(folder),)


def test_what_is_read_of_a_model(folder):
    found = find_model(str(folder))
    assert found.files == {
        "unet/config.json": folder / "unet" / "config.json",
        "vae/config.json": folder / "vae" / "config.json",
        "text_encoder/config.json": folder / "text_encoder" / "config.json",
        f"unet/{NAME}.safetensors": weights(folder),
        f"vae/{NAME}.safetensors": weights(folder, "vae"),
    }


def test_a_look_reads_no_weights(folder):
    weights(folder).unlink()
    weights(folder, "vae").write_bytes(b"")
    assert look_at(str(folder)).side == 64
    assert look_at(str(folder), image_size=128).side == 128


def test_what_else_decides(folder):
    assert find_model(str(folder), image_size=32, variant=None).decided == {"image_size": 32, "tokens": 24}


def test_nothing_is_left_of_the_files(folder):
    model = FrozenDiffusion.load(str(folder))
    before = model.unet.conv_in.bias.clone()
    with weights(folder).open("r+b") as file:  # in place: a mapped tensor would change with it
        file.seek(-4096, 2)
        file.write(b"\xff" * 4096)
    assert torch.equal(model.unet.conv_in.bias, before)
    assert all(parameter.isfinite().all() for parameter in model.unet.parameters())


class TestOtherWeightsForTheUNet:
    """As CleanDIFT publishes them: a state dict that replaces that of Stable Diffusion 2.1."""

    @pytest.fixture
    def clean(self, folder, tmp_path) -> Path:
        tensors = load_file(weights(folder))
        (tmp_path / "clean").mkdir()
        path = tmp_path / "clean" / "cleandift_sd21_unet.safetensors"
        save_file({name: tensor + 1 for name, tensor in tensors.items()}, path)
        return path

    def test_of_a_file(self, folder, clean):
        assert torch.equal(unet_bias(folder, unet=str(clean)), load_file(weights(folder))["conv_in.bias"] + 1)
        assert find_model(str(folder), unet=str(clean)).weights["unet"] == (clean,)

    def test_of_a_folder_with_one_file(self, folder, clean):
        weights(folder).unlink()  # which need not be there then
        assert find_model(str(folder), unet=str(clean.parent)).weights["unet"] == (clean,)

    def test_of_a_folder_of_diffusers_with_its_own_configuration(self, folder, two_level_folder, tmp_path):
        other = models.save_sd2_like(tmp_path / "other")
        found = find_model(str(folder), unet=str(other))
        assert found.recognized.width == 48 and found.weights["unet"] == (weights(other),)
        assert find_model(str(folder), unet=str(other / "unet")).files == found.files

    def test_not_there(self, folder):
        with pytest.raises(UserError, match="There is no nowhere.safetensors: give as model.unet a file of weights"):
            find_model(str(folder), unet="nowhere.safetensors")

    def test_several(self, folder, clean):
        shutil.copy(clean, clean.with_name("full.safetensors"))
        with pytest.raises(UserError, match="it has cleandift_sd21_unet.safetensors, full.safetensors"):
            find_model(str(folder), unet=str(clean.parent))

    def test_of_another_shape(self, folder, clean):
        save_file({"adapter.weight": torch.zeros(3)}, clean)
        with pytest.raises(UserError, match="lack 434 of the 434 tensors .* and have others, such as adapter.weight"):
            FrozenDiffusion.load(str(folder), unet=str(clean))


def said(folder: Path, load: bool = False) -> str:
    """The one sentence about a folder; without reading weights unless `load`."""
    with pytest.raises(UserError) as caught:
        FrozenDiffusion.load(str(folder)) if load else find_model(str(folder))
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


class TestWrongFolders:
    def test_empty(self, tmp_path):
        assert said(tmp_path).startswith(f"{tmp_path} holds no model, for it has no unet/ and no vae/: choose a text")

    def test_the_unet_of_a_model(self, folder):
        assert f"is the unet/ of a model: give the folder above it, model.path={folder}" in said(folder / "unet")

    def test_a_unet_alone(self, folder, tmp_path):
        shutil.move(folder / "unet", tmp_path / "alone")
        assert "is a UNet alone: give a whole model, and this one as model.unet" in said(tmp_path / "alone")

    def test_the_vae_of_a_model(self, folder):
        assert "is a VAE alone" in said(folder / "vae")

    @pytest.mark.parametrize("missing, what", [("unet", "has a vae/ and no unet/"), ("vae", "has no vae/")])
    def test_without_a_part(self, folder, missing, what):
        shutil.rmtree(folder / missing)
        assert what in said(folder)

    def test_a_text_encoder(self, tmp_path):
        models.write_json(tmp_path / "config.json", {"architectures": ["CLIPTextModel"]})
        assert "is a text encoder: choose" in said(tmp_path)

    def test_a_controlnet(self, tmp_path):
        models.write_json(tmp_path / "config.json", {"_class_name": "ControlNetModel"})
        assert "is a ControlNet, an addition to a model" in said(tmp_path)

    @pytest.mark.parametrize("file", ["adapter_config.json", "pytorch_lora_weights.safetensors"])
    def test_a_lora(self, tmp_path, file):
        (tmp_path / file).write_text("{}")
        assert "is a LoRA, an addition to a model" in said(tmp_path)

    @pytest.mark.parametrize(
        "kind, what", [("PixArtTransformer2DModel", "PixArt"), ("HunyuanDiT2DModel", "Hunyuan"), ("New", "a New")]
    )
    def test_a_diffusion_transformer(self, tmp_path, kind, what):
        models.write_json(tmp_path / "transformer" / "config.json", {"_class_name": kind})
        assert f"is {what}" in said(tmp_path) and "has no UNet" in said(tmp_path)

    @pytest.mark.parametrize(
        "kind, model",
        [
            ("SD3Transformer2DModel", "model=sd3_medium or model=sd35_medium"),
            ("FluxTransformer2DModel", "model=flux_dev"),
        ],
    )
    def test_a_model_with_joint_attention(self, tmp_path, kind, model):
        models.write_json(tmp_path / "transformer" / "config.json", {"_class_name": kind})
        assert said(tmp_path).endswith(f"and has no UNet: say so with {model}.")

    def test_a_pipeline_of_another_kind(self, tmp_path):
        models.write_json(tmp_path / "model_index.json", {"_class_name": "KandinskyV22Pipeline"})
        assert "is a KandinskyV22Pipeline without unet/config.json" in said(tmp_path)

    def test_around_a_single_file(self, tmp_path):
        (tmp_path / "v1-5.ckpt").touch()
        assert "holds a single file: give the path of its v1-5.ckpt as model.path" in said(tmp_path)

    def test_weights_of_another_library(self, folder):
        weights(folder).rename(folder / "unet" / "model.onnx")
        assert "unet/ of" in said(folder) and "has no weights that PyTorch reads" in said(folder)
        assert "only model.onnx" in said(folder)

    def test_a_part_of_the_weights(self, folder):
        weights(folder).rename(folder / "unet" / f"{NAME}-00001-of-00002.safetensors")
        assert "has only 1 of the 2 files of its weights" in said(folder)


class TestSmallFiles:
    @pytest.mark.parametrize("file", ["unet/config.json", "vae/config.json", "text_encoder/config.json"])
    @pytest.mark.parametrize("content", [b'{"a": ', b"", b"[1]", b"\xff\xfe\x00"])
    def test_torn(self, folder, file, content):
        (folder / file).write_bytes(content)
        assert str(folder / file) in said(folder) and "fetch the file again" in said(folder)

    def test_a_byte_order_mark_is_no_harm(self, folder):
        path = folder / "unet" / "config.json"
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        find_model(str(folder))


class TestDamagedWeights:
    def test_cut_short(self, folder):
        weights(folder).write_bytes(weights(folder).read_bytes()[:1000])
        assert f"{weights(folder)} cannot be read as weights" in said(folder, load=True)

    def test_a_tensor_is_missing(self, folder):
        tensors = load_file(weights(folder))
        del tensors["conv_in.bias"]
        save_file(tensors, weights(folder))
        assert "lack 1 of the 434 tensors that the unet/config.json asks for, such as conv_in.bias" in said(
            folder, True
        )

    def test_widths_that_are_not_those_of_the_configuration(self, folder):
        path = folder / "unet" / "config.json"
        models.write_json(path, json.loads(path.read_text()) | {"block_out_channels": [64, 64]})
        assert (
            "do not fit the unet/config.json: conv_in.weight is 32 x 4 x 3 x 3 and should be 64 x 4 x 3 x 3, and"
            in (said(folder, True))
        )

    def test_more_tensors_than_the_configuration_knows(self, folder):
        save_file(load_file(weights(folder)) | {"extra.weight": torch.zeros(1)}, weights(folder))
        assert "have 1 tensors that the unet/config.json does not know, such as extra.weight" in said(folder, True)

    def test_a_pointer_of_git_lfs(self, folder):
        weights(folder).write_text("version https://git-lfs.github.com/spec/v1\n")
        assert "is only a pointer of Git LFS: run `git lfs pull`" in said(folder, True)


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "models/single.safetensors", "a/b/c", "word"])
def test_what_can_only_be_a_path_is_not_looked_for_on_the_hub(name, monkeypatch):
    monkeypatch.setattr("sdcorr.diffusion.files.HubModel", None)
    with pytest.raises(UserError, match=f"There is no model {name}: give the path of a folder"):
        find_model(name)


def test_a_misspelled_path_into_a_folder_that_is_there(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    with pytest.raises(UserError, match="There is no model model/unett: give the path"):
        find_model("model/unett")
