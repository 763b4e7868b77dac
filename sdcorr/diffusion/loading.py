"""Reading the weights of a model into the networks that its configurations describe."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

from sdcorr.diffusion.files import ModelFiles
from sdcorr.diffusion.parts import Part, build, drop_decoder
from sdcorr.diffusion.precision import Precision, weights_dtype
from sdcorr.diffusion.refusals import noise_schedule
from sdcorr.diffusion.single_file import converted
from sdcorr.diffusion.tensors import read_tensors, same_shapes
from sdcorr.errors import UserError
from sdcorr.finite import check_weights


class Parts(TypedDict):
    """What a frozen model is made of."""

    vae: AutoencoderKL  # its encoder alone
    unet: UNet2DConditionModel
    alphas_cumprod: Tensor  # (timesteps,)
    prediction_type: str
    layers: list[str]  # that are read
    tokens: int
    image_size: int
    precision: Precision


def load_parts(found: ModelFiles, precision: Precision) -> Parts:
    """The networks of a model with their weights, and what else it is made of.

    Args:
        found: its files.
        precision: of the network.

    Raises:
        UserError: if the weights cannot be read, do not fit the configurations, or hold NaN.
    """
    parts, dtype = describe_parts(found, precision), weights_dtype(precision)
    parts["vae"] = _filled(parts["vae"], found, "vae", dtype)
    parts["unet"] = _filled(parts["unet"], found, "unet", dtype)
    return parts


def describe_parts(found: ModelFiles, precision: Precision) -> Parts:
    """As `load_parts`, without weights: the networks are on the meta device."""
    what = found.recognized
    vae = build(AutoencoderKL, found.configs["vae"], f"The vae/config.json of {found.name}")
    drop_decoder(vae)
    unet = build(UNet2DConditionModel, found.configs["unet"], f"The unet/config.json of {found.name}")
    return Parts(
        vae=vae,
        unet=unet,
        alphas_cumprod=noise_schedule(found.configs["scheduler"], found.name),
        prediction_type=what.prediction,
        layers=[layer.name for layer in what.layers],
        tokens=what.tokens,
        image_size=what.side,
        precision=precision,
    )


def _filled(model: Part, found: ModelFiles, part: str, dtype: torch.dtype) -> Part:
    """A network with its weights, which no longer depend on the files."""
    tensors = _read(model, found, part)
    expected = {name: tuple(parameter.shape) for name, parameter in model.state_dict().items()}
    _check(expected, tensors, found.weights[part], part)
    state = {name: torch.empty(shape, dtype=dtype).copy_(tensors[name]) for name, shape in expected.items()}
    check_weights(state.items(), str(found.weights[part][0]))
    model.load_state_dict(state, assign=True)
    return model.eval()


def _read(model: Part, found: ModelFiles, part: str) -> Mapping[str, Tensor]:
    """The tensors of a part, under diffusers' present names."""
    tensors: dict[str, Tensor] = {}
    for path in found.weights[part]:
        tensors |= read_tensors(path)
    if any(name.startswith("model.diffusion_model.") for name in tensors):  # a single file, or a UNet out of one
        return converted(tensors, part, found.configs[part], averaged=found.variant != "non_ema")
    named = OrderedDict(tensors)
    model._fix_state_dict_keys_on_load(named)  # attention of VAEs was named otherwise before diffusers 0.15
    return named


def _check(
    expected: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor], paths: Sequence[Path], part: str
) -> None:
    """Raises UserError if tensors do not fit the network that the configuration describes."""
    where = f"The weights in {paths[0]}"
    missing = [name for name in expected if name not in tensors]
    surplus = [
        name for name in tensors if name not in expected and not name.startswith(("decoder.", "post_quant_conv."))
    ]
    if wrong := same_shapes(expected, {name: tensor.shape for name, tensor in tensors.items()}):
        more = f", and {len(wrong) - 1} more are wrong" if len(wrong) > 1 else ""
        raise UserError(f"{where} do not fit the {part}/config.json: {wrong[0]}{more}.")
    if missing:  # they would stay random
        others = f", and have others, such as {surplus[0]}" if surplus else ""
        raise UserError(
            f"{where} lack {len(missing)} of the {len(expected)} tensors that the {part}/config.json asks for, such as "
            f"{missing[0]}{others}: fetch or save the model again."
        )
    if surplus and part == "unet":
        raise UserError(
            f"{where} have {len(surplus)} tensors that the {part}/config.json does not know, such as {surplus[0]}: the "
            "two do not belong together."
        )
