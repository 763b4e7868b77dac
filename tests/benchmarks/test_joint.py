"""The joint-attention models in their true shape, on the meta device, with the layers of their presets."""

import joint
import pytest
import torch

from sdcorr.prompt.speed.memory import saved_bytes
from tests.diffusion.joint import models


@pytest.mark.parametrize(
    "family, parameters, layers",
    [
        ("sd3_medium", 2_028_328_000, [7, 8, 9, 10]),
        ("sd35_medium", 2_243_171_520, [7, 8, 9, 10]),
        ("flux_dev", 11_901_408_320, [12, 14, 16, 18]),
    ],
)
def test_shape_is_the_published_one(family: str, parameters: int, layers: list[int]) -> None:
    with torch.device("meta"):
        model = joint.build(family, 1024, truncate=False)
    assert sum(p.numel() for p in model.transformer.parameters()) == parameters
    assert model.layers == tuple(f"transformer_blocks.{layer}.attn" for layer in layers)
    assert (model.latent_size, model.latent_channels, model.tokens, model.width) == (128, 16, 77, 4096)


@pytest.mark.slow
def test_costs_that_can_be_counted_by_hand() -> None:
    cost = joint.cost("sd3_medium", 512)
    # Of each token a block has 4 + 8 products with 1536 x 1536 weights; a modulation is 6 a block, for image and text.
    # 23 whole blocks, and a last one that does not change the text: without its output, feed-forward, 4 modulations.
    image, text, width = 32 * 32, 77, 1536
    weights = 24 * 12 * image + (23 * 12 + 3) * text + 6 * 24 + 6 * 23 + 2
    attention = 24 * 2 * (image + text) ** 2 * width
    outside = text * 4096 * width + (image * 2 * 64 + 256 + 2048 + 4 * width) * width
    assert cost.whole == pytest.approx(2 * (weights * width**2 + attention + outside), rel=1e-3)
    assert cost.forward < cost.backward < 1.5 * cost.forward < cost.whole
    assert cost.matrices == 4 * 24 * 4 * image * (image + text)  # layers, heads, bytes
    assert cost.text_step < (cost.forward + cost.backward) / 10


def test_what_is_kept_is_what_the_library_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def tiny(family: str, image_size: int, precision: str = "fp32", truncate: bool = True) -> joint.JointDiffusion:
        return joint.JointDiffusion(
            joint.AutoencoderKL(**joint._VAE | {"block_out_channels": (32,) * 4}),
            models.build_transformer(family),
            layers=["transformer_blocks.1.attn"],
            scheduler=joint._SCHEDULERS[family],
            image_size=image_size,
        )

    monkeypatch.setattr(joint, "build", tiny)
    model = tiny("sd3_medium", 128)
    noisy, prompt = joint._inputs(model)
    expected = saved_bytes(lambda: model.attention_maps(noisy, 0, prompt, heads="all"), ignore=model.parameters())
    assert joint._saved("sd3_medium", 128) == pytest.approx(expected, rel=0.02)
