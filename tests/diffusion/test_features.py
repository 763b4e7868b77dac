import pytest
import torch

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.errors import UserError
from tests.diffusion.test_backbone import LAYERS, random_inputs


@pytest.fixture(scope="module")
def whole(two_level_folder) -> FrozenDiffusion:
    return FrozenDiffusion.load(str(two_level_folder), layers=LAYERS, truncate=False)


def test_are_what_the_modules_put_out(whole):
    noisy, timestep, embeddings = random_inputs(whole)
    features = whole.features(noisy, timestep, embeddings, ["up_blocks.1", "down_blocks.0", "mid_block"])
    assert {name: tuple(f.shape) for name, f in features.items()} == {
        "down_blocks.0": (2, 32, 8, 8),
        "mid_block": (2, 64, 8, 8),
        "up_blocks.1": (2, 32, 16, 16),
    }
    with torch.no_grad():
        output = whole.unet.conv_out(whole.unet.conv_act(whole.unet.conv_norm_out(features["up_blocks.1"])))
        expected = whole.unet(noisy, timestep, embeddings).sample
    torch.testing.assert_close(output, expected)


def test_do_not_depend_on_the_cut(whole, small_backbone):
    inputs = random_inputs(whole)
    ours, expected = (model.features(*inputs, ["up_blocks.0"])["up_blocks.0"] for model in (small_backbone, whole))
    assert torch.equal(ours, expected)


@pytest.mark.parametrize("block", ["up_blocks.1", "up_blocks.1.resnets.2", "conv_out"])
def test_dropped_block(small_backbone, block):
    with pytest.raises(UserError, match=f"'{block}' was dropped.*truncate=False"):
        small_backbone.features(*random_inputs(small_backbone), [block])


def test_unknown_block(small_backbone):
    with pytest.raises(UserError, match="no block 'up_blocks.9': choose e.g. from down_blocks.0, down_blocks.1, up"):
        small_backbone.features(*random_inputs(small_backbone), ["up_blocks.9"])


def test_no_hook_is_left(small_backbone):
    small_backbone.features(*random_inputs(small_backbone), ["up_blocks.0"])
    assert not any(module._forward_hooks for module in small_backbone.modules())
