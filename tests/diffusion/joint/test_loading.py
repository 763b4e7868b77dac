import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sdcorr.diffusion.joint import JointDiffusion, is_joint
from sdcorr.errors import UserError
from tests.diffusion.joint.models import FAMILIES, save_joint

LAYERS = ("transformer_blocks.0.attn",)


@pytest.fixture(scope="module")
def sd3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_joint(tmp_path_factory.mktemp("sd3"), "sd3_medium")


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_joint(tmp_path_factory.mktemp("flux"), "flux_dev")


def changed(folder: Path, to: Path, part: str, **values: object) -> Path:
    """A copy of a model whose configuration of `part` says something else, and that has no weights."""
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*.safetensors"))
    (path,) = (to / part).glob("*config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return to


def load(folder: Path) -> JointDiffusion:
    return JointDiffusion.load(str(folder), layers=LAYERS)


class TestIsJoint:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_families(self, family, tmp_path):
        assert is_joint(str(save_joint(tmp_path, family)))

    def test_others(self, two_level_folder, sd3, tmp_path):
        assert not is_joint(str(two_level_folder))
        assert not is_joint(str(tmp_path / "nowhere"))
        assert not is_joint(
            str(changed(sd3, tmp_path / "pixart", "transformer", _class_name="PixArtTransformer2DModel"))
        )


class TestLoad:
    def test_is_silent(self, flux, caplog, recwarn):
        logging.getLogger("diffusers").addHandler(caplog.handler)
        load(flux)
        logging.getLogger("diffusers").removeHandler(caplog.handler)
        assert not caplog.records and not recwarn.list

    def test_from_below_the_home_folder(self, sd3, monkeypatch):
        monkeypatch.setenv("HOME", str(sd3.parent))
        assert is_joint(f"~/{sd3.name}") and load(Path(f"~/{sd3.name}")).layers == LAYERS

    def test_model_without_guidance(self, flux, tmp_path):  # as FLUX.1-schnell
        folder = tmp_path / "schnell"
        shutil.copytree(flux, folder)
        path = folder / "transformer" / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"guidance_embeds": False}))
        plain, guided = load(folder), load(flux)
        noisy = torch.randn(1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
        inputs = noisy, 140, torch.ones(1, 77, guided.width)
        assert not torch.equal(plain.attention_maps(*inputs)[0], guided.attention_maps(*inputs)[0])
        queries = plain.attention_queries(*inputs)
        torch.testing.assert_close(plain.attend(queries, inputs[-1]), plain.attention_maps(*inputs))


class TestRefusedBeforeWeightsAreRead:
    @pytest.mark.parametrize("part", ["transformer", "vae", "scheduler"])
    def test_a_part_is_missing(self, sd3, tmp_path, part):
        folder = tmp_path / "part"
        shutil.copytree(sd3, folder)
        shutil.rmtree(folder / part)
        with pytest.raises(
            UserError, match=f"has no {part}/ with a configuration that can be read: give a folder with"
        ):
            load(folder)

    def test_a_unet(self, two_level_folder):
        with pytest.raises(UserError, match="has no transformer/ with a configuration"):
            load(two_level_folder)

    def test_another_transformer(self, sd3, tmp_path):
        folder = changed(sd3, tmp_path / "flux2", "transformer", _class_name="Flux2Transformer2DModel")
        with pytest.raises(
            UserError, match=r"is a Flux2Transformer2DModel, which cannot be read: there are Stable Diff"
        ):
            load(folder)

    def test_a_model_that_wants_a_mask(self, flux, tmp_path):
        folder = changed(flux, tmp_path / "fill", "transformer", in_channels=384)
        with pytest.raises(
            UserError, match="takes 384 channels where a picture alone has 64: it wants a mask or a second"
        ):
            load(folder)

    def test_a_schedule_of_another_kind(self, sd3, tmp_path):
        folder = changed(sd3, tmp_path / "ddim", "scheduler", _class_name="DDIMScheduler")
        with pytest.raises(UserError, match="is a DDIMScheduler, which does not say how much noise .* published with"):
            load(folder)


class TestDamagedWeights:
    @pytest.mark.parametrize("part", ["transformer", "vae"])
    def test_cut_short(self, sd3, tmp_path, part):
        folder = tmp_path / "cut"
        shutil.copytree(sd3, folder)
        path = folder / part / "diffusion_pytorch_model.safetensors"
        path.write_bytes(path.read_bytes()[:1000])
        with pytest.raises(UserError, match=f"The weights in {part}/ of .* could not be read"):
            load(folder)

    def test_a_tensor_is_missing(self, sd3, tmp_path):
        folder = tmp_path / "lacking"
        shutil.copytree(sd3, folder)
        path = folder / "transformer" / "diffusion_pytorch_model.safetensors"
        weights = load_file(path)
        save_file({k: v for k, v in weights.items() if k != "context_embedder.bias"}, path, {"format": "pt"})
        with pytest.raises(UserError, match="weights in transformer/ of .* lack 1 tensors"):
            load(folder)

    def test_weights_that_hold_nan(self, sd3, tmp_path):
        shutil.copytree(sd3, tmp_path / "sd3")
        (path,) = (tmp_path / "sd3" / "vae").glob("*.safetensors")
        tensors = load_file(path)
        tensors["encoder.conv_in.bias"][0] = torch.nan
        save_file(tensors, path, metadata={"format": "pt"})
        with pytest.raises(UserError, match="weights in vae/ of .* hold NaN or infinity, encoder.conv_in.bias for one"):
            load(tmp_path / "sd3")
