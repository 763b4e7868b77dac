"""Small random diffusion models in the diffusers layout, in the shapes that the method must work with."""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

TWO_LEVEL_LAYERS = ("up_blocks.0.attentions.0", "up_blocks.0.attentions.2", "up_blocks.1.attentions.0")


def save_two_level(folder: Path, heads: int = 2) -> Path:
    """Cross-attention at both of two levels, 24 tokens, 64 px images, 16 x 16 latents: the shape of the toybox's."""
    torch.manual_seed(0)
    UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32, 64),
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        layers_per_block=2,
        attention_head_dim=heads,  # means the number of heads
        cross_attention_dim=64,
        norm_num_groups=16,
    ).save_pretrained(folder / "unet")
    _save_vae(folder, levels=3)
    write_json(folder / "text_encoder" / "config.json", {"max_position_embeddings": 24})
    return folder


def save_sd2_like(folder: Path) -> Path:
    """Stable Diffusion 2's ways: linear projections, heads of one width, velocity prediction; two cross levels."""
    torch.manual_seed(1)
    UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32, 64, 64),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=(2, 4, 4),
        cross_attention_dim=48,
        norm_num_groups=16,
        use_linear_projection=True,
        upcast_attention=True,
    ).save_pretrained(folder / "unet")
    _save_vae(folder, levels=3)
    schedule = {
        "_class_name": "PNDMScheduler",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "prediction_type": "v_prediction",
        "skip_prk_steps": True,
        "steps_offset": 1,
    }
    write_json(folder / "scheduler" / "scheduler_config.json", schedule)
    write_json(folder / "tokenizer" / "tokenizer_config.json", {"model_max_length": 13})
    return folder


def write_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _save_vae(folder: Path, levels: int) -> None:
    AutoencoderKL(
        sample_size=64,
        block_out_channels=(8, 16, 16)[:levels],
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        norm_num_groups=4,
        latent_channels=4,
    ).save_pretrained(folder / "vae")
