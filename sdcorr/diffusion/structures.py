"""The shapes of the UNets that families are made of: facts of their published config.json.

A structure holds what differs from the defaults of diffusers' `UNet2DConditionModel`. A folder's family is told by the
part of it that no width and no weight changes (`shape`); the rest completes what a single-file checkpoint does not say.
"""

from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]  # what a config.json holds

_CROSS_DOWN, _DOWN = "CrossAttnDownBlock2D", "DownBlock2D"
_CROSS_UP, _UP = "CrossAttnUpBlock2D", "UpBlock2D"

_SD1: Config = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,  # means the number of heads
    "down_block_types": (_CROSS_DOWN,) * 3 + (_DOWN,),
    "up_block_types": (_UP,) + (_CROSS_UP,) * 3,
}
_SDXL: Config = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "layers_per_block": 2,
    "cross_attention_dim": 2048,
    "attention_head_dim": (5, 10, 20),
    "transformer_layers_per_block": (1, 2, 10),
    "down_block_types": (_DOWN, _CROSS_DOWN, _CROSS_DOWN),
    "up_block_types": (_CROSS_UP, _CROSS_UP, _UP),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,  # 1280 of the pooled text, and 6 numbers of 256
}
STRUCTURES: Mapping[str, Config] = {
    "sd1": _SD1,
    "sd2": {
        **_SD1,
        "cross_attention_dim": 1024,
        "attention_head_dim": (5, 10, 20, 20),
        "use_linear_projection": True,
    },
    "sdxl": _SDXL,
    "ssd_1b": {
        **_SDXL,
        "mid_block_type": "UNetMidBlock2D",  # one ResNet, no attention
        "transformer_layers_per_block": ((1,), (2, 2), (4, 4)),
        "reverse_transformer_layers_per_block": ((4, 4, 10), (2, 1, 1), 1),
    },
    "small_sd": {**_SD1, "layers_per_block": 1},
    "tiny_sd": {
        **_SD1,
        "block_out_channels": (320, 640, 1280),
        "layers_per_block": 1,
        "down_block_types": (_CROSS_DOWN,) * 3,
        "mid_block_type": None,
        "up_block_types": (_CROSS_UP,) * 3,
    },
    "toybox": {
        "sample_size": 16,
        "block_out_channels": (48, 96, 128),
        "layers_per_block": 1,
        "cross_attention_dim": 128,
        "attention_head_dim": (1, 2, 2),
        "norm_num_groups": 8,
        "down_block_types": (_CROSS_DOWN, _CROSS_DOWN, _DOWN),
        "up_block_types": (_UP, _CROSS_UP, _CROSS_UP),
    },
}

# The VAE of every Stable Diffusion 1.x, 2.x and XL; XL's scales latents by 0.13025.
SD_VAE: Config = {
    "sample_size": 512,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "scaling_factor": 0.18215,
}
SDXL_VAE: Config = {**SD_VAE, "sample_size": 1024, "scaling_factor": 0.13025}

SD_SCHEDULE: Config = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
CLIP_TOKENS = 77  # prompt length of every CLIP that Stable Diffusion was trained with

_SHAPE: Config = {  # what tells one structure from another, and diffusers' defaults of it
    "down_block_types": (_CROSS_DOWN,) * 3 + (_DOWN,),
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "up_block_types": (_UP,) + (_CROSS_UP,) * 3,
    "layers_per_block": 2,
    "transformer_layers_per_block": 1,
    "reverse_transformer_layers_per_block": None,
    "use_linear_projection": False,
    "addition_embed_type": None,
}


def shape(unet: Config) -> tuple[Any, ...]:
    """What of a UNet's configuration says how it is built, whatever its widths: equal for equal structures."""
    return tuple(_frozen(unet.get(key, default)) for key, default in _SHAPE.items())


def _frozen(value: Any) -> Any:
    """A value that can be compared: lists as tuples, several equal numbers as one, null as false."""
    if isinstance(value, list | tuple):
        items = tuple(_frozen(item) for item in value)
        return items[0] if items and all(isinstance(item, int) and item == items[0] for item in items) else items
    return value or None
