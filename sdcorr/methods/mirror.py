"""Whether a target shows its object mirrored, told by the pictures and their mirror images alone.

A network of photographs knows which way a thing faces: features of a car that faces right are not those of the mirrored
car in the same place. So each picture is read once more, mirrored. The source is matched with the target and with the
mirrored target, and the better explained one says which side is seen. No table of left and right parts is needed,
unlike the flip of GeoAware-SC (Zhang et al. 2024), which reads the names of keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from sdcorr.methods.consensus import ANGLES, SCALES, Matches, Mirrored, explained, linear_parts, match_cells

# Log odds, by logistic regression on 259 pairs of drawings (toybox val, and 175 of the same world that no split has),
# features of `up_blocks.1` at t = 261; benchmarks/results/consensus.md has what they say of a class that was left out.
OWN = 0.5  # of how much better the mirrored target is explained, unmirrored, than the target
CROSSED = 1.5  # of how much better each of both is explained by reflections, against the other
LIKENESS = -0.8  # of how well both pictures are explained by their own mirror images
TURNED = 1.4  # of how much further the mirrored target is turned, which makes it less like the source; in TURN
PRIOR = -4.5
TURN = 30  # degrees
SHARE = 8.0  # power of what a linear part explains, in the mean of the turns


@dataclass(frozen=True, eq=False)
class Views:
    """A picture's features, and those of its mirror image; each over the whole picture and nothing else."""

    straight: Tensor  # (C, h, w)
    mirrored: Tensor  # (C, h, w), of the mirror image as it is, not turned back
    size: tuple[int, int]  # (W, H) pixels

    @cached_property
    def likeness(self) -> float:
        """Log of what a picture's mirror image explains of it, against what it explains itself: a crab's is great."""
        half = len(linear_parts()) // 2
        own, mirrored = (
            match_cells(self.straight, each, self.size, self.size) for each in (self.straight, self.mirrored)
        )
        itself, mirror_image = (explained(each, self.size)[:half] for each in (own, mirrored))
        return _log_most(mirror_image) - _log_most(itself)


def seen_mirrored(source: Views, target: Views, straight: Matches) -> Mirrored:
    """The matches of a source with the mirrored target, and the log odds that it is the mirrored one that fits.

    Args:
        source: one picture, both ways.
        target: the other.
        straight: their matches as they are.
    """
    mirrored = match_cells(source.straight, target.mirrored, source.size, target.size)
    width = target.size[0] / max(target.size)
    back = torch.stack((width - mirrored.target[:, 0], mirrored.target[:, 1]), -1)
    odds = _log_odds(explained(straight, target.size), explained(mirrored, target.size))
    return Mirrored(replace(mirrored, target=back), odds + LIKENESS * (source.likeness + target.likeness))


def _log_odds(straight: Tensor, mirrored: Tensor) -> float:
    """Of what the target and the mirrored target explain, (O,) each, without what either is like by itself."""
    half = len(straight) // 2
    plain, crossed = _log_most(straight[:half]), _log_most(straight[half:])
    fitting, twice = _log_most(mirrored[:half]), _log_most(mirrored[half:])
    further = _turn(mirrored[:half]) - _turn(straight[:half])
    return OWN * (fitting - plain) + CROSSED * (crossed - plain + fitting - twice) + TURNED * further + PRIOR


def _log_most(weights: Tensor) -> float:
    return float(weights.max().clamp(min=1e-9).log())


def _turn(weights: Tensor) -> float:
    """The mean turn either way, in TURN, weighted by what the linear parts explain."""
    angles = torch.tensor([abs(angle) / TURN for angle in ANGLES]).repeat(len(SCALES)).to(weights)
    shares = (weights / weights.max().clamp(min=1e-9)) ** SHARE
    return float((shares * angles).sum() / shares.sum().clamp(min=1e-9))
