"""What the presets of joint-attention models say fits these models."""

import pytest
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler

from sdcorr.cli import build
from sdcorr.cli.compose import compose
from sdcorr.diffusion.joint.noise import flow_sigmas
from sdcorr.prompt import PromptSettings
from tests.diffusion.joint.models import FAMILIES, SCHEDULES

SIDE = 1024  # of these models' pictures
RELEASED = PromptSettings()  # of the method, for Stable Diffusion 1.4's 512 pixels


@pytest.mark.parametrize("family", FAMILIES)
def test_noise_is_that_of_stable_diffusion_at_the_released_timesteps(family: str) -> None:
    cfg = compose("eval", f"model={family}")
    settings = build.prompt_settings(cfg)
    schedule = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    image_tokens = (SIDE // 16) ** 2
    sigmas = flow_sigmas(FlowMatchEulerDiscreteScheduler(**SCHEDULES[family]).config, image_tokens)
    for ours, theirs in (
        (settings.timestep, RELEASED.timestep),
        (settings.transfer_timestep, RELEASED.transfer_timestep),
        (cfg.model.methods.unet_features.timestep, 261),  # DIFT's
    ):
        alpha, sigma = schedule.alphas_cumprod[theirs].item(), sigmas[ours].item()
        assert (sigma / (1 - sigma)) ** 2 == pytest.approx((1 - alpha) / alpha, rel=0.03)  # one timestep is 2 %


@pytest.mark.parametrize("family", FAMILIES)
def test_widths_are_the_released_shares_of_the_side(family: str) -> None:
    settings = compose("eval", f"model={family}").method
    assert settings.sigma / SIDE == pytest.approx(RELEASED.sigma / 512)
    assert settings.window / SIDE == pytest.approx(RELEASED.window / 512)
