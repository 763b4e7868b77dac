"""Which of a map's own peaks the two pictures as wholes speak for: the stage between maps and localization.

One map knows nothing of the others: the left ear's has a peak at either ear. What the pictures as wholes have in common
decides between the peaks. Features of both on a coarse grid give matches of cells with weights; each match, under each
rotation, scale and reflection, says where it would send a query point. Matches near the query point vote for a peak, so
that bent limbs are no contradiction, and all matches say which rotation, scale and reflection the pair has. This is the
Hough voting of Cho et al. 2015 ("Unsupervised Object Discovery and Localization in the Wild"), asked at peaks alone.
Nothing is moved to where the map has no peak, and a peak's place is still read from the map.

`dense` uses the two pictures and one query point at a time, as published protocols have it. `joint` also uses where the
pair's other query points may be: another task, whose numbers are not for a table with published ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from sdcorr.errors import UserError

Consensus = Literal["none", "dense", "joint"]

# Chosen on the val split of the toybox and on a ninth of PF-Willow's pairs; docs/methods.md has what else was tried.
GRID = 16  # cells a side of the pictures' features
BEST = 3  # matches that are kept of each cell of the source
SHARPNESS = 0.04  # temperature of the matches' softmax, of cosines
REACH = 0.15  # how far from the query point a match has a say, in longer sides of the picture (sigma)
SLACK = 0.08  # how far from a peak a match may send the query point and still speak for it, likewise
WHOLE = 2.0  # power of what all matches say of a rotation, scale and reflection
LEAST = 0.03  # share of the votes below which a peak loses no more
JOINT_WEIGHT = 4.0  # of what the other query points lose on average
JOINT_SLACK = 0.06  # as SLACK, for the other query points
JOINT_LEAST = 0.02  # as LEAST, for them
PEAKS = 8  # that are looked at of each map
PEAK_GRID = 64  # cells a side that maps are brought to to look for peaks
APART = 3  # cells of it that a peak is the greatest within
ANGLES = range(-60, 61, 15)  # degrees
SCALES = (0.75, 1.0, 1.33)


@dataclass(frozen=True)
class Matches:
    """Cells of the source with cells of the target that resemble them; lengths in longer sides of the picture."""

    source: Tensor  # (M, 2) xy
    target: Tensor  # (M, 2) xy
    weights: Tensor  # (M,) not negative


@dataclass(frozen=True, eq=False)
class Choice:
    """The peaks of maps, and what speaks for each: that with the greatest sum is taken."""

    places: Tensor  # (V, K, 2) xy as shares of the target's width and height
    scores: Tensor  # (V, K) logarithms, the greatest first; -inf where a map has fewer peaks
    votes: Tensor  # (V, K) logarithms, of what the two pictures say; of the other query points too, if joint

    @property
    def taken(self) -> Tensor:
        """The place of each map, (V, 2)."""
        best = (self.scores + self.votes).argmax(1)
        return self.places[torch.arange(len(best), device=best.device), best]


def check_consensus(method: str, consensus: str) -> None:
    """Raises UserError if there is no such consensus."""
    if consensus not in get_args(Consensus):
        raise UserError(f"consensus={consensus} of {method} is not legal: give {', '.join(get_args(Consensus))}.")


def chosen_peaks(
    scores: Tensor, points: Tensor, matches: Matches, size: tuple[int, int], *, joint: bool = False
) -> Tensor:
    """The peak of each map that the pictures speak for, (V, 2); see `weighed_peaks`."""
    return weighed_peaks(scores, points, matches, size, joint=joint).taken


def weighed_peaks(
    scores: Tensor, points: Tensor, matches: Matches, size: tuple[int, int], *, joint: bool = False
) -> Choice:
    """The peaks of maps, with what the pictures say of each.

    Args:
        scores: (V, h, w) over the whole target, in units of a logarithm: one more is e times as likely.
        points: (V, 2) query points, in longer sides of the source.
        matches: of the pair.
        size: (W, H) of the target in pixels, for its aspect ratio.
        joint: whether the other query points of the pair have a say.
    """
    cells, values = peaks(scores)  # (V, K, 2), (V, K)
    shares = cells / torch.tensor([scores.shape[-1], scores.shape[-2]]).to(scores)
    places = shares * (torch.tensor(size) / max(size)).to(scores)
    gains = (votes_for(matches, points, places) + LEAST).log()  # (V, K, O)
    if joint:
        gains += JOINT_WEIGHT * together(values, points, places)
    return Choice(shares, values, gains.amax(-1))


def match_cells(source: Tensor, target: Tensor, source_size: tuple[int, int], target_size: tuple[int, int]) -> Matches:
    """Cells of two pictures that resemble each other, from features on a grid over each picture.

    A match's weight is the share that either cell has among all the other's partners, multiplied: near 1 where both
    choose each other and nobody else, small where a texture repeats.

    Args:
        source: (C, h, w) features of the source, of the whole picture and nothing else.
        target: (C, h', w') of the target.
        source_size, target_size: (W, H) of the pictures in pixels, for their aspect ratios.
    """
    cosines = F.normalize(source.flatten(1), dim=0).T @ F.normalize(target.flatten(1), dim=0) / SHARPNESS
    weights, partners = (cosines.softmax(0) * cosines.softmax(1)).topk(min(BEST, cosines.shape[1]), 1)  # (h * w, BEST)
    places = _centers(target, target_size)[partners]  # (h * w, BEST, 2)
    origins = _centers(source, source_size)[:, None].expand_as(places)
    return Matches(origins.flatten(0, 1), places.flatten(0, 1), weights.flatten())


def peaks(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The greatest local maxima of maps.

    Args:
        scores: (V, h, w).

    Returns:
        (V, K, 2) xy of their cells, the first's center being (0.5, 0.5); (V, K) scores, -inf if there are fewer.
    """
    side = 2 * APART + 1
    summits = scores.masked_fill(scores < F.max_pool2d(scores[None], side, 1, APART)[0], -torch.inf)
    values, index = summits.flatten(1).topk(min(PEAKS, summits[0].numel()), 1)
    width = scores.shape[-1]
    return torch.stack((index % width, index // width), -1) + 0.5, values


def votes_for(matches: Matches, points: Tensor, places: Tensor) -> Tensor:
    """How much the two pictures speak for sending each point to each of its places, each by itself.

    Args:
        matches: of the pair.
        points: (V, 2) query points, in longer sides of the source.
        places: (V, K, 2), in longer sides of the target.

    Returns:
        (V, K, O) shares of the most votes that a place of the point has under one of the O linear parts: 1 at that
        one; all 1 where no match votes at all.
    """
    linear = linear_parts().to(points)  # (O, 2, 2)
    tiny = torch.finfo(points.dtype).tiny
    votes = points.new_ones(*places.shape[:2], len(linear))
    for point, candidates, row in zip(points, places, votes, strict=True):
        away = matches.source - point  # (M, 2)
        sent = matches.target - torch.einsum("oab,mb->oma", linear, away)  # (O, M, 2): where a match sends the point
        squares = (sent - candidates[:, None, None]).square().sum(-1)  # (K, O, M)
        agreeing = torch.exp(-squares / (2 * SLACK**2)) * matches.weights
        whole = agreeing.sum(-1).amax(0)  # (O,): the most that each linear part explains of the pair
        near = torch.exp(-away.square().sum(-1) / (2 * REACH**2))  # (M,)
        found = (agreeing @ near) * (whole / whole.max().clamp(min=tiny)) ** WHOLE  # (K, O)
        if (most := found.max()) > tiny:
            row[:] = found / most
    return votes


def together(values: Tensor, points: Tensor, places: Tensor) -> Tensor:
    """How well the other points of the pair fit, if a point is at one of its places under one of the linear parts.

    Args:
        values: (V, K) scores of the places.
        points: (V, 2) query points, in longer sides of the source.
        places: (V, K, 2), in longer sides of the target.

    Returns:
        (V, K, O) means over the other points, of what each loses at the best of its own places; 0 for a lone point.
    """
    linear, count = linear_parts().to(points), len(points)
    least = values.amax(1, keepdim=True) - values  # (V, K), inf where a map has fewer peaks
    ways = torch.einsum("oab,vwb->vowa", linear, points[None] - points[:, None])  # (V, O, W, 2) from point v to w
    losses = values.new_zeros(*values.shape, len(linear))
    for number in range(count):
        expected = places[number][:, None, None] + ways[number]  # (K, O, W, 2)
        squares = (expected[..., None, :] - places).square().sum(-1)  # (K, O, W, K)
        fit = ((torch.exp(-squares / (2 * JOINT_SLACK**2)) + JOINT_LEAST).log() - least).amax(-1)  # (K, O, W)
        losses[number] = fit.sum(-1) - fit[..., number]
    return losses / max(count - 1, 1)


def linear_parts() -> Tensor:
    """The rotations, scales and reflections that are looked through, (O, 2, 2)."""
    parts = []
    for mirror in (1, -1):
        for scale in SCALES:
            for angle in map(math.radians, ANGLES):
                cos, sin = scale * math.cos(angle), scale * math.sin(angle)
                parts.append([[mirror * cos, -sin], [mirror * sin, cos]])
    return torch.tensor(parts)


def _centers(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Centers of the cells of a picture's grid, (h * w, 2) xy in longer sides of the picture."""
    height, width = features.shape[-2:]
    x = (torch.arange(width, device=features.device) + 0.5) * (size[0] / max(size) / width)
    y = (torch.arange(height, device=features.device) + 0.5) * (size[1] / max(size) / height)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1)
