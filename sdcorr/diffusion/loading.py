"""Reading a Stable Diffusion in the diffusers layout, from the Hugging Face hub or from a folder."""

import json
import os
from pathlib import Path
from typing import TypeVar

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from sdcorr.errors import UserError

CLIP_TOKENS = 77  # prompt length of every CLIP that Stable Diffusion was trained with
Model = TypeVar("Model", AutoencoderKL, UNet2DConditionModel)

# Stable Diffusion's noise schedule, for folders without scheduler/.
_SD_SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def load_parts(
    name: str, revision: str | None, dtype: torch.dtype
) -> tuple[AutoencoderKL, UNet2DConditionModel, DDIMScheduler, int]:
    """The VAE, the UNet, the noise schedule and the number of tokens of a model.

    Args:
        name: id on the Hugging Face hub, or path of a local folder with vae/ and unet/.
        revision: branch, tag or commit on the hub.
        dtype: of the weights.

    Raises:
        UserError: if the weights are not there and cannot be fetched, or are not a UNet and a VAE of this kind.
    """
    name = os.path.expanduser(name)
    if _looks_local(name) and not Path(name).is_dir():
        raise UserError(f"There is no model folder {name}: give a folder with vae/ and unet/, or a hub id.")
    vae = _read_weights(AutoencoderKL, name, "vae", revision, dtype)
    unet = _read_weights(UNet2DConditionModel, name, "unet", revision, dtype)
    if unet.config.addition_embed_type is not None:
        raise UserError(
            f"{name!r} needs more than a prompt embedding (as SDXL does) and is not supported: choose a Stable "
            "Diffusion 1.x or 2.x model."
        )
    schedule = _read_json(name, "scheduler/scheduler_config.json", revision) or _SD_SCHEDULE
    tokenizer = _read_json(name, "tokenizer/tokenizer_config.json", revision) or {}
    text_encoder = _read_json(name, "text_encoder/config.json", revision) or {}
    tokens = text_encoder.get("max_position_embeddings") or tokenizer.get("model_max_length") or CLIP_TOKENS
    return vae, unet, DDIMScheduler.from_config(schedule), tokens


def _read_weights(kind: type[Model], name: str, part: str, revision: str | None, dtype: torch.dtype) -> Model:
    try:
        model, info = kind.from_pretrained(
            name,
            subfolder=part,
            revision=revision,
            dtype=dtype,
            low_cpu_mem_usage=False,  # True needs `accelerate`; by default diffusers complains of its absence
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError) as error:
        if Path(name).is_dir():
            reason = str(error).strip().splitlines()[0].rstrip(".")
            raise UserError(
                f"The {part}/ of the model folder {name} could not be read ({reason}): it must hold config.json and "
                "weights, as diffusers saves them."
            ) from error
        raise UserError(  # diffusers' own reason is misleading here: it misses a config.json
            f"The model {name!r} is not on this machine and could not be fetched from the Hugging Face hub: check the "
            "id, the network and, for a gated model, `hf auth login`; or download it elsewhere and give the path of "
            "its folder; or use the toybox model, which ships with the repository."
        ) from error
    if info["missing_keys"]:  # diffusers would leave them random
        raise UserError(
            f"The weights in {part}/ of {name} lack {len(info['missing_keys'])} tensors that its config.json asks for: "
            "fetch or save the model again."
        )
    return model


def _looks_local(name: str) -> bool:
    """A hub id is `owner/model`; anything else can only be a path."""
    return name.startswith((".", "/")) or name.count("/") != 1


def _read_json(name: str, path: str, revision: str | None) -> dict | None:
    """A small configuration file of the model, or None if the model has none."""
    try:
        local = Path(name) / path if Path(name).is_dir() else hf_hub_download(name, path, revision=revision)
        return json.loads(Path(local).read_text())
    except (FileNotFoundError, LocalEntryNotFoundError, HfHubHTTPError):
        return None
