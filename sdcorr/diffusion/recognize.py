"""Which family a model is of, told from its configurations before any weight is read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel
from packaging.version import InvalidVersion, Version
from torch import nn

from sdcorr.diffusion.attention import Layer, cross_attention_paths, resolve_layers
from sdcorr.diffusion.conditioning import GUIDANCE_SCALE
from sdcorr.diffusion.families import FAMILIES, Family, attentions, family_named
from sdcorr.diffusion.parts import build, config_of, pixels_per_latent
from sdcorr.diffusion.refusals import Configs, noise_schedule, prompt_tokens, refuse
from sdcorr.diffusion.structures import STRUCTURES, Config, shape
from sdcorr.errors import UserError

_LARGE = 320  # channels of a UNet's first block, from which on a model is large: those of every Stable Diffusion


@dataclass(frozen=True)
class LayerShape:
    """A cross-attention layer, as configurations have it."""

    name: str
    grid: int  # side of its map
    heads: int
    blocks: int  # transformer blocks, of whose maps the mean is taken


@dataclass(frozen=True)
class Recognized:
    """What a model is, told from its configurations."""

    family: str  # in FAMILIES, whose settings suit it
    exact: bool  # whether its UNet has the family's structure, or just resembles it
    side: int  # S of the image in pixels
    tokens: int
    width: int  # of a prompt embedding
    prediction: str
    layers: tuple[LayerShape, ...]  # that are read
    guided: bool  # whether the UNet is told a guidance scale
    large: bool  # whether it is worth half the precision on a CPU


def recognize(
    configs: Configs,
    name: str,
    *,
    family: str | None = None,
    layers: Sequence[str] | None = None,
    image_size: int | None = None,
    tokens: int | None = None,
) -> Recognized:
    """What a model is.

    Args:
        configs: of its parts; an empty one for a part that is not there.
        name: of the model, for messages.
        family: that the user has named.
        layers: names or patterns of the layers to read, if not those that suit the family.
        image_size: S in pixels, if not the model's own.
        tokens: length of a prompt, if not the model's own.

    Raises:
        UserError: if it cannot be read, says no size, or is of another family than the one that is named.
    """
    named = family_named(family) if family is not None else None
    refuse(configs, name)
    config = configs["unet"]
    unet = build(UNet2DConditionModel, config, f"The unet/config.json of {name}")
    vae = build(AutoencoderKL, configs["vae"], f"The vae/config.json of {name}")
    factor = pixels_per_latent(vae)
    side = image_size or _sample_size(config, name, factor) * factor
    if side % factor:
        raise UserError(f"image_size={side} must be a multiple of {factor}, the VAE's pixels per latent.")
    noise_schedule(configs["scheduler"], name)
    prediction = configs["scheduler"].get("prediction_type", "epsilon")
    guided = config_of(unet).time_cond_proj_dim is not None
    trailing = configs["scheduler"].get("timestep_spacing") == "trailing"
    fitting = [each for each in FAMILIES if shape(STRUCTURES[FAMILIES[each].structure]) == shape(config)]
    if named and fitting and FAMILIES[fitting[0]].structure != named.structure:
        raise UserError(f"{name} is not {named.title}: give model={fitting[0]}, whose structure it has.")

    def likeness(each: str) -> tuple[bool, ...]:
        of = FAMILIES[each]
        return of.guided == guided, of.prediction == prediction, of.side == side, of.trailing == trailing

    found = family or max(fitting, key=likeness, default=_nearest(config))
    own = FAMILIES[found].layers if fitting else layers_by_rule(unet, name)
    chosen = resolve_layers(own if layers is None else layers, cross_attention_paths(unet))
    return Recognized(
        family=found,
        exact=bool(fitting),
        side=side,
        tokens=tokens or prompt_tokens(configs, name),
        width=config_of(unet).cross_attention_dim,
        prediction=prediction,
        layers=tuple(_layer_shape(unet, layer, side // factor) for layer in chosen),
        guided=guided,
        large=config_of(unet).block_out_channels[0] >= _LARGE,
    )


def _nearest(unet: Config) -> str:
    """The family whose settings are the best guess for a structure that no family has."""
    if unet.get("addition_embed_type") == "text_time":
        return "sdxl"
    return "sd21_base" if unet.get("use_linear_projection") else "sd14"


def _sample_size(unet: Config, name: str, factor: int) -> int:
    """Side of the latents that the UNet was trained with.

    Early configurations of Stable Diffusion 1.x say 32 where it was 64; diffusers' pipelines mend that, so it is mended
    here by the same rule.
    """
    size = unet.get("sample_size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise UserError(
            f"The unet/config.json of {name} does not say for which size of image the model was trained (sample_size "
            f"is {json.dumps(size)}, not one number): give model.image_size, for example {64 * factor}."
        )
    return 64 if size < 64 and _is_before_0_9(unet) else size


def _is_before_0_9(unet: Config) -> bool:
    try:
        return Version(Version(str(unet.get("_diffusers_version"))).base_version) < Version("0.9.0.dev0")
    except InvalidVersion:
        return False


def layers_by_rule(unet: UNet2DConditionModel, name: str) -> tuple[str, ...]:
    """The layers that the released choice means, in a UNet of any structure.

    All cross-attentions of the first block on the way up that has any (16 x 16 in Stable Diffusion 1.4), and the first
    of the next block (32 x 32).

    Raises:
        UserError: if no block on the way up has any.
    """
    blocks: list[Any] = list(unet.up_blocks)
    counts = [(number, len(block.attentions)) for number, block in enumerate(blocks) if _crosses(block)]
    if not counts:
        raise UserError(f"The UNet of {name} attends to its prompt nowhere on its way up: give model.layers.")
    return attentions(*counts[0]) + (attentions(counts[1][0], 1) if len(counts) > 1 else ())


def _crosses(block: nn.Module) -> bool:
    return bool(getattr(block, "has_cross_attention", False))


def _layer_shape(unet: UNet2DConditionModel, layer: Layer, latent_size: int) -> LayerShape:
    """A layer, with the grid that it has at the image's size: every level halves the one before, rounding up."""
    stage, number = layer.name.split(".")[:2]
    level = len(unet.down_blocks) - 1  # the deepest
    if stage == "down_blocks":
        level = int(number)
    elif stage == "up_blocks":
        level -= int(number)
    attention: Any = unet.get_submodule(layer.paths[0])
    return LayerShape(layer.name, ceil(latent_size / 2**level), attention.heads, len(layer.paths))


def describe(model: Recognized, name: str) -> str:
    """One line that says what was taken for a model, and what is read of it."""
    title = " or ".join(family.title for family in FAMILIES.values() if _twins(family, FAMILIES[model.family]))
    what = title if model.exact else f"a model of a structure of its own, with the settings of {title}"
    told = f", told a guidance scale of {GUIDANCE_SCALE}" if model.guided else ""
    reads = "; ".join(map(_describe_layers, _alike(model.layers)))
    return (
        f"{name}: {what} (model={model.family}), {model.side} px, prompts of {model.tokens} tokens of width "
        f"{model.width}, {model.prediction}{told}; reads {reads}"
    )


def _twins(one: Family, other: Family) -> bool:
    """Whether configurations cannot tell the one from the other."""
    ours, theirs = ((each.structure, each.side, each.prediction, each.trailing, each.guided) for each in (one, other))
    return ours == theirs


def _alike(layers: Sequence[LayerShape]) -> list[list[LayerShape]]:
    """Layers in groups that differ in their number alone."""
    groups: dict[tuple[Any, ...], list[LayerShape]] = {}
    for layer in layers:
        groups.setdefault((layer.name.rpartition(".")[0], layer.grid, layer.heads, layer.blocks), []).append(layer)
    return list(groups.values())


def _describe_layers(layers: Sequence[LayerShape]) -> str:
    """For example `up_blocks.1.attentions.0 to 2 (16 x 16, 8 heads)`."""
    first, last = layers[0], layers[-1].name.rpartition(".")[2]
    names = first.name if len(layers) == 1 else f"{first.name} to {last}"
    blocks = f", the mean of {first.blocks} blocks" if first.blocks > 1 else ""
    return f"{names} ({first.grid} x {first.grid}, {first.heads} heads{blocks})"
