"""What a folder is that is no model of the diffusers layout: what people give by mistake, told from names and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sdcorr.diffusion.refusals import what_is
from sdcorr.diffusion.tensors import WEIGHTS

if TYPE_CHECKING:
    from sdcorr.diffusion.layout import Layout

_JOINT = {
    "SD3Transformer2DModel": "model=sd3_medium or model=sd35_medium",
    "FluxTransformer2DModel": "model=flux_dev",
}


def what_lies_there(place: Layout) -> str:
    """What a place is that lacks unet/config.json or vae/config.json, as a sentence without its subject and dot.

    What to do stands after a colon, if there is more to say than that another model is needed.
    """
    top = place.listing("")
    weights = [name for name in top if Path(name).suffix in WEIGHTS]
    if "adapter_config.json" in top or any("lora" in name.lower() for name in weights):
        return "is a LoRA, an addition to a model"
    if "config.json" in top:
        return _part_alone(place)
    if place.has("transformer/config.json"):
        kind = str(place.read(place.fetch("transformer/config.json")).get("_class_name"))
        if kind in _JOINT:
            return f"is {what_is(kind)}, and has no UNet: say so with {_JOINT[kind]}"
        return f"is {what_is(kind)}, and has no UNet"
    if place.has("unet/config.json"):
        return "has no vae/, which makes latents of images"
    if place.has("vae/config.json"):
        return "has a vae/ and no unet/"
    if "model_index.json" in top:
        kind = place.read(place.fetch("model_index.json")).get("_class_name")
        return f"is a {kind} without unet/config.json"
    if len(weights) == 1:
        return f"holds a single file: give the path of its {weights[0]} as model.path"
    if weights:
        return f"is a folder with the files {', '.join(weights)}: give the path of one of them as model.path"
    return "holds no model, for it has no unet/ and no vae/"


def _part_alone(place: Layout) -> str:
    """Of a folder that has a config.json of its own."""
    path = place.fetch("config.json")
    config = place.read(path)
    architectures = config.get("architectures")
    kind = config.get("_class_name") or (
        architectures[0] if isinstance(architectures, list) and architectures else None
    )
    if kind == "UNet2DConditionModel":
        above = path.parent.parent
        if (above / "vae").is_dir():
            return f"is the unet/ of a model: give the folder above it, model.path={above}"
        return "is a UNet alone: give a whole model, and this one as model.unet to put its weights in"
    return f"is {what_is(str(kind))}" if kind else "is one part of a model, and says not which"
