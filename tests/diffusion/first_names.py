"""A model under the names of the first releases (CompVis, Stability AI), as single-file checkpoints have them."""

import re

from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_UNET = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def single_file(unet: UNet2DConditionModel, vae: AutoencoderKL) -> dict[str, Tensor]:
    """All tensors of a model by the names of the first releases, the text encoder left out."""
    tensors = {f"model.diffusion_model.{_of_unet(name, unet)}": value for name, value in unet.state_dict().items()}
    for name, value in vae.state_dict().items():
        if not name.startswith(("decoder", "post")):
            is_projection = re.search(r"attentions.*(to_.|to_out.0)\.weight", name)
            tensors[f"first_stage_model.{_of_vae(name)}"] = value[..., None, None] if is_projection else value
    return {name: value.contiguous() for name, value in tensors.items()}


def _of_unet(name: str, unet: UNet2DConditionModel) -> str:
    for ours, first in _UNET.items():
        if name.startswith(f"{ours}."):
            return first + _inside(name.removeprefix(ours))
    way, block, kind, number, rest = re.match(r"(\w+)_blocks\.(\d+)\.(\w+)\.(\d+)(.*)", name).groups()
    place = 3 * int(block) + int(number)
    if kind == "downsamplers":
        return f"input_blocks.{place + 3}.0.op{rest.removeprefix('.conv')}"
    if kind == "upsamplers":
        after_attention = hasattr(unet.up_blocks[int(block)], "attentions")
        return f"output_blocks.{place + 2}.{1 + after_attention}{rest}"
    second = "0" if kind == "resnets" else "1"
    first = f"input_blocks.{place + 1}" if way == "down" else f"output_blocks.{place}"
    return f"{first}.{second}{_inside(rest)}"


def _inside(rest: str) -> str:
    """The names inside a ResNet; those inside an attention are the same."""
    head, _, tail = rest.removeprefix(".").partition(".")
    return f".{_RESNET.get(head, head)}" + (f".{tail}" if tail else "")


def _of_vae(name: str) -> str:
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
    if "mid_block.attentions.0." in name:
        inside, _, kind = name.partition("mid_block.attentions.0.")[2].rpartition(".")
        return f"encoder.mid.attn_1.{_VAE_ATTENTION[inside]}.{kind}"
    return name
