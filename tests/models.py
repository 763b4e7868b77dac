"""Small random diffusion models in the diffusers layout, in the shapes that the method must work with."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from sdcorr.diffusion.families import FAMILIES
from sdcorr.diffusion.structures import SD_SCHEDULE, SD_VAE, SDXL_VAE, STRUCTURES

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


def reduced_unet(family: str) -> dict[str, Any]:
    """The configuration of a family's UNet in its true structure (blocks, layers, heads, conditioning), 1/8 as wide."""
    of = FAMILIES[family]
    config = dict(STRUCTURES[of.structure])
    return config | {
        "sample_size": of.side // (4 if family == "toybox" else 8),
        "block_out_channels": tuple(width // 8 for width in config["block_out_channels"]),
        "cross_attention_dim": config["cross_attention_dim"] // 16,
        "upcast_attention": family == "sd21",
        "norm_num_groups": 2 if family == "toybox" else 8,
        "addition_time_embed_dim": 32 if "addition_embed_type" in config else None,
        "projection_class_embeddings_input_dim": 160 + 6 * 32 if "addition_embed_type" in config else None,
        "time_cond_proj_dim": 32 if of.guided else None,
    }


def reduced_vae(family: str) -> dict[str, Any]:
    """The configuration of its VAE, 1/8 as wide."""
    vae = SDXL_VAE if FAMILIES[family].structure in ("sdxl", "ssd_1b") else SD_VAE
    levels = 3 if family == "toybox" else 4
    return dict(vae) | {
        "block_out_channels": (16, 32, 64, 64)[:levels],
        "down_block_types": vae["down_block_types"][:levels],
        "up_block_types": vae["up_block_types"][:levels],
        "norm_num_groups": 8,
        "sample_size": FAMILIES[family].side,
    }


def family_schedule(family: str) -> dict[str, Any]:
    """Its scheduler_config.json, as far as it tells families apart."""
    of = FAMILIES[family]
    return {
        **SD_SCHEDULE,
        "_class_name": "EulerDiscreteScheduler",
        "prediction_type": of.prediction,
        "timestep_spacing": "trailing" if of.trailing else "leading",
    }


def save_family(folder: Path, family: str, **unet: Any) -> Path:
    """A folder of a family in its true structure, with reduced widths and random weights.

    Args:
        folder: where to.
        family: its name.
        unet: changes of the UNet's configuration.
    """
    torch.manual_seed(0)
    UNet2DConditionModel(**reduced_unet(family) | unet).save_pretrained(folder / "unet")
    AutoencoderKL(**reduced_vae(family)).save_pretrained(folder / "vae")
    write_json(folder / "scheduler" / "scheduler_config.json", family_schedule(family))
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
