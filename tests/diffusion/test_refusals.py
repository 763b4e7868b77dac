"""Models that cannot be read are told apart by their configurations, one sentence each."""

from typing import Any

import pytest

from sdcorr.diffusion.recognize import recognize
from sdcorr.errors import UserError
from tests.diffusion.test_recognize import configs


def refused(part: str, **changes: Any) -> str:
    """What is said about Stable Diffusion 1.4 with a part changed."""
    told = configs("sd14")
    told[part] = told[part] | changes
    with pytest.raises(UserError) as caught:
        recognize(told, "it")
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


def test_nothing_of_the_models_that_can_be_read():
    recognize(configs("sd14"), "it")


UNETS = {
    "an inpainting model": {"in_channels": 9},
    "InstructPix2Pix": {"in_channels": 8},
    "an upscaler": {"in_channels": 7},
    "depth-to-image": {"in_channels": 5},
    "of pixels, not of latents": {"in_channels": 3},
    "takes 6 channels and its vae/ makes 4: they do not belong together": {"in_channels": 6},
    "an unCLIP model": {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 2048},
    "class-conditioned": {"num_class_embeds": 1000},
    "class-conditioned: ": {"class_embed_type": "timestep"},
    "encoder_hid_dim_type image_proj": {"encoder_hid_dim_type": "image_proj", "encoder_hid_dim": 1280},
    "addition_embed_type text": {"addition_embed_type": "text"},
    "prompts of different kinds": {"cross_attention_dim": [768, 768, 1280, 1280]},
    "SDXL's refiner": {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2560,
    },
    "other things than SDXL is": {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 1280,
    },
    "boxes beside the prompt": {"attention_type": "gated"},
    "time_embedding_type fourier": {"time_embedding_type": "fourier"},
    "only_cross_attention": {"only_cross_attention": [True, True, True, False]},
    "is quantized": {"quantization_config": {"load_in_4bit": True}},
    "has not (SimpleCrossAttnDownBlock2D": {
        "down_block_types": ["SimpleCrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    },
    "a video model": {"_class_name": "UNet3DConditionModel"},
    "a FooModel": {"_class_name": "FooModel"},
}


@pytest.mark.parametrize("what", UNETS)
def test_unets(what):
    assert what in refused("unet", **UNETS[what])


@pytest.mark.parametrize(
    "value",
    [
        {"block_out_channels": "320"},
        {"block_out_channels": [320, 640]},
        {"layers_per_block": 2.5},
        {"norm_num_groups": 0},
        {"down_block_types": None},
        {"in_channels": [4]},
    ],
)
def test_values_that_describe_no_unet(value):
    message = refused("unet", **value)
    assert "unet/config.json of it describes no UNet2DConditionModel" in message or "do not belong" in message


VAES = {
    "is a AutoencoderTiny, and an AutoencoderKL is needed": {"_class_name": "AutoencoderTiny"},
    "takes 4 channels and its vae/ makes 16": {"latent_channels": 16},
    "scaling_factor 'big', which is no number": {"scaling_factor": "big"},
    "vae/config.json of it describes no AutoencoderKL": {"block_out_channels": 7},
}


@pytest.mark.parametrize("what", VAES)
def test_vaes(what):
    assert what in refused("vae", **VAES[what])


SCHEDULES = {
    "flow matching": {"_class_name": "FlowMatchEulerDiscreteScheduler"},
    "flow matching, which": {"prediction_type": "flow_prediction"},
    "EDMEulerScheduler, whose noise": {"_class_name": "EDMEulerScheduler"},
    "beta_schedule 'sigmoid', which is unknown: it can be linear": {"beta_schedule": "sigmoid"},
    "prediction_type 'x0', which is unknown": {"prediction_type": "x0"},
    "describes no noise schedule": {"beta_start": "0.1"},
    "describes no noise schedule: ": {"beta_end": 7.0},
    "describes no noise schedule: fetch": {"num_train_timesteps": 0},
}


@pytest.mark.parametrize("what", SCHEDULES)
def test_schedules(what):
    assert what in refused("scheduler", **SCHEDULES[what])


@pytest.mark.parametrize("tokens", [0, -1, "77", 77.5, 10**6, [77], True])
def test_numbers_of_tokens(tokens):
    assert "text_encoder/config.json of it says that a prompt has" in refused(
        "text_encoder", max_position_embeddings=tokens
    )


@pytest.mark.parametrize("unknown", [1e30, 1000000000000000019884624838656])
def test_a_tokenizer_that_does_not_know_its_length(unknown):
    told = configs("sd14") | {"text_encoder": {}, "tokenizer": {"model_max_length": unknown}}
    assert recognize(told, "it").tokens == 77
