import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.errors import UserError
from sdcorr.finite import check_finite, check_weights, not_finite
from tests.models import TWO_LEVEL_LAYERS


def test_the_likely_cause_depends_on_the_precision():
    assert "precision" not in str(not_finite("The latents are"))
    told = str(not_finite("The latents are", "bf16"))
    assert told.startswith(
        "The latents are NaN or infinite: numbers grow too large for bf16, or the weights are damaged"
    )
    assert "model.precision=fp32" in told


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf, -torch.inf])
def test_one_number_is_enough(wrong):
    good, bad = torch.randn(2, 3), torch.randn(2, 3).index_fill(1, torch.tensor([1]), wrong)
    check_finite([good, good], "The features are")
    with pytest.raises(UserError, match="The features are NaN"):
        check_finite([good, bad], "The features are")
    with pytest.raises(UserError, match="unet/ hold NaN or infinity, b for one"):
        check_weights([("a", good), ("b", bad)], "unet/")


@pytest.mark.parametrize(("value", "dtype"), [(torch.nan, torch.float32), (70000.0, torch.float16)])
@pytest.mark.parametrize("part", ["unet", "vae"])
def test_a_model_with_such_weights_is_not_loaded(two_level_folder, tmp_path, part, value, dtype):
    """An exponential average that ran away, or a number that was too great for the 16 bits it was saved with."""
    shutil.copytree(two_level_folder, tmp_path / "model")
    (path,) = (tmp_path / "model" / part).glob("*.safetensors")
    tensors = load_file(path)
    name = next(name for name in tensors if name.endswith("conv_in.bias") and "decoder" not in name)
    tensors[name][0] = value
    save_file({key: tensor.to(dtype) for key, tensor in tensors.items()}, path, metadata={"format": "pt"})
    with pytest.raises(UserError, match=f"weights in .*{path.name} hold NaN or infinity, {name} for one"):
        FrozenDiffusion.load(str(tmp_path / "model"), layers=TWO_LEVEL_LAYERS)
