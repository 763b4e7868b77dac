"""Small random models with joint attention, in the true structure of Stable Diffusion 3, 3.5 and FLUX.1-dev."""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
)
from torch import nn

FAMILIES = ("sd3_medium", "sd35_medium", "flux_dev")
WIDTH = 40  # of the prompt embeddings

# Widths are reduced; blocks' kinds, normalization, conditioning and the autoencoder's latents are the published ones.
_SD3 = {
    "sample_size": 16,
    "num_layers": 4,
    "attention_head_dim": 16,
    "num_attention_heads": 4,
    "joint_attention_dim": WIDTH,
    "caption_projection_dim": 64,
    "pooled_projection_dim": 24,
    "pos_embed_max_size": 12,
}
_FLUX = {
    "num_layers": 2,
    "num_single_layers": 3,
    "attention_head_dim": 16,
    "num_attention_heads": 4,
    "joint_attention_dim": WIDTH,
    "pooled_projection_dim": 24,
    "axes_dims_rope": (4, 6, 6),
    "guidance_embeds": True,
}
_FLUX_SCHEDULE = {
    "shift": 3.0,
    "use_dynamic_shifting": True,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
}
SCHEDULES = {"sd3_medium": {"shift": 3.0}, "sd35_medium": {"shift": 3.0}, "flux_dev": _FLUX_SCHEDULE}
_VAE = {"sd3_medium": (1.5305, 0.0609), "sd35_medium": (1.5305, 0.0609), "flux_dev": (0.3611, 0.1159)}


def build_transformer(family: str) -> SD3Transformer2DModel | FluxTransformer2DModel:
    """The transformer of a model of the family, with random weights that are the same at every call."""
    torch.manual_seed(0)
    transformer = {
        "sd3_medium": lambda: SD3Transformer2DModel(**_SD3),
        "sd35_medium": lambda: SD3Transformer2DModel(**_SD3, qk_norm="rms_norm", dual_attention_layers=(0, 1)),
        "flux_dev": lambda: FluxTransformer2DModel(**_FLUX, in_channels=64),
    }[family]()
    _vary_norms(transformer)
    return transformer.eval()


def save_joint(folder: Path, family: str) -> Path:
    """A model of the family: 128 px images, 16 x 16 latents of 16 channels, 8 x 8 image tokens."""
    build_transformer(family).save_pretrained(folder / "transformer")
    scale, shift = _VAE[family]
    torch.manual_seed(1)
    AutoencoderKL(
        sample_size=128,
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        latent_channels=16,
        use_quant_conv=False,
        use_post_quant_conv=False,
        scaling_factor=scale,
        shift_factor=shift,
    ).save_pretrained(folder / "vae")
    FlowMatchEulerDiscreteScheduler(**SCHEDULES[family]).save_pretrained(folder / "scheduler")
    return folder


def _vary_norms(transformer: nn.Module) -> None:
    """Weights of queries' and keys' normalizations that are not all one, as after training."""
    for name, weight in transformer.named_parameters():
        if "norm_q" in name or "norm_k" in name or "norm_added" in name:
            nn.init.uniform_(weight, 0.5, 1.5)
