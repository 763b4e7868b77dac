"""Which of a map's own peaks the two pictures as wholes speak for: the stage between maps and localization.

One map knows nothing of the others: the left ear's has a peak at either ear. What the pictures as wholes have in common
decides between the peaks. Features of both on a coarse grid give matches of cells with weights; each match, under each
rotation, scale and reflection, says where it would send a query point. Matches near the query point vote for a peak, so
that bent limbs are no contradiction, and all matches say which rotation, scale and reflection the pair has. This is the
Hough voting of Cho et al. 2015 ("Unsupervised Object Discovery and Localization in the Wild"), asked at peaks alone.
Nothing is moved to where the map has no peak, and a peak's place is still read from the map.

`dense` uses the two pictures and one query point at a time, as published protocols have it. `dense_flip` reads the
pictures mirrored as well, which says whether the target shows the object's other side: `sdcorr.methods.mirror`.
`joint` also uses where the pair's other query points may be: another task, whose numbers are not for a table with
published ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from sdcorr.errors import UserError

Consensus = Literal["none", "dense", "dense_flip", "joint"]

# Chosen on the val split of the toybox and on a ninth of PF-Willow's pairs; docs/methods.md has what else was tried.
GRID = 16  # cells a side of the pictures' features
BEST = 3  # matches that are kept of each cell of the source
SHARPNESS = 0.04  # temperature of the matches' softmax, of cosines
REACH = 0.15  # how far from the query point a match has a say, in longer sides of the picture (sigma)
SLACK = 0.08  # how far from a peak a match may send the query point and still speak for it, likewise
WHOLE = 2.0  # power of what all matches say of a rotation, scale and reflection
LEAST = 0.03  # share of the votes below which a peak loses no more
UNRELATED, RELATED = 0.12, 0.36  # shares of the matches that fit together: below nothing is believed, above all
JOINT_WEIGHT = 4.0  # of what the other query points lose on average
JOINT_SLACK = 0.06  # as SLACK, for the other query points
JOINT_LEAST = 0.02  # as LEAST, for them
PEAKS = 8  # that are looked at of each map
PEAK_GRID = 64  # cells a side that maps are brought to to look for peaks
APART = 3  # cells of it that a peak is the greatest within
CENTERS = 12  # places a side where the source's center may be sent
ANGLES = range(-60, 61, 15)  # degrees
SCALES = (0.75, 1.0, 1.33)
VERSION = 2  # of the above; raised as that of a method is, so that matches without a consensus stay what they were


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
    reflected: Tensor  # (V, K) bool, whether what speaks most for a peak is a reflection
    trust: float = 1.0  # how far the two pictures' matches are believed, see `trust_in`
    mirrored: float | None = None  # probability that the target shows the object mirrored; None: nobody has asked

    @property
    def taken(self) -> Tensor:
        """The place of each map, (V, 2)."""
        best = self.sums.argmax(1)
        return self.places[torch.arange(len(best), device=best.device), best]

    @property
    def sums(self) -> Tensor:
        """What the map and the votes say together, (V, K): the price of each peak."""
        return self.scores + self.votes


@dataclass(frozen=True, eq=False)
class Mirrored:
    """What the mirrored target says of a pair."""

    matches: Matches  # of the source with the mirrored target, whose places are turned back
    log_odds: float  # that the target shows the object mirrored


def check_consensus(method: str, consensus: str) -> None:
    """Raises UserError if there is no such consensus."""
    if consensus not in get_args(Consensus):
        raise UserError(f"consensus={consensus} of {method} is not legal: give {', '.join(get_args(Consensus))}.")


def weighed_peaks(
    scores: Tensor,
    points: Tensor,
    matches: Matches,
    size: tuple[int, int],
    *,
    joint: bool = False,
    mirrored: Mirrored | None = None,
) -> Choice:
    """The peaks of maps, with what the pictures say of each.

    Args:
        scores: (V, h, w) over the whole target, in units of a logarithm: one more is e times as likely.
        points: (V, 2) query points, in longer sides of the source.
        matches: of the pair.
        size: (W, H) of the target in pixels, for its aspect ratio.
        joint: whether the other query points of the pair have a say.
        mirrored: what the mirrored target says, if it was read.
    """
    cells, values = peaks(scores)  # (V, K, 2), (V, K)
    shares = cells / torch.tensor([scores.shape[-1], scores.shape[-2]]).to(scores)
    places = shares * (torch.tensor(size) / max(size)).to(scores)
    trust = max(trust_in(each, size) for each in (matches, *([mirrored.matches] if mirrored else [])))
    gains = trust * (votes_for(matches, points, places, mirrored) + LEAST).log()  # (V, K, O)
    if joint:
        gains += JOINT_WEIGHT * together(values, points, places)
    votes, parts = gains.max(-1)  # (V, K)
    odds = torch.tensor(mirrored.log_odds).sigmoid().item() if mirrored else None
    return Choice(shares, values, votes, parts >= gains.shape[-1] // 2, trust, odds)


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


def votes_for(matches: Matches, points: Tensor, places: Tensor, mirrored: Mirrored | None = None) -> Tensor:
    """How much the two pictures speak for sending each point to each of its places, each by itself.

    Args:
        matches: of the pair.
        points: (V, 2) query points, in longer sides of the source.
        places: (V, K, 2), in longer sides of the target.
        mirrored: if given, reflections are spoken for by its matches and by its odds, the others by `matches`.

    Returns:
        (V, K, O) shares of the most votes that a place of the point has under one of the O linear parts: 1 at that
        one; all 1 where no match votes at all.
    """
    linear = linear_parts().to(points)  # (O, 2, 2)
    votes = points.new_ones(*places.shape[:2], len(linear))
    for point, candidates, row in zip(points, places, votes, strict=True):
        if mirrored is None:
            found = votes_under(matches, linear, point, candidates)
        else:
            straight, turned = linear.chunk(2)
            odds = torch.tensor([-mirrored.log_odds, mirrored.log_odds]).sigmoid().tolist()
            sides = (
                votes_under(matches, straight, point, candidates),
                votes_under(mirrored.matches, turned, point, candidates),
            )
            found = torch.cat([odd * _share(side) for odd, side in zip(odds, sides, strict=True)], -1)
        if found.max() > 0:
            row[:] = _share(found)
    return votes


def votes_under(matches: Matches, linear: Tensor, point: Tensor, places: Tensor) -> Tensor:
    """What matches near a point (2,) say of its places (K, 2), times what all say of linear parts (O, 2, 2): (K, O)."""
    away = matches.source - point  # (M, 2)
    sent = matches.target - torch.einsum("oab,mb->oma", linear, away)  # (O, M, 2): where a match sends the point
    # Axis by axis and in place: it is half of what a consensus takes, and a last axis of two would double that.
    x, y = (sent[..., axis].contiguous() - places[:, axis, None, None] for axis in (0, 1))  # (K, O, M) each
    squares = x.square_().add_(y.square_())
    agreeing = squares.neg_().div_(2 * SLACK**2).exp_().mul_(matches.weights)
    whole = agreeing.sum(-1).amax(0)  # (O,): the most that each linear part explains of the pair
    near = torch.exp(-away.square().sum(-1) / (2 * REACH**2))  # (M,)
    return (agreeing @ near) * _share(whole) ** WHOLE


def _share(values: Tensor) -> Tensor:
    """Of the greatest; zeros where it is next to nothing."""
    most, tiny = values.max(), torch.finfo(values.dtype).tiny
    return values / most if most > tiny else torch.zeros_like(values)


def trust_in(matches: Matches, size: tuple[int, int]) -> float:
    """How far to believe a pair's matches, from 0 to 1: by the share of them that fit together.

    In the toybox's val split half of the matches of a pair fit together, a quarter of those of two classes, and a tenth
    where one picture's cells are shuffled.
    """
    if not matches.weights.any():
        return 0.0
    share = float(explained(matches, size).max() / matches.weights.sum())
    return min(max((share - UNRELATED) / (RELATED - UNRELATED), 0.0), 1.0)


def explained(matches: Matches, size: tuple[int, int]) -> Tensor:
    """The most weight of matches that agree on where the source's center goes, under each linear part.

    Args:
        matches: of the pair.
        size: (W, H) of the target in pixels, for its aspect ratio.

    Returns:
        (O,).
    """
    linear = linear_parts().to(matches.weights)
    center = (matches.source.amax(0) + matches.source.amin(0)) / 2
    sent = matches.target - torch.einsum("oab,mb->oma", linear, matches.source - center)  # (O, M, 2)
    steps = (torch.arange(CENTERS) + 0.5) / CENTERS
    places = steps[:, None] * torch.tensor(size) / max(size)  # (P, 2): x and y of the places' grid
    x, y = torch.exp(-(sent[:, :, None] - places.to(sent)).square() / (2 * SLACK**2)).unbind(-1)  # (O, M, P) each
    return torch.einsum("omx,omy->oxy", x * matches.weights[:, None], y).flatten(1).amax(1)


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
