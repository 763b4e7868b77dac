"""What a model is that cannot be read, told from its configurations, before any weight is read or fetched.

The method optimizes a prompt embedding and reads cross-attention: it needs a latent diffusion UNet that is given noisy
latents, a time and a prompt, and nothing else but what can be made up (SDXL's sizes, a guidance scale).
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from diffusers import DDIMScheduler
from torch import Tensor

from sdcorr.diffusion.structures import CLIP_TOKENS, SD_SCHEDULE, Config
from sdcorr.errors import UserError

Configs = Mapping[str, Config]  # part of a model ("unet", "vae", "scheduler" ...) -> what its JSON file says

INSTEAD = "choose a text-to-image model of Stable Diffusion 1.x, 2.x or XL, such as model=sd14"

_BY_CHANNELS = {
    9: "an inpainting model (its UNet takes 9 channels: latents, a mask and the masked image)",
    8: "a model that edits or reads a given image, as InstructPix2Pix and Marigold do (its UNet takes 8 channels)",
    7: "an upscaler (its UNet takes 7 channels: latents and a small image)",
    5: "a depth-to-image model (its UNet takes 5 channels: latents and a depth map)",
    3: "a diffusion model of pixels, not of latents (its UNet takes 3 channels)",
}
_BY_CLASS = {
    "UNet2DModel": "an unconditional diffusion model, which has no prompt",
    "UNet3DConditionModel": "a video model",
    "UNetMotionModel": "a video model (AnimateDiff)",
    "MotionAdapter": "a motion adapter (AnimateDiff), an addition to a model",
    "UNetSpatioTemporalConditionModel": "a video model (Stable Video Diffusion)",
    "ControlNetModel": "a ControlNet, an addition to a model",
    "T2IAdapter": "a T2I-Adapter, an addition to a model",
    "AutoencoderKL": "a VAE alone",
    "AutoencoderTiny": "a tiny VAE alone",
    "CLIPTextModel": "a text encoder",
    "CLIPTextModelWithProjection": "a text encoder",
    "CLIPModel": "a CLIP",
    "T5EncoderModel": "a text encoder",
    "PixArtTransformer2DModel": "PixArt, a diffusion transformer",
    "DiTTransformer2DModel": "a DiT, a diffusion transformer without a prompt",
    "HunyuanDiT2DModel": "Hunyuan-DiT, a diffusion transformer",
    "SD3Transformer2DModel": "Stable Diffusion 3, a diffusion transformer",
    "FluxTransformer2DModel": "FLUX, a diffusion transformer",
    "Transformer2DModel": "a diffusion transformer (PixArt or DiT)",
    "StableCascadeUNet": "Stable Cascade",
    "Kandinsky3UNet": "Kandinsky 3",
}
_UNET_CLASSES = (None, "UNet2DConditionModel", "FlaxUNet2DConditionModel")
_BLOCKS = {
    *("CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    *("UNetMidBlock2DCrossAttn", "UNetMidBlock2D", None),
}
_BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")
_PREDICTIONS = ("epsilon", "v_prediction", "sample")
_PLAIN = {  # switches of UNets that change what attends to what: the value that Stable Diffusion has
    "only_cross_attention": "lets positions attend to the prompt in place of themselves",
    "dual_cross_attention": "attends to two prompts at once",
    "cross_attention_norm": "normalizes the prompt before it attends",
    "num_attention_heads": "gives its number of heads in a way that diffusers does not read",
    "quantization_config": "is quantized, so that no gradient passes it",
}


def what_is(kind: str) -> str:
    """In words, what a model of a class of diffusers or transformers is."""
    return _BY_CLASS.get(kind, f"a {kind}")


def refuse(configs: Configs, name: str) -> None:
    """Does nothing for a model that can be read.

    Args:
        configs: of all its parts; an empty one for a part that is not there.
        name: of the model, for the message.

    Raises:
        UserError: for any other, saying what it is.
    """
    for reason in _reasons(configs):
        raise UserError(f"{name} is {reason}: {INSTEAD}.")
    _check_vae(configs, name)
    _check_schedule(configs["scheduler"], name)


def _reasons(configs: Configs) -> Iterator[str]:
    """What a model is that its UNet rules out, as the end of 'it is ...'."""
    unet = configs["unet"]
    if (kind := unet.get("_class_name")) not in _UNET_CLASSES:
        yield what_is(str(kind))
    if isinstance(channels := unet.get("in_channels", 4), int) and channels in _BY_CHANNELS:
        yield _BY_CHANNELS[channels]
    if (kind := unet.get("class_embed_type")) == "projection":
        yield "an unCLIP model, which wants the embedding of an image (class_embed_type projection)"
    if kind is not None or unet.get("num_class_embeds") is not None:
        yield "class-conditioned: its UNet wants a label beside the prompt (class_embed_type or num_class_embeds)"
    if (kind := unet.get("encoder_hid_dim_type")) is not None:
        yield f"a model whose UNet projects its prompt or an image first (encoder_hid_dim_type {kind}), as unCLIP's do"
    if (kind := unet.get("addition_embed_type")) not in (None, "text_time"):
        yield f"a model that wants more than a prompt (addition_embed_type {kind})"
    if kind == "text_time" and _is_refiner(unet):
        yield "SDXL's refiner, which is told how beautiful a picture is"
    if kind == "text_time" and not _has_room_for_sizes(unet):
        yield "a model that is told other things than SDXL is (projection_class_embeddings_input_dim)"
    if isinstance(width := unet.get("cross_attention_dim"), list | tuple):
        yield f"a model whose blocks take prompts of different kinds (cross_attention_dim {list(width)})"
    if (kind := unet.get("attention_type", "default")) != "default":
        yield f"a grounded model, which wants boxes beside the prompt (attention_type {kind})"
    if (kind := unet.get("time_embedding_type", "positional")) != "positional":
        yield f"a model that is told the time in another way (time_embedding_type {kind})"
    for key, what in _PLAIN.items():
        if unet.get(key):
            yield f"a model whose UNet {what} ({key})"
    if foreign := [block for block in _blocks(unet) if block not in _BLOCKS]:
        yield f"a model with blocks that Stable Diffusion has not ({', '.join(map(str, foreign))})"


def _is_refiner(unet: Config) -> bool:
    """Five numbers beside the pooled text, where SDXL's base has six: 1280 + 5 * 256."""
    return unet.get("projection_class_embeddings_input_dim") == 2560


def _has_room_for_sizes(unet: Config) -> bool:
    """Whether six numbers and a pooled text fit into what is projected."""
    whole, each = unet.get("projection_class_embeddings_input_dim"), unet.get("addition_time_embed_dim")
    return isinstance(whole, int) and isinstance(each, int) and whole > 6 * each > 0


def _blocks(unet: Config) -> Iterator[Any]:
    for key in ("down_block_types", "up_block_types"):
        yield from unet.get(key) or ()
    yield unet.get("mid_block_type")


def _check_vae(configs: Configs, name: str) -> None:
    vae, unet = configs["vae"], configs["unet"]
    if (kind := vae.get("_class_name", "AutoencoderKL")) not in ("AutoencoderKL", "FlaxAutoencoderKL"):
        raise UserError(f"The vae/ of {name} is a {kind}, and an AutoencoderKL is needed: {INSTEAD}.")
    takes, makes = unet.get("in_channels", 4), vae.get("latent_channels", 4)
    if takes != makes:
        raise UserError(
            f"The unet/ of {name} takes {takes} channels and its vae/ makes {makes}: they do not belong together."
        )
    for key in ("scaling_factor", "shift_factor"):
        if not _is_finite(vae.get(key) or 1):
            raise UserError(f"The vae/config.json of {name} has {key} {vae[key]!r}, which is no number.")


def _check_schedule(schedule: Config, name: str) -> None:
    where = f"The scheduler/scheduler_config.json of {name}"
    kind, betas = str(schedule.get("_class_name", "")), schedule.get("beta_schedule", "linear")
    if "FlowMatch" in kind or schedule.get("prediction_type") == "flow_prediction":
        raise UserError(
            f"{where} is one of flow matching, which no UNet of Stable Diffusion was trained with: {INSTEAD}."
        )
    if kind.startswith("EDM") or "KarrasVe" in kind:
        raise UserError(f"{where} is a {kind}, whose noise is not that of Stable Diffusion: {INSTEAD}.")
    if betas not in _BETA_SCHEDULES and schedule.get("trained_betas") is None:
        raise UserError(
            f"{where} has beta_schedule {betas!r}, which is unknown: it can be {', '.join(_BETA_SCHEDULES)}."
        )
    if (kind := schedule.get("prediction_type", "epsilon")) not in _PREDICTIONS:
        raise UserError(f"{where} has prediction_type {kind!r}, which is unknown: it can be {', '.join(_PREDICTIONS)}.")


def noise_schedule(schedule: Config, name: str) -> Tensor:
    """The share of the latents in noisy latents, Stable Diffusion's where a model says none.

    Args:
        schedule: its scheduler_config.json.
        name: of the model, for the message.

    Returns:
        (timesteps,) cumulative alphas.

    Raises:
        UserError: if it describes none: shares that do not fall from 1 towards 0.
    """
    try:
        made: Any = DDIMScheduler.from_config(dict(schedule or SD_SCHEDULE))
        shares: Tensor = made.alphas_cumprod
    except Exception as error:  # nobody knows in how many ways a wrong value can break what is built with it
        raise UserError(_no_schedule(name)) from error
    if not (len(shares) and (shares.diff() <= 0).all() and 0 <= shares[-1] <= shares[0] <= 1):  # nor is NaN any of it
        raise UserError(_no_schedule(name))
    return shares


def _no_schedule(name: str) -> str:
    return (
        f"The scheduler/scheduler_config.json of {name} describes no noise schedule: fetch the file again, or remove "
        "it for Stable Diffusion's own schedule."
    )


def prompt_tokens(configs: Configs, name: str) -> int:
    """How many tokens a prompt of the model has, CLIP's 77 where nothing says more.

    Raises:
        UserError: if what says it is no number of tokens.
    """
    said = {
        "text_encoder/config.json": configs["text_encoder"].get("max_position_embeddings"),
        "tokenizer/tokenizer_config.json": configs["tokenizer"].get("model_max_length"),
    }
    for file, tokens in said.items():
        if tokens is None or (_is_finite(tokens) and tokens > 1e15):  # transformers' word for "not known" is 1e30
            continue
        if not isinstance(tokens, int) or isinstance(tokens, bool) or not 0 < tokens <= 4096:
            raise UserError(
                f"The {file} of {name} says that a prompt has {tokens!r} tokens: fetch the file again, or give "
                f"model.tokens ({CLIP_TOKENS} for Stable Diffusion)."
            )
        return tokens
    return CLIP_TOKENS


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
