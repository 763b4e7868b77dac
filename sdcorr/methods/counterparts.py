"""Which points of a picture are the same part on the object's two sides, told by its mirror image alone.

In the mirror image of a face the right ear is where a left one would be, and looks like it. So a picture is matched
with its own mirror image, by features, as two pictures are by a consensus: the counterpart of a point is the one whose
place in the mirror image it is most like, and where the rotations send it on which the two agree. A part in the middle
is sent to itself, and has none. What is found here is not annotated: it is for points that nobody has named.

One picture errs: things that resemble each other are not the two sides of one. Pooled by name over the pictures of a
class, as `sdcorr.run.counterparts` does, it is right (benchmarks/results/consensus.md).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sdcorr.methods.consensus import GRID, LEAST, explained, linear_parts, match_cells, votes_under
from sdcorr.methods.maps import COSINE_TEMPERATURE, Features

# Chosen on the toybox's val split.
SYMMETRIC = (
    1.0  # how much better rotations than reflections must explain the mirror image, for an object seen from ahead
)


def counterparts(picture: Features, mirrored: Features, points: np.ndarray) -> list[tuple[int, int]]:
    """Which points of a picture are each other's counterparts.

    Args:
        picture: features of the picture.
        mirrored: of its mirror image, as it is.
        points: (V, 2) pixels of the picture.

    Returns:
        Pairs of indices of points, the lower first; none where the picture does not show both sides of an object.
    """
    size = picture.layout.size
    matches = match_cells(picture.pooled(GRID), mirrored.pooled(GRID), size, size)
    rotations, reflections = explained(matches, size).chunk(2)
    if len(points) < 2 or rotations.max() < SYMMETRIC * reflections.max():
        return []
    turned = np.array([size[0], 0]) + points * (-1, 1)  # where they are in the mirror image
    cosines = F.normalize(picture.at(points), dim=1) @ F.normalize(mirrored.at(turned), dim=1).T  # (V, V)
    here, there = (torch.from_numpy(places / max(size)).to(cosines) for places in (points, turned))
    linear = linear_parts().chunk(2)[0].to(cosines)
    votes = torch.stack([votes_under(matches, linear, point, there).amax(-1) for point in here])  # (V, V)
    shares = (votes / votes.amax(1, keepdim=True).clamp(min=torch.finfo(votes.dtype).tiny) + LEAST).log()
    scores = cosines / COSINE_TEMPERATURE + shares
    return _mutual(scores.masked_fill(shares <= shares.diagonal()[:, None], -torch.inf))  # the rest is sent to itself


def _mutual(scores: Tensor) -> list[tuple[int, int]]:
    """Pairs of which each is the other's greatest of finite scores (V, V)."""
    best = scores.argmax(1).tolist()
    chosen = [other if scores[one, other].isfinite() else one for one, other in enumerate(best)]
    return [(one, other) for one, other in enumerate(chosen) if one < other and chosen[other] == one]
