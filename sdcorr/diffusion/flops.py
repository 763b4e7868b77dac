"""What the passes of a frozen model cost, and how fast a device makes them.

FLOPs are counted by torch on a blueprint, a model on the meta device that has shapes and no numbers: matrix products
and convolutions, attention included, 1 MAC = 2 FLOPs. A count takes about a second with Stable Diffusion.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from diffusers.models.unets.unet_2d_blocks import CrossAttnDownBlock2D
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from sdcorr.diffusion.model import FrozenModel
from sdcorr.diffusion.precision import Float32Mode, Precision, weights_dtype

_GPU_BATCH = 16  # pictures that go through the trial block together; a CPU is busy with one
_CHANNELS, _SIDE, _TIME, _TOKENS, _WIDTH = 640, 32, 1280, 77, 768  # of the trial: Stable Diffusion's second level


@dataclass(frozen=True)
class Pass:
    """FLOPs of reading maps, of one query or crop."""

    forward: int  # stopped at the last map that is read
    backward: int  # to the embedding; the weights are frozen

    @property
    def step(self) -> int:
        """Of a step of the optimization."""
        return self.forward + self.backward


@cache
def map_flops(blueprint: FrozenModel) -> Pass:
    """Of `attention_maps`."""
    noisy, embedding = _inputs(blueprint)
    return _pass(lambda: blueprint.attention_maps(noisy, 0, embedding, heads="all"))


@cache
def attend_flops(blueprint: FrozenModel) -> Pass:
    """Of `attend`, with attention queries that were read before."""
    noisy, embedding = _inputs(blueprint)
    queries = blueprint.attention_queries(noisy, 0, embedding, heads="all")
    return _pass(lambda: blueprint.attend(queries, embedding, heads="all"))


@cache
def encode_flops(blueprint: FrozenModel) -> int:
    """Of `encode`."""
    side = blueprint.image_size
    return _count(lambda: blueprint.encode(torch.zeros(1, 3, side, side, device="meta")))


@cache
def feature_flops(blueprint: FrozenModel, block: str) -> int:
    """Of `features`, which leaves the network behind that block."""
    noisy, embedding = _inputs(blueprint)
    return _count(lambda: blueprint.features(noisy, 0, embedding.detach(), [block]))


@cache
def rate(device: torch.device, precision: Precision) -> float:
    """FLOPs per second that a device reaches just now, by a trial of about a second.

    What is tried is one block of a UNet, as they all are: convolutions, attention and norms of common sizes. A whole
    network may be faster or slower by half.

    Args:
        device: to be tried.
        precision: in which the network computes there.
    """
    options = {"dtype": weights_dtype(precision), "device": device}
    with torch.random.fork_rng([]):  # its weights are drawn on the CPU
        block = CrossAttnDownBlock2D(
            *(_CHANNELS, _CHANNELS, _TIME),
            num_layers=1,
            num_attention_heads=8,
            cross_attention_dim=_WIDTH,
            add_downsample=False,
        )
    block.to(**options).requires_grad_(False).eval()
    batch = 1 if device.type == "cpu" else _GPU_BATCH
    x = torch.ones(batch, _CHANNELS, _SIDE, _SIDE, **options)
    told = {"temb": torch.ones(batch, _TIME, **options)}
    told |= {"encoder_hidden_states": torch.ones(batch, _TOKENS, _WIDTH, **options)}
    with torch.no_grad(), Float32Mode(precision):
        flops = _count(lambda: block(x, **told))  # which warms it up
        start = time.perf_counter()
        block(x, **told)[0].sum().item()  # which waits for a GPU
        return flops / (time.perf_counter() - start)


def _inputs(blueprint: FrozenModel) -> tuple[Tensor, Tensor]:
    """Latents of one crop and one embedding, of the right shapes."""
    side = blueprint.latent_size
    noisy = torch.zeros(1, blueprint.latent_channels, side, side, device="meta")
    return noisy, torch.zeros(1, blueprint.tokens, blueprint.width, device="meta", requires_grad=True)


def _pass(read: Callable[[], list[Tensor]]) -> Pass:
    with FlopCounterMode(display=False) as forward:
        total = torch.stack([maps.sum() for maps in read()]).sum()
    return Pass(forward.get_total_flops(), _count(total.backward))


def _count(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()
