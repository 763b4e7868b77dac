"""The noise of flow-matching models: how much of it there is at each timestep of the model's own schedule.

A noisy latent is (1 - sigma) * latent + sigma * noise, and the network is told sigma. The schedule counts N timesteps
(1,000 as a rule) and shifts them towards more noise, since a large picture hides less under the same sigma (Esser et
al. 2024, "Scaling Rectified Flow Transformers", section 5.3.2). The shift is a constant of the model, as in Stable
Diffusion 3, or grows with the number of image tokens, as in FLUX.1-dev.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def flow_sigmas(schedule: Mapping[str, Any], image_tokens: int) -> Tensor:
    """The share of noise at every timestep.

    Args:
        schedule: configuration of a `FlowMatchEulerDiscreteScheduler`, whole.
        image_tokens: how many tokens the picture has in the transformer, for schedules that ask.

    Returns:
        (N,) float32: sigma of timestep n is shift * s / (1 + (shift - 1) * s) at s = n / N; 0 at timestep 0.
    """
    steps = schedule["num_train_timesteps"]
    share = torch.arange(steps, dtype=torch.float64) / steps
    shift = _shift(schedule, image_tokens)
    return (shift * share / (1 + (shift - 1) * share)).float()


def _shift(schedule: Mapping[str, Any], image_tokens: int) -> float:
    if not schedule["use_dynamic_shifting"]:
        return schedule["shift"]
    fewest, most = schedule["base_image_seq_len"], schedule["max_image_seq_len"]
    least, greatest = schedule["base_shift"], schedule["max_shift"]
    mu = least + (greatest - least) * (image_tokens - fewest) / (most - fewest)
    return math.exp(mu) if schedule["time_shift_type"] == "exponential" else mu
