"""The models that are measured.

"golden" is the tiny model of Stable Diffusion's anatomy that the parity tests use, "toybox" is the one that ships with
the package; "sd14" and the other families have their true shape and random weights, as speed does not depend on the
weights' values. Anything else is a folder in the diffusers layout.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.utils import logging
from packed import model_folder

from sdcorr.cli import build
from sdcorr.cli.compose import compose
from sdcorr.diffusion import FrozenDiffusion
from sdcorr.diffusion.families import FAMILIES
from sdcorr.diffusion.precision import Precision, weights_dtype
from sdcorr.diffusion.structures import CLIP_TOKENS, SD_SCHEDULE, SD_VAE, SDXL_VAE, STRUCTURES
from sdcorr.errors import UserError
from sdcorr.prompt.settings import PromptSettings
from sdcorr.toybox.anatomy import MODEL_FOLDER

logging.set_verbosity_error()  # no advice about accelerate or dtypes

GOLDEN = Path(__file__).parent.parent / "tests" / "golden" / "data"


@dataclass(frozen=True)
class Model:
    """A model and the settings of the method for it."""

    name: str
    layers: tuple[str, ...]  # cross-attention layers that are read
    settings: PromptSettings
    folder: Path | None = None  # None: random weights in the true shape of the family of that name
    image_size: int | None = None  # S in pixels; None: the model's own


def model_named(name: str, image_size: int | None = None) -> Model:
    """Find the model that the command line names.

    Args:
        name: golden, toybox, another family, or a folder with vae/ and unet/.
        image_size: S in pixels, if not the model's own.

    Raises:
        UserError: if there is no such folder.
    """
    cfg = compose("eval", f"model={name if name in FAMILIES else 'sd14'}")
    folders = dict.fromkeys(FAMILIES) | {"golden": model_folder(GOLDEN / "weights"), "toybox": MODEL_FOLDER}
    folder = folders[name] if name in folders else Path(name).expanduser()
    if folder is not None and not (folder / "unet").is_dir():
        known = ", ".join(folders)
        raise UserError(f"There is no model {name!r}: give {known}, or a folder with vae/ and unet/.")
    short = name if folder is None or name in folders else folder.resolve().name
    return Model(short, tuple(cfg.model.layers), build.prompt_settings(cfg), folder, image_size)


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
    family = FAMILIES[model.name]
    guided = {"time_cond_proj_dim": 256} if family.guided else {}
    torch.manual_seed(0)
    with torch.device(device):
        vae = AutoencoderKL(**(SDXL_VAE if "addition_embed_type" in STRUCTURES[family.structure] else SD_VAE))
        unet = UNet2DConditionModel(**{**STRUCTURES[family.structure], **guided, "sample_size": family.side // 8})
    dtype = weights_dtype(precision)
    return FrozenDiffusion(
        vae.to(dtype),
        unet.to(dtype),
        alphas_cumprod=DDIMScheduler(**SD_SCHEDULE).alphas_cumprod.to(device),
        prediction_type=family.prediction,
        tokens=CLIP_TOKENS,
        **options,
    )
