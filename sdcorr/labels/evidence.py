"""What speaks for a match beside the method's own confidence. Lengths are in longer sides of a picture."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sdcorr.methods.consensus import GRID, PEAK_GRID, chosen_peaks, match_cells, peaks
from sdcorr.methods.features import cosine_maps, features_at
from sdcorr.methods.maps import COSINE_TEMPERATURE, Features, ScoreMaps

FINE = 64  # cells a side that features are enlarged to before the way back is read


def way_back(source: Features, target: Features, points: np.ndarray, matches: np.ndarray) -> np.ndarray:
    """How far from a point its match leads back: to the place in the source whose features are most like the match's.

    Args:
        source: features of the source.
        target: of the target.
        points: (V, 2) in pixels of the source.
        matches: (V, 2) of these points, in pixels of the target.

    Returns:
        (V,) in longer sides of the source.
    """
    cells = torch.from_numpy(target.layout.to_grid(matches, target.values.shape)).float()
    maps = cosine_maps(features_at(target.values, cells), source.values, (FINE, FINE))  # (V, FINE, FINE)
    maps = maps.masked_fill(~source.layout.inside((FINE, FINE)).to(maps.device), -torch.inf)
    index = maps.flatten(1).argmax(1).cpu().numpy()
    back = source.layout.from_grid(np.stack((index % FINE, index // FINE), 1) + 0.5, (FINE, FINE))
    return np.linalg.norm(back - points, axis=1) / max(source.layout.size)


def likeness(source: Features, target: Features, middle: Tensor, points: np.ndarray, matches: np.ndarray) -> np.ndarray:
    """How much each match's surroundings look like the point's: the cosine of features, seen from a common middle.

    Args:
        source: as of `way_back`.
        target: likewise.
        points: likewise.
        matches: likewise.
        middle: (C,) what is taken from all features, such as their mean over the background.

    Returns:
        (V,) from -1 to 1.
    """
    found = []
    for features, places in ((source, points), (target, matches)):
        cells = torch.from_numpy(features.layout.to_grid(places, features.values.shape)).float()
        found.append(features_at(features.values, cells) - middle)
    return F.cosine_similarity(*found).cpu().double().numpy()


def margin(maps: ScoreMaps) -> np.ndarray:
    """By how much the greatest peak of each map is above the second, (V,), inf if there is one alone.

    In units of a logarithm: one more is e times as likely.
    """
    _, values = peaks(_scores(maps))
    return (values[:, 0] - values[:, 1]).cpu().double().numpy()


def dissent(source: Features, target: Features, points: np.ndarray, matches: np.ndarray, maps: ScoreMaps) -> np.ndarray:
    """How far each match is from the peak that the two pictures as wholes speak for: `consensus=dense`.

    Args:
        source: as of `way_back`.
        target: likewise.
        points: likewise.
        matches: likewise.
        maps: of the points, over the target.

    Returns:
        (V,) in longer sides of the target.
    """
    sizes = source.layout.size, target.layout.size
    cells = match_cells(source.pooled(GRID), target.pooled(GRID), *sizes)
    scores = _scores(maps)
    places = chosen_peaks(scores, torch.from_numpy(points / max(sizes[0])).to(scores), cells, sizes[1])
    away = places.cpu().double().numpy() * sizes[1] - matches
    return np.linalg.norm(away, axis=1) / max(sizes[1])


def _scores(maps: ScoreMaps) -> Tensor:
    scores = maps.log_scores((PEAK_GRID, PEAK_GRID))
    return scores / COSINE_TEMPERATURE if maps.kind == "cosine" else scores
