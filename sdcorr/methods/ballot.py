"""What a consensus has weighed, for looking at: the peaks of each map with their prices, and the pair's transform."""

from __future__ import annotations

import torch
from torch import Tensor

from sdcorr.datasets import Ballot
from sdcorr.methods.consensus import SLACK, Matches, linear_parts
from sdcorr.methods.maps import Agreed

SHOWN = 4  # peaks of a map that are kept
NODES = 9  # of the grid, a side
VOICES = 200  # strongest matches that the grid stands on
SMOOTH = 0.25  # how far from a node a match has a say, in longer sides of the source (sigma)


def ballot(agreed: Agreed, source_size: tuple[int, int], target_size: tuple[int, int]) -> Ballot:
    """What was weighed for a pair.

    Args:
        agreed: what the consensus has come to for its V points.
        source_size, target_size: (W, H) in pixels.
    """
    choice = agreed.choice
    order = choice.sums.argsort(1, descending=True)[:, :SHOWN]  # (V, K): the one that was taken comes first
    size = torch.tensor(target_size).to(choice.places)
    places = choice.places.gather(1, order[..., None].expand(-1, -1, 2)) * size
    shares = choice.scores.log_softmax(1).exp()  # of what all peaks have
    return Ballot(
        places.cpu().numpy(),
        shares.gather(1, order).cpu().numpy(),
        choice.votes.gather(1, order).cpu().numpy(),
        (warped_grid(agreed.believed, source_size) * max(target_size)).cpu().numpy(),
        choice.trust,
        choice.mirrored,
    )


def warped_grid(matches: Matches, size: tuple[int, int]) -> Tensor:
    """Where the matches of two pictures send a grid over the source.

    The rotation, scale and reflection is that on which most of them agree; the rest of the way is that of the matches
    near each node, so that the grid bends where the object does.

    Args:
        matches: of the pair.
        size: (W, H) of the source in pixels, for its aspect ratio.

    Returns:
        (NODES, NODES, 2) xy in longer sides of the target; the corners are those of the source.
    """
    weights, strongest = matches.weights.topk(min(VOICES, len(matches.weights)))
    source, target = matches.source[strongest], matches.target[strongest]  # (M, 2)
    linear = linear_parts().to(source)  # (O, 2, 2)
    origins = target - torch.einsum("oab,mb->oma", linear, source)  # (O, M, 2): where each sends the source's corner
    agreeing = torch.exp(-torch.cdist(origins, origins).square() / (2 * SLACK**2)) @ weights  # (O, M)
    part = (agreeing @ weights).argmax()
    rotation, origins, agreeing = linear[part], origins[part], agreeing[part]
    steps = torch.linspace(0, 1, NODES).to(source)
    along = steps[:, None] * (torch.tensor(size) / max(size)).to(source)  # (NODES, 2)
    nodes = torch.stack(torch.meshgrid(along[:, 0], along[:, 1], indexing="xy"), -1)  # (NODES, NODES, 2)
    near = torch.exp(-(nodes[:, :, None] - source).square().sum(-1) / (2 * SMOOTH**2))  # (NODES, NODES, M)
    voices = near * weights * agreeing  # those that agree with many are heard most
    moved = (voices @ origins) / voices.sum(-1, keepdim=True).clamp(min=torch.finfo(source.dtype).tiny)
    return nodes @ rotation.T + moved
