"""What a model's configuration takes from the table of families, and from the model that lies at `model.path`.

Files in configs/model say `${family:sdxl,layers}` and `${family_settings:sdxl,1024}`.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from sdcorr.errors import UserError
from sdcorr.files import readable


def _family(name: str, what: str) -> Any:
    """The hub id (`path`) or the `layers` of a family."""
    from sdcorr.diffusion.families import family_named  # not at the top: its package imports torch

    value = getattr(family_named(name), what)
    return ListConfig(list(value)) if isinstance(value, tuple) else value


def _family_settings(name: str, side: int | None) -> DictConfig:
    """The settings of methods that suit a family at a side; None: its own."""
    from sdcorr.diffusion.families import family_defaults

    return OmegaConf.create(family_defaults(name, side if type(side) is int else None))  # `checks` looks at the side


def implied_by_path(place: Mapping[str, Any], named: str | None) -> Iterator[str]:
    """What is said by the model that lies at `model.path`: its family, and its side and layers where they are its own.

    Args:
        place: `model.path` and what else the user says of the model, by its key.
        named: the model that the user has chosen.
    """
    from sdcorr.diffusion.families import FAMILIES  # not at the top: these import torch
    from sdcorr.diffusion.files import look_at

    if named is not None and named not in FAMILIES:
        return  # of joint attention, or a yaml of the user's own
    size = place.get("model.image_size")
    told = {key: str(place[f"model.{key}"]) for key in ("revision", "unet") if place.get(f"model.{key}") is not None}
    sized = size if type(size) is int else None  # `checks` complains of anything else
    try:
        what = look_at(str(place["model.path"]), family=named, image_size=sized, **told)
    except UserError:
        if named is None:
            raise
        return  # it is said again when the model is needed, which some methods never do
    if named is None:
        yield f"model={what.family}"
    if not what.exact and "model.layers" not in place:  # the family's may not be there
        yield f"model.layers=[{','.join(layer.name for layer in what.layers)}]"
    if size is None and what.side != FAMILIES[what.family].side:
        yield f"model.image_size={what.side}"


def called(name: str, place: Mapping[str, Any]) -> str:
    """What runs are named after: the model that was chosen, or the folder, file or hub id that takes its place.

    >>> called("sd14", {"model.path": "Lykon/dreamshaper-8"}), called("sd21", {"model.unet": "~/cleandift.safetensors"})
    ('dreamshaper-8', 'sd21-cleandift')

    Args:
        name: of the model in configs/model.
        place: what the user says of the model, by its key.
    """
    path, unet = (place.get(f"model.{key}") for key in ("path", "unet"))
    parts = [_of_path(str(path)) if path else name, _of_path(str(unet)) if unet else ""]
    return "-".join(filter(None, parts)) or name


def _of_path(path: str) -> str:
    from sdcorr.diffusion.tensors import WEIGHTS  # whose package imports torch

    place = Path(os.path.abspath(os.path.expanduser(path)))
    if place.parent.name == "snapshots":  # of the hub's cache: models--OWNER--NAME/snapshots/COMMIT
        place = Path(place.parents[1].name.rpartition("--")[2])
    return readable(place.stem if place.suffix in WEIGHTS else place.name)


OmegaConf.register_new_resolver("family", _family, replace=True)
OmegaConf.register_new_resolver("family_settings", _family_settings, replace=True)
