"""What a match leaves behind beside its place: numbers from which it can be told how far to trust it.

No number here is a probability, and none moves a match. `sdcorr.scoring.calibration` learns from labelled pairs what
they say. Lengths are in longer sides of a picture, so that they mean the same at any size.

    peak        log of how much more of the map lies at the match than at a place of average share
    margin      peak less the greatest other peak farther than APART from the match, negative if that is the higher one
    entropy     of the map, as a share of a flat map's: 1 for one that says nothing
    restarts    mean distance of the restarts' own peaks from the match; of several restarts only
    layers      the same of the layers' own peaks; of several layers only
    back        distance from the query point to the place in the source whose features are most like the match's
    likeness    cosine of the features at the match and at the query point
    astray      log of the share of the softmax of cosines, from the match to the source, that leads elsewhere than back
    votes       log of the share of the two pictures' votes that speak for the match, see `sdcorr.methods.consensus`
    lead        under a consensus, by how much the price of the peak that was taken is above the next one's
    side        likewise, above that of the best peak that the other reflection of the object would have

What of it makes a match doubtful, `sdcorr.methods.doubts` says in words.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sdcorr.datasets import Match
from sdcorr.methods.consensus import LEAST, Choice, Matches, peaks, votes_for
from sdcorr.methods.peaks import argmax
from sdcorr.student.losses import grid_centers

if TYPE_CHECKING:
    from sdcorr.prompt.speed.fast import TargetMaps

APART = 0.1  # longer sides of the target: what is nearer to the match belongs to its own peak
IDLE = 1e-3  # of the greatest weight: matches of cells below it, 0.3 % of all weight, are left out
ASTRAY_TEMPERATURE = 0.1  # a cosine that is so much greater is e times as likely, on the way back
ASTRAY_LEAST = 1e-4  # share that is taken to be lost anyway, so that the log is finite
FARTHEST = 20.0  # of a lead: where there is no other peak


def of_map(scores: Tensor, places: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
    """`peak`, `margin` and `entropy` of maps.

    Args:
        scores: (V, h, w) over the whole target, in units of a logarithm: one more is e times as likely.
        places: (V, 2) matches, xy as shares of the target's width and height.
        size: (W, H) of the target in pixels, for its aspect ratio.

    Returns:
        By name (V,) each.
    """
    height, width = scores.shape[-2:]
    grid = torch.tensor([width, height]).to(scores)
    cells = (places * grid).long().clamp(min=torch.zeros(2).to(places).long(), max=grid.long() - 1)  # (V, 2)
    logs = scores.flatten(1).log_softmax(1)  # (V, h * w)
    here = logs.gather(1, cells[:, 1:] * width + cells[:, :1])[:, 0]
    summits, heights = peaks(logs.view_as(scores))  # (V, K, 2), (V, K)
    near = _distances(summits / grid, places, size) <= APART
    own = torch.maximum(heights.masked_fill(~near, -torch.inf).amax(1), here)  # the match may be beside its summit
    other = heights.masked_fill(near, -torch.inf).amax(1)
    other = torch.maximum(other, logs.amin(1))  # a map without another peak
    entropy = -(logs.exp() * logs).sum(1) / math.log(logs.shape[1])
    return {"peak": own + math.log(logs.shape[1]), "margin": own - other, "entropy": entropy}


def of_choice(choice: Choice) -> dict[str, Tensor]:
    """`lead` and `side`, by name (V,) each, of what a consensus has chosen."""
    sums = choice.sums
    taken = sums.argmax(1, keepdim=True)  # (V, 1)
    own = sums.gather(1, taken)
    others = sums.scatter(1, taken, -torch.inf)
    of_other_side = others.masked_fill(choice.reflected == choice.reflected.gather(1, taken), -torch.inf)
    leads = {"lead": others, "side": of_other_side}
    return {name: (own - rivals).amin(1).clamp(max=FARTHEST) for name, rivals in leads.items()}


def spread(summits: Tensor, places: Tensor, size: tuple[int, int]) -> Tensor:
    """How far several maps' own peaks are from the match on average.

    Args:
        summits: (V, K, 2) xy as shares of the target's width and height.
        places: (V, 2) likewise.
        size: (W, H) of the target in pixels.

    Returns:
        (V,) in longer sides of the target.
    """
    return _distances(summits, places, size).mean(1)


def agreement(seen: TargetMaps, match: Match, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """`restarts` and `layers`, where there are several.

    Args:
        seen: of a target's V points.
        match: of these.
        size: (W, H) of the target in pixels.

    Returns:
        By name (V,) each.
    """
    side = seen.maps.shape[-1]
    places = torch.from_numpy(match.points / size).to(seen.maps)
    layers = argmax(seen.maps.flatten(0, 1))[0].unflatten(0, seen.maps.shape[:2])  # (V, L, 2)
    several = {"restarts": seen.peaks, "layers": layers}
    return {
        name: spread(peaks / side, places, size).cpu().double().numpy()
        for name, peaks in several.items()
        if peaks.shape[1] > 1
    }


def way_back(
    source: Tensor, queries: Tensor, found: Tensor, points: Tensor, size: tuple[int, int]
) -> dict[str, Tensor]:
    """`back`, `likeness` and `astray`: where the features at a match come from.

    Args:
        source: (C, h, w) features over the whole source.
        queries: (V, C) features at the query points.
        found: (V, C) features at the matches.
        points: (V, 2) query points, xy as shares of the source's width and height.
        size: (W, H) of the source in pixels.

    Returns:
        By name (V,) each.
    """
    height, width = source.shape[-2:]
    cosines = F.normalize(found, dim=1) @ F.normalize(source.flatten(1), dim=0)  # (V, h * w)
    away = _distances(grid_centers(height, width).to(cosines)[None], points, size)  # (V, h * w)
    share = (cosines / ASTRAY_TEMPERATURE).softmax(1)
    return {
        "back": away.gather(1, cosines.argmax(1, keepdim=True))[:, 0],
        "likeness": F.cosine_similarity(queries, found, dim=1),
        "astray": ((share * (away > APART)).sum(1) + ASTRAY_LEAST).log(),
    }


def votes(scores: Tensor, places: Tensor, points: Tensor, matches: Matches, size: tuple[int, int]) -> Tensor:
    """How much the two pictures as wholes speak for the matches, against the other peaks of their maps.

    Args:
        scores: (V, h, w) over the whole target.
        places: (V, 2) matches, xy as shares of the target's width and height.
        points: (V, 2) query points, in longer sides of the source.
        matches: of the pair's cells.
        size: (W, H) of the target in pixels.

    Returns:
        (V,), 0 for a match that no other peak beats.
    """
    grid = torch.tensor([scores.shape[-1], scores.shape[-2]]).to(scores)
    heavy = matches.weights > IDLE * matches.weights.max()  # a third has next to no say, and takes as long
    matches = Matches(matches.source[heavy], matches.target[heavy], matches.weights[heavy])
    candidates = torch.cat((places[:, None], peaks(scores)[0] / grid), 1)  # (V, 1 + K, 2)
    shares = votes_for(matches, points, candidates * (torch.tensor(size) / max(size)).to(scores))
    return (shares[:, 0].amax(-1) + LEAST).log() - math.log(1 + LEAST)


def _distances(summits: Tensor, places: Tensor, size: tuple[int, int]) -> Tensor:
    """From (V, K, 2) to (V, 2), both shares of a picture's sides: (V, K) in its longer sides."""
    return ((summits - places[:, None]) * (torch.tensor(size) / max(size)).to(places)).square().sum(-1).sqrt()
