"""Getting a joint-attention model from a folder in the diffusers layout: transformer/, vae/, scheduler/.

What a model is gets decided from its small configuration files, before any weight is read.
"""

import os
from typing import Any, NamedTuple

import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
)
from torch import nn

from sdcorr.errors import UserError
from sdcorr.finite import check_weights

JointTransformer = SD3Transformer2DModel | FluxTransformer2DModel

_TRANSFORMERS = {kind.__name__: kind for kind in (SD3Transformer2DModel, FluxTransformer2DModel)}
_SUPPORTED = "Stable Diffusion 3 and 3.5 (SD3Transformer2DModel) and FLUX.1 (FluxTransformer2DModel)"


class JointParts(NamedTuple):
    """A model's parts, as diffusers has them."""

    transformer: JointTransformer
    vae: AutoencoderKL
    scheduler: FlowMatchEulerDiscreteScheduler


def is_joint(name: str, revision: str | None = None) -> bool:
    """Whether a model has joint attention that can be read; looks at one small file.

    Args:
        name: path of a folder, or id on the Hugging Face hub.
        revision: branch, tag or commit on the hub.
    """
    try:
        return _read_config(SD3Transformer2DModel, name, "transformer", revision).get("_class_name") in _TRANSFORMERS
    except UserError:
        return False


def load_joint_parts(name: str, revision: str | None, dtype: torch.dtype) -> JointParts:
    """The transformer, the VAE and the noise schedule of a model.

    Args:
        name: path of a folder with transformer/, vae/ and scheduler/, or id on the Hugging Face hub.
        revision: branch, tag or commit on the hub.
        dtype: of the weights.

    Raises:
        UserError: if the model is of another kind, or its weights cannot be read.
    """
    name = os.path.expanduser(name)
    transformer = _read_config(SD3Transformer2DModel, name, "transformer", revision)
    vae = _read_config(AutoencoderKL, name, "vae", revision)
    scheduler = _read_config(FlowMatchEulerDiscreteScheduler, name, "scheduler", revision)
    _refuse_others(name, transformer, vae, scheduler)
    schedule: Any = FlowMatchEulerDiscreteScheduler.from_config(scheduler)
    return JointParts(
        _read_weights(_TRANSFORMERS[transformer["_class_name"]], name, "transformer", revision, dtype),
        _read_weights(AutoencoderKL, name, "vae", revision, dtype),
        schedule,
    )


def describe_joint_parts(name: str, revision: str | None) -> JointParts:
    """As `load_joint_parts`, without weights: the networks are on the meta device, and nothing else is read or fetched.

    Raises:
        UserError: if the model has no such parts.
    """
    transformer = _read_config(SD3Transformer2DModel, name, "transformer", revision)
    vae = _read_config(AutoencoderKL, name, "vae", revision)
    schedule: Any = FlowMatchEulerDiscreteScheduler.from_config(
        _read_config(FlowMatchEulerDiscreteScheduler, name, "scheduler", revision)
    )
    with torch.device("meta"):
        network: Any = _TRANSFORMERS[transformer["_class_name"]].from_config(transformer)
        encoder: Any = AutoencoderKL.from_config(vae)
    return JointParts(network, encoder, schedule)


def _refuse_others(name: str, transformer: dict[str, Any], vae: dict[str, Any], scheduler: dict[str, Any]) -> None:
    """Raise UserError if the configurations are of a model that cannot be read, whatever its weights."""
    kind = transformer.get("_class_name")
    if kind not in _TRANSFORMERS:
        raise UserError(f"The transformer/ of {name!r} is a {kind}, which cannot be read: there are {_SUPPORTED}.")
    latents = vae.get("latent_channels", 4)  # as diffusers takes it
    expected = latents * 4 if kind == FluxTransformer2DModel.__name__ else latents  # FLUX packs 2 x 2 latents
    if transformer.get("in_channels") != expected:
        raise UserError(
            f"The transformer/ of {name!r} takes {transformer.get('in_channels')} channels where a picture alone has "
            f"{expected}: it wants a mask or a second picture too, as FLUX.1 Fill, Canny and Depth do; give the "
            "text-to-image model."
        )
    if scheduler.get("_class_name") != FlowMatchEulerDiscreteScheduler.__name__:
        raise UserError(
            f"The scheduler/ of {name!r} is a {scheduler.get('_class_name')}, which does not say how much noise a "
            "flow-matching model has at a timestep: take the scheduler/ that the model was published with, a "
            f"{FlowMatchEulerDiscreteScheduler.__name__}."
        )


def _read_config(
    kind: type[SD3Transformer2DModel | AutoencoderKL | FlowMatchEulerDiscreteScheduler],
    name: str,
    part: str,
    revision: str | None,
) -> dict[str, Any]:
    """The configuration of a part of a model.

    Raises:
        UserError: if the model has no such part.
    """
    try:
        config: Any = kind.load_config(os.path.expanduser(name), subfolder=part, revision=revision)
    except (OSError, ValueError):
        raise UserError(
            f"The model {name!r} has no {part}/ with a configuration that can be read: give a folder with "
            "transformer/, vae/ and scheduler/ as diffusers saves them, or the id of a model on the hub that is on "
            "this machine or can be fetched."
        ) from None
    return dict(config)


def _read_weights(
    kind: type[JointTransformer | AutoencoderKL], name: str, part: str, revision: str | None, dtype: torch.dtype
) -> Any:
    try:
        loaded: Any = kind.from_pretrained(
            name,
            subfolder=part,
            revision=revision,
            dtype=dtype,
            low_cpu_mem_usage=False,  # True needs `accelerate`
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise UserError(
            f"The weights in {part}/ of {name!r} could not be read ({reason}): fetch or save the model again."
        ) from error
    model, info = loaded
    if info["missing_keys"]:  # diffusers would leave them random
        raise UserError(
            f"The weights in {part}/ of {name!r} lack {len(info['missing_keys'])} tensors that its config.json asks "
            "for: fetch or save the model again."
        )
    # Where the first tensor is a buffer, as in Stable Diffusion 3, diffusers takes weights in the dtype of the file.
    # Not the model's own `to`, which warns of what these models do not have.
    model = nn.Module.to(model, dtype=dtype)
    check_weights(model.state_dict().items(), f"{part}/ of {name!r}")
    return model
