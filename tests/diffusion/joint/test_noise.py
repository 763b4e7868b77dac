import math

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from sdcorr.diffusion.joint.noise import flow_sigmas

FLUX = {"use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15, "base_image_seq_len": 256}


def sigmas(image_tokens: int = 0, **config: object) -> torch.Tensor:
    return flow_sigmas(FlowMatchEulerDiscreteScheduler(**config).config, image_tokens)


def test_without_a_shift_it_is_the_share_of_the_way():
    levels = sigmas(num_train_timesteps=4)
    assert levels.tolist() == [0, 0.25, 0.5, 0.75]


def test_shift_hand_computed():
    levels = sigmas(shift=3.0)
    assert len(levels) == 1000
    assert levels[500].item() == pytest.approx(3 * 0.5 / (1 + 2 * 0.5))  # half the way is three quarters of the noise
    assert levels[100].item() == pytest.approx(0.25)


def test_timestep_n_is_the_nth_from_the_end_of_the_schedulers_own():
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    torch.testing.assert_close(sigmas(shift=3.0)[1:], scheduler.sigmas.flip(0)[:-1], rtol=1e-6, atol=0)


@pytest.mark.parametrize("image_tokens, mu", [(256, 0.5), (4096, 1.15), (1024, 0.5 + 0.65 * 768 / 3840)])
def test_shift_that_grows_with_the_picture(image_tokens, mu):
    levels = sigmas(image_tokens, **FLUX)
    assert levels[500].item() == pytest.approx(math.exp(mu) / (math.exp(mu) + 1))
    scheduler = FlowMatchEulerDiscreteScheduler(**FLUX)
    scheduler.set_timesteps(sigmas=[0.7, 0.2], mu=mu)
    torch.testing.assert_close(levels[[700, 200]], scheduler.sigmas[:2])


def test_shift_that_is_linear():
    levels = sigmas(4096, **FLUX, time_shift_type="linear")
    assert levels[500].item() == pytest.approx(1.15 / 2.15)
