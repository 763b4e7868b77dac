"""What configs/model takes from the table of families: `${family:sdxl,layers}` and `${family_settings:sdxl,1024}`."""

from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf


def _family(name: str, what: str) -> Any:
    """The hub id (`path`) or the `layers` of a family."""
    from sdcorr.diffusion.families import family_named  # not at the top: its package imports torch

    value = getattr(family_named(name), what)
    return ListConfig(list(value)) if isinstance(value, tuple) else value


def _family_settings(name: str, side: int | None) -> DictConfig:
    """The settings of methods that suit a family at a side; None: its own."""
    from sdcorr.diffusion.families import family_defaults

    return OmegaConf.create(family_defaults(name, side if type(side) is int else None))  # `checks` looks at the side


OmegaConf.register_new_resolver("family", _family, replace=True)
OmegaConf.register_new_resolver("family_settings", _family_settings, replace=True)
