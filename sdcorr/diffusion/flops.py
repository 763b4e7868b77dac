"""What the passes of a frozen model cost, and how fast a device makes them.

FLOPs are counted by torch on a blueprint, a model on the meta device that has shapes and no numbers: matrix products
and convolutions, attention included, 1 MAC = 2 FLOPs. A count takes about a second with Stable Diffusion.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from sdcorr.diffusion.model import FrozenModel

_GPU_BATCH = 8  # queries that are tried together; a CPU is busy with one
_TRIAL = 0.5  # seconds


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


def step_rate(model: FrozenModel, blueprint: FrozenModel) -> float:
    """FLOPs per second that a loaded model reaches just now in the optimization's loop.

    On a CPU by steps of one query; on a GPU by forward passes of several without gradients, which fit where such a step
    does.

    Args:
        model: to be tried.
        blueprint: of the same.
    """
    on_cpu = model.device.type == "cpu"
    batch = 1 if on_cpu else _GPU_BATCH
    noisy, embeddings = (each.expand(batch, *each.shape[1:]) for each in _inputs(model))

    def work() -> None:
        maps = torch.stack([each.sum() for each in model.attention_maps(noisy, 0, embeddings, heads="all")]).sum()
        if on_cpu:
            maps.backward()

    cost = map_flops(blueprint)
    with torch.set_grad_enabled(on_cpu):
        return rate(work, cost.step if on_cpu else batch * cost.forward, model.device)


def feature_rate(model: FrozenModel, blueprint: FrozenModel, block: str) -> float:
    """FLOPs per second that a loaded model reaches just now in `features`; for the arguments see `step_rate`."""
    noisy, embedding = _inputs(model)
    work = partial(model.features, noisy, 0, embedding.detach(), [block])
    return rate(work, feature_flops(blueprint, block), model.device)


def rate(work: Callable[[], object], flops: float, device: torch.device) -> float:
    """FLOPs per second that a device reaches just now, by a trial of half a second.

    Only the network itself can tell: a narrow one is kept busy by its memory traffic, not by what is counted here.

    Args:
        work: what is tried, at least twice, for at first everything is slow.
        flops: that it costs.
        device: that does it.
    """
    taken: list[float] = []
    while len(taken) < 2 or sum(taken) < _TRIAL:
        start = time.perf_counter()
        work()
        if device.type == "cuda":  # which works on after it was told what to do
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - start)
    return flops / min(taken)


def _inputs(model: FrozenModel) -> tuple[Tensor, Tensor]:
    """Latents of one crop and one embedding, of the right shapes."""
    side, device = model.latent_size, model.device
    noisy = torch.zeros(1, model.latent_channels, side, side, device=device)
    return noisy, torch.zeros(1, model.tokens, model.width, device=device, requires_grad=True)


def _pass(read: Callable[[], list[Tensor]]) -> Pass:
    with FlopCounterMode(display=False) as forward:
        total = torch.stack([maps.sum() for maps in read()]).sum()
    return Pass(forward.get_total_flops(), _count(total.backward))


def _count(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()
