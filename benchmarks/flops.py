"""What a matched point costs in FLOPs: `python benchmarks/flops.py`, in two minutes, with no GPU and no weights.

FLOPs of the network's parts are counted by torch on the meta device, on the model that the library runs (1 MAC = 2
FLOPs; matrix products and convolutions, including attention). How often each part runs is counted by running the
library itself, `FastMatcher` with all its draws and caches, on a stand-in for the network, with points all over
the image and with maps whose maximum is at the true point. The computation as released does every step separately and
again for every pair, each with an encoding and the whole UNet.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from measure import RESULTS, command, markdown, save
from PIL import Image
from rich.console import Console
from shapes import Model, load, model_named
from standin import StandIn
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sdcorr.datasets.base import Pair, SourceUnit, group_by_source
from sdcorr.diffusion import FrozenDiffusion
from sdcorr.diffusion.attention import cross_attention_paths
from sdcorr.methods.prompt_units import match_unit
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.speed import FastMatcher

H200_FLOPS = 790e12  # per second: bf16 matrix products as measured on one, not the data sheet's figure
SHARE = 0.4  # fraction of it that the method should reach


@dataclass(frozen=True)
class PartFlops:
    """FLOPs of the network's parts, for one query or one crop."""

    whole: int  # UNet forward, to its end
    forward: int  # UNet forward, stopped at the last map that is read
    backward: int  # to the embedding; the weights are frozen
    prelude: int  # UNet before its first cross-attention, which no embedding changes; part of `forward`
    encode: int  # VAE's encoder on one crop

    def total(self, steps: float, crops: float, encodes: float, truncate: bool = True) -> float:
        """FLOPs of a run.

        Args:
            steps: forward and backward passes, of one query each.
            crops: forward passes at transfer, of one embedding each.
            encodes: crops through the VAE.
            truncate: whether the UNet stops at the last map.
        """
        forward = self.forward if truncate else self.whole
        return steps * (forward + self.backward) + crops * forward + encodes * self.encode


@dataclass(frozen=True)
class Case:
    """A benchmark's typical class of images, each of which is the source for some or all of the others."""

    name: str
    images: int  # per class
    targets: int  # per source
    points: int  # query points per source, visible in every target
    total: int  # matches of the whole benchmark, one per point and pair


# PF-Willow (test_pairs.csv): all 900 ordered pairs of 10 classes of 10 images with 10 points. SPair-71k (test): 12,234
# pairs of 18 classes; the numbers of images, targets and points are typical ones.
CASES = (Case("PF-Willow", 10, 9, 10, 9_000), Case("SPair-71k", 26, 25, 8, 88_328))


class _FirstCrossAttention(Exception):
    """Raised inside the UNet when it reaches its first cross-attention."""


def part_flops(model: Model) -> PartFlops:
    """Count the FLOPs of the network's parts on the meta device, at batch size 1."""
    cut = load(model, "meta")
    whole = load(model, "meta", truncate=False)
    noisy = torch.zeros(1, cut.latent_channels, cut.latent_size, cut.latent_size, device="meta")
    embedding = torch.zeros(1, cut.tokens, cut.width, device="meta", requires_grad=True)
    image = torch.zeros(1, 3, cut.image_size, cut.image_size, device="meta")
    reading = {"token": model.settings.token, "heads": model.settings.heads}
    with FlopCounterMode(display=False) as forward:
        maps = cut.attention_maps(noisy, 0, embedding, **reading)
    with FlopCounterMode(display=False) as backward:
        torch.stack([layer.sum() for layer in maps]).sum().backward()
    with FlopCounterMode(display=False) as encode:
        cut.encode(image)
    with FlopCounterMode(display=False) as to_the_end:
        whole.features(noisy, 0, embedding.detach(), ["conv_out"])
    counts = (to_the_end, forward, backward, _count_prelude(whole, noisy, embedding), encode)
    return PartFlops(*(count.get_total_flops() for count in counts))


def _count_prelude(backbone: FrozenDiffusion, noisy: Tensor, embedding: Tensor) -> FlopCounterMode:
    def stop(module: nn.Module, inputs: object) -> None:
        raise _FirstCrossAttention

    first = cross_attention_paths(backbone.unet)[0]
    backbone.unet.get_submodule(first).register_forward_pre_hook(stop)
    with FlopCounterMode(display=False) as count, suppress(_FirstCrossAttention):
        backbone.features(noisy, 0, embedding.detach(), ["conv_out"])
    return count


class _KnownPeaks:
    """Replaces `MapCanvas`: maps that nobody reads, with maxima that are given in advance."""

    given: Iterator[Tensor]  # for each batch in turn (rows, 2) pixels

    def __init__(self, rows: int, layers: int, size: int, device: torch.device) -> None:
        self._maps = torch.zeros(rows, layers, 1, 1)
        self._peaks = next(self.given)

    def paste(self, maps: Sequence[Tensor], starts: Tensor, side: int) -> None:
        """Do nothing."""

    def mean(self, images: Sequence[str | None] = (), precision: str = "fp32") -> Tensor:
        """Return empty maps."""
        return self._maps

    def peaks(self) -> Tensor:
        """Return the given maxima, (rows, 2) pixels."""
        return self._peaks


def _no_pixels(images: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Replaces `crop_images`: only the shape of the result is right."""
    return images[:1].expand(len(boxes), *images.shape[1:])


def units_of(case: Case, size: int, seed: int = 0) -> tuple[list[SourceUnit], dict[str, Image.Image]]:
    """Make the units of work and the images of a class, all random: S x S pixels, points uniform over the image."""
    random = np.random.default_rng(seed)
    names = [f"{case.name}-{index}" for index in range(case.images)]
    pictures = {name: Image.fromarray(random.integers(256, size=(size, size, 3), dtype=np.uint8)) for name in names}
    points = {name: random.uniform(0, size, (case.points, 2)) for name in names}
    pairs = [
        Pair(
            id=f"{source}:{target}",
            category=case.name,
            source=source,
            target=target,
            source_size=(size, size),
            target_size=(size, size),
            source_points=points[source],
            target_points=points[target],
            visible=np.ones(case.points, dtype=bool),
            names=tuple(map(str, range(case.points))),
        )
        for index, source in enumerate(names)
        for target in (names[(index + 1 + ahead) % case.images] for ahead in range(case.targets))
    ]
    return group_by_source(pairs), pictures


def library_calls(case: Case, settings: PromptSettings, *, across: bool, found: bool = True) -> dict[str, float]:
    """Count how often the library runs each part of the network for one match, by kind, as `StandIn` counts.

    Args:
        case: whose images are matched.
        settings: of the method.
        across: whether one matcher serves all images of the class, so that latents outlive a unit of work; otherwise
            only the first unit is matched.
        found: whether the maxima of a target's maps are at the true points; otherwise they are anywhere, at another
            place for every query, which is the most that may have to be encoded.
    """
    model = StandIn(tokens=2, width=1, grids=(16,))
    settings = replace(settings, queries_per_batch=case.points * settings.restarts)
    units, pictures = units_of(case, model.image_size)
    matcher = FastMatcher(model, settings, case.name)
    units = units if across else units[:1]
    _KnownPeaks.given = _peaks(units, settings.restarts, model.image_size, found)
    maps = mock.patch("sdcorr.prompt.transfer.MapCanvas", _KnownPeaks)
    pixels = mock.patch("sdcorr.prompt.crops.crop_images", _no_pixels)
    with maps, pixels:
        matches = [match for unit in units for _, match in match_unit(matcher, unit, pictures.__getitem__)]
    return {kind: calls / sum(len(match.points) for match in matches) for kind, calls in model.calls.items()}


def _peaks(units: Sequence[SourceUnit], restarts: int, size: int, found: bool) -> Iterator[Tensor]:
    """Yield the maxima of each target's maps, for all its points and restarts, (P * R, 2) pixels."""
    generator = torch.Generator().manual_seed(0)
    for unit in units:
        for target in unit.targets:
            truth = torch.from_numpy(target.pair.true_points).float().repeat_interleave(restarts, 0)
            yield truth if found else torch.rand(truth.shape, generator=generator) * size


def released_calls(settings: PromptSettings) -> dict[str, float]:
    """Count the same for the computation as released: every match separately, one encoding per forward pass."""
    steps, crops = settings.restarts * settings.steps, settings.restarts * settings.transfer_crops
    return {"steps": steps, "crops": crops, "encodes": steps + crops}


def hours(flops: float) -> float:
    """Estimate the hours on one H200, if the method reaches SHARE of the matrix rate."""
    return flops / (H200_FLOPS * SHARE) / 3600


_PAGE = """# FLOPs of a matched point, {model}

{pieces}

Counted by `torch.utils.flop_counter` on the meta device: matrix products and convolutions, 1 MAC = 2 FLOPs.

{points}

A point in a pair is one match. A step (forward and backward) and a crop (forward, at transfer) are for one embedding,
an encode is for one crop. The library's counts are from a run of it with points all over the image and a stand-in for
the network, whose maps have their maxima at the true points (maxima anywhere: at another place for every query);
a source has, {classes}.
Hours are an estimate from FLOPs, not a measurement: all pair-points ({totals}) on one H200 at {rate}.
"""


def report(model: Model, cases: Sequence[Case]) -> tuple[dict[str, object], str]:
    """Count everything, and return it as plain values and as a page."""
    parts = part_flops(model)
    pieces = {
        "UNet forward, whole": parts.whole,
        "UNet forward, stopped at the last map that is read": parts.forward,
        "backward to the embedding only": parts.backward,
        "UNet before its first cross-attention": parts.prelude,
        "VAE encode of one crop": parts.encode,
    }
    rows, results = [], []
    for case in cases:
        variants = {
            "as released": (released_calls(model.settings), False),
            "library, latents kept within a source": (library_calls(case, model.settings, across=False), True),
            "library, latents kept across a class": (library_calls(case, model.settings, across=True), True),
            "the same, maxima anywhere": (library_calls(case, model.settings, across=True, found=False), True),
        }
        for name, (calls, truncate) in variants.items():
            flops = parts.total(**calls, truncate=truncate)
            results.append({"case": case.name, "variant": name, "calls": calls, "flops": flops})
            results[-1]["hours"] = hours(flops * case.total)
            counts = [f"{calls[kind]:.1f}" for kind in ("steps", "crops", "encodes")]
            rows.append([f"{case.name}, {name}", *counts, f"{flops / 1e12:,.1f}", f"{results[-1]['hours']:.2f}"])
    page = _PAGE.format(
        model=model.name,
        pieces=markdown(["piece, one query or crop", "GFLOP"], [[k, f"{v / 1e9:,.1f}"] for k, v in pieces.items()]),
        points=markdown(["a point in a pair", "steps", "crops", "encodes", "TFLOP", "hours"], rows),
        classes="; ".join(
            f"in {c.name}, {c.points} points and {c.targets} targets, in a class of {c.images} images" for c in cases
        ),
        totals=", ".join(f"{case.name} {case.total:,}" for case in cases),
        rate=f"{SHARE:.0%} of {H200_FLOPS / 1e12:.0f} TFLOP/s",
    )
    plain = {"model": model.name, "settings": asdict(model.settings), "parts": asdict(parts), "results": results}
    return plain, page


def main() -> None:
    """Read the command line, count, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="sd14", help="sd14 or another family, golden, toybox or a folder")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    args = parser.parse_args()
    plain, page = report(model_named(args.model), CASES)
    save(f"flops-{plain['model']}", args.out, plain, page)
    Console().print(page, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    command(main)
