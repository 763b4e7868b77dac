"""Single-file checkpoints, `.safetensors` and `.ckpt`: a whole model under the names of the first releases.

Such a file has no configuration. Its structure is told from names and shapes, and completed by what is known of the
families; diffusers' own converter renames the tensors.
"""

from collections.abc import Mapping
from pathlib import Path

from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from torch import Tensor

from sdcorr.diffusion.families import FAMILIES, family_named
from sdcorr.diffusion.layout import NoWeights, Place
from sdcorr.diffusion.parts import quiet
from sdcorr.diffusion.refusals import INSTEAD, Configs
from sdcorr.diffusion.structures import SD_SCHEDULE, SD_VAE, SDXL_VAE, STRUCTURES, Config
from sdcorr.diffusion.tensors import read_shapes
from sdcorr.errors import UserError

Shapes = Mapping[str, tuple[int, ...]]

_UNET, _VAE = "model.diffusion_model.", "first_stage_model."
_HEAD_WIDTH = 64  # of every head in Stable Diffusion 2.x and XL; 1.x has 8 heads
_FIRST_FAMILY = {"sd1": "sd14", "sd2": "sd21", "sdxl": "sdxl", "ssd_1b": "ssd_1b"}  # if the user names none
_FOREIGN = {  # part of a name -> what a file with such tensors is
    "lora_": "a LoRA, an addition to a model",
    ".lora": "a LoRA, an addition to a model",
    "hada_w": "a LoRA (LoHa), an addition to a model",
    "control_model.": "a ControlNet, an addition to a model",
    "controlnet_": "a ControlNet, an addition to a model",
    "motion_modules": "a motion adapter (AnimateDiff), an addition to a model",
    "joint_blocks": "Stable Diffusion 3 in a single file",
    "double_blocks": "FLUX in a single file",
    "emb_params": "a textual inversion, a word for a model",
    "string_to_param": "a textual inversion, a word for a model",
    "down_blocks.": "a part of a diffusers model: give its folder, or this file as model.unet if it is a UNet",
    "text_model.": "a text encoder",
}


class SingleFile(Place):
    """A checkpoint that holds UNet, VAE and text encoder in one file.

    Args:
        path: of the file.
        family: that the user names, for what the file does not say: size and prediction type.
    """

    def __init__(self, path: Path, family: str | None) -> None:
        self.path, self.name, self._family = path, str(path), family

    def configs(self) -> Configs:
        """See `Place`."""
        shapes = read_shapes(self.path)
        if not any(name.startswith(f"{_UNET}input_blocks.") for name in shapes):
            what = _what_else(shapes)
            raise UserError(f"{self.name} is {what}." if ": " in what else f"{self.name} is {what}: {INSTEAD}.")
        if not any(name.startswith(_VAE) for name in shapes):
            raise UserError(f"{self.name} is a UNet without a VAE, which makes latents of images: {INSTEAD}.")
        structure = _structure(shapes)
        family = FAMILIES[_FIRST_FAMILY[structure]]
        if self._family is not None and family_named(self._family).structure == structure:
            family = family_named(self._family)
        velocity = family.prediction == "v_prediction" or "v_pred" in shapes
        schedule = {
            **SD_SCHEDULE,
            "prediction_type": "v_prediction" if velocity else "epsilon",
            "rescale_betas_zero_snr": "ztsnr" in shapes,
        }
        try:
            unet, vae = _unet_config(shapes, structure, family.side // 8), _vae_config(shapes, structure)
        except KeyError as error:
            raise UserError(
                f"{self.name} has no tensor {error}, so that it is no Stable Diffusion 1.x, 2.x or XL: {INSTEAD}."
            ) from error
        return {"unet": unet, "vae": vae, "scheduler": schedule, "tokenizer": {}, "text_encoder": {}}

    def config_files(self) -> dict[str, Path]:
        """None: the file has no configurations."""
        return {}

    def weights(self, part: str, variant: str | None) -> tuple[Path, ...]:
        """The file itself; its averaged weights if it has them, unless `variant` is non_ema."""
        if variant not in self.variants(part):
            raise NoWeights(f"{self.name} has no weights of the variant {variant!r}: leave model.variant away.")
        return (self.path,)

    def variants(self, part: str) -> list[str | None]:
        """See `Place`."""
        return [None, "non_ema"]


def _structure(shapes: Shapes) -> str:
    """Which of STRUCTURES it is, or resembles enough to be refused for the right reason."""
    if _levels(shapes) == 3:
        return "sdxl" if f"{_UNET}middle_block.1.norm.weight" in shapes else "ssd_1b"
    projections = [shape for name, shape in shapes.items() if name.endswith(".proj_in.weight")]
    return "sd2" if any(len(shape) == 2 for shape in projections) else "sd1"


def _levels(shapes: Shapes) -> int:
    """Of resolution: one more than there are convolutions that halve it."""
    return 1 + sum(name.startswith(f"{_UNET}input_blocks.") and name.endswith(".0.op.weight") for name in shapes)


def _unet_config(shapes: Shapes, structure: str, sample_size: int) -> Config:
    """The UNet's configuration: the structure's, with the widths of the file."""
    per_level = 3  # two ResNets and what halves the resolution
    levels = range(_levels(shapes))
    channels = [shapes[f"{_UNET}input_blocks.{1 + per_level * each}.0.out_layers.3.weight"][0] for each in levels]
    prompts = [shape for name, shape in shapes.items() if name.startswith(_UNET) and name.endswith("attn2.to_k.weight")]
    heads = STRUCTURES[structure]["attention_head_dim"]
    config = {
        **STRUCTURES[structure],
        "sample_size": sample_size,
        "in_channels": shapes[f"{_UNET}input_blocks.0.0.weight"][1],
        "block_out_channels": channels,
        "cross_attention_dim": prompts[0][1] if prompts else None,
        "attention_head_dim": heads if isinstance(heads, int) else [width // _HEAD_WIDTH for width in channels],
    }
    label = shapes.get(f"{_UNET}label_emb.0.0.weight")
    if label is not None and (len(channels) == 3 or any(name.startswith("conditioner.") for name in shapes)):  # XL
        config |= {"addition_embed_type": "text_time", "projection_class_embeddings_input_dim": label[1]}
    elif label is not None:
        config |= {"class_embed_type": "projection"}
    elif f"{_UNET}label_emb.weight" in shapes:
        config |= {"num_class_embeds": shapes[f"{_UNET}label_emb.weight"][0]}
    return config


def _vae_config(shapes: Shapes, structure: str) -> Config:
    plain = SD_VAE if structure in ("sd1", "sd2") else SDXL_VAE
    levels = range(len(plain["block_out_channels"]))
    channels = [shapes[f"{_VAE}encoder.down.{each}.block.0.conv1.weight"][0] for each in levels]
    latents = shapes[f"{_VAE}quant_conv.weight"][0] // 2
    return {**plain, "block_out_channels": channels, "latent_channels": latents}


def _what_else(shapes: Shapes) -> str:
    """What a file is that has no UNet under the names of the first releases."""
    for part, what in _FOREIGN.items():
        if any(part in name for name in shapes):
            return what
    if any(name.startswith((_VAE, "encoder.", "decoder.")) for name in shapes):
        return "a VAE alone"
    return "no Stable Diffusion"


def converted(tensors: Mapping[str, Tensor], part: str, config: Config, averaged: bool) -> dict[str, Tensor]:
    """The tensors of a part under diffusers' names.

    Args:
        tensors: of the file.
        part: "unet" or "vae".
        config: of that part.
        averaged: take the weights that were averaged over the training, if the file has both.
    """
    with quiet():
        if part == "unet":
            return convert_ldm_unet_checkpoint(dict(tensors), dict(config), extract_ema=averaged)
        return convert_ldm_vae_checkpoint(dict(tensors), dict(config))
