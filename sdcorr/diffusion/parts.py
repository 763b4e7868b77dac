"""The networks of a model as diffusers builds them from a config.json, without weights."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

from sdcorr.diffusion.structures import Config
from sdcorr.errors import UserError

Part = TypeVar("Part", AutoencoderKL, UNet2DConditionModel)


def build(kind: type[Part], config: Config, where: str) -> Part:
    """A network of the shape that a configuration describes, on the meta device: it has shapes and no numbers.

    Args:
        kind: its class.
        config: what its config.json says.
        where: which config.json that is, for the message.

    Raises:
        UserError: if it describes no such network.
    """
    try:
        with torch.device("meta"), quiet():
            built: Any = kind.from_config(dict(config))  # declared as a pair too, which it is if that is asked for
            return built
    except Exception as error:  # nobody knows in how many ways a wrong value can break what is built with it
        raise UserError(
            f"{where} describes no {kind.__name__} that diffusers can build ({reason(error)}): fetch the file again."
        ) from error


def config_of(network: AutoencoderKL | UNet2DConditionModel) -> Any:
    """Its configuration, whose items are attributes; diffusers declares a plain dictionary."""
    return network.config


def drop_decoder(vae: AutoencoderKL) -> None:
    """Leaves only what makes latents of images."""
    setattr(vae, "decoder", None)  # noqa: B010  diffusers declares that it is always there
    setattr(vae, "post_quant_conv", None)  # noqa: B010


def pixels_per_latent(vae: AutoencoderKL) -> int:
    """Side in pixels of what becomes one position of the latents."""
    return 2 ** (len(config_of(vae).block_out_channels) - 1)


def standard_latents(mean: Tensor, vae: AutoencoderKL) -> Tensor:
    """Latents as the UNet expects them: shifted and scaled as the VAE's configuration says.

    Args:
        mean: (B, C, h, w), what the VAE's encoder puts out.
        vae: whose latents they are.
    """
    config = config_of(vae)
    if config.latents_mean is not None and config.latents_std is not None:  # each channel by its own
        moments = config.latents_mean, config.latents_std
        shift, spread = (torch.tensor(each).view(1, -1, 1, 1).to(mean) for each in moments)
        return (mean - shift) * config.scaling_factor / spread
    return (mean - (config.shift_factor or 0.0)) * config.scaling_factor


@contextmanager
def quiet() -> Iterator[None]:
    """Lets diffusers keep its advice to itself."""
    logger = logging.getLogger("diffusers")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def reason(error: Exception) -> str:
    """What an error of a library says, on one line and without its last dot: torch's reasons stand on the second."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return " ".join(lines[:2]).rstrip(".") or type(error).__name__
