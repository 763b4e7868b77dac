"""The models that are measured.

"golden" is the tiny model of Stable Diffusion's anatomy that the parity tests use, "toybox" is the one that ships with
the package, "sd14" has Stable Diffusion 1.4's true shape and random weights, as speed does not depend on the weights'
values. Anything else is a folder in the diffusers layout.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.utils import logging

from sdcorr.cli import build
from sdcorr.cli.compose import compose
from sdcorr.diffusion import FrozenDiffusion
from sdcorr.diffusion.precision import Precision, weights_dtype
from sdcorr.errors import UserError
from sdcorr.prompt.settings import PromptSettings
from sdcorr.toybox.anatomy import MODEL_FOLDER

logging.set_verbosity_error()  # no advice about accelerate or dtypes

GOLDEN = Path(__file__).parent.parent / "tests" / "golden" / "data"

# CompVis/stable-diffusion-v1-4, unet/config.json and vae/config.json: what differs from the defaults of diffusers.
SD14_UNET = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,  # means the number of heads
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
}
SD14_VAE = {
    "sample_size": 512,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}
SD14_SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SD14_TOKENS = 77


@dataclass(frozen=True)
class Model:
    """A model and the settings of the method for it."""

    name: str
    layers: tuple[str, ...]  # cross-attention layers that are read
    settings: PromptSettings
    folder: Path | None = None  # None: random weights in Stable Diffusion 1.4's shape
    image_size: int | None = None  # S in pixels; None: the model's own


def model_named(name: str, image_size: int | None = None) -> Model:
    """Find the model that the command line names.

    Args:
        name: golden, toybox, sd14, or a folder with vae/ and unet/.
        image_size: S in pixels, if not the model's own.

    Raises:
        UserError: if there is no such folder.
    """
    cfg = compose("eval", "model=toybox" if name == "toybox" else "model=sd14")
    folders = {"golden": GOLDEN / "weights", "toybox": MODEL_FOLDER, "sd14": None}
    folder = folders[name] if name in folders else Path(name).expanduser()
    if folder is not None and not (folder / "unet").is_dir():
        raise UserError(f"There is no model {name!r}: give golden, toybox, sd14 or a folder with vae/ and unet/.")
    short = name if name in folders else folder.resolve().name
    return Model(short, tuple(cfg.model.layers), build.settings(cfg), folder, image_size)


def load(
    model: Model,
    device: str | torch.device = "cpu",
    *,
    precision: Precision = "fp32",
    channels_last: bool = False,
    compile: bool = False,
    truncate: bool = True,
) -> FrozenDiffusion:
    """Load a model on a device; random weights are the same at every call on one kind of device.

    Args:
        model: which one.
        device: its device, which may be "meta".
        precision: as for `FrozenDiffusion.load`.
        channels_last: as for `FrozenDiffusion.load`.
        compile: as for `FrozenDiffusion.load`.
        truncate: as for `FrozenDiffusion.load`.
    """
    options = {"channels_last": channels_last, "compile": compile, "truncate": truncate, "precision": precision}
    options |= {"layers": model.layers, "image_size": model.image_size}
    if model.folder is not None:
        logging.disable_progress_bar()
        return FrozenDiffusion.load(str(model.folder), **options).to(device)
    torch.manual_seed(0)
    with torch.device(device):
        vae, unet = AutoencoderKL(**SD14_VAE), UNet2DConditionModel(**SD14_UNET)
    dtype = weights_dtype(precision)
    schedule = DDIMScheduler(**SD14_SCHEDULE)
    return FrozenDiffusion(
        vae.to(dtype),
        unet.to(dtype),
        alphas_cumprod=schedule.alphas_cumprod.to(device),
        prediction_type=schedule.config.prediction_type,
        tokens=SD14_TOKENS,
        **options,
    )
