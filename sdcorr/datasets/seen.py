"""What the matches of a pair were read from, small, for looking at."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class Ballot:
    """Between which peaks of its map each point's match was chosen, by a consensus, and by what; for looking at."""

    places: np.ndarray  # (V, K, 2) float32, pixels of the original target image; the peak that was taken comes first
    shares: np.ndarray  # (V, K) float32, of what all the map's peaks have: what the map says; 0 where there is no peak
    votes: np.ndarray  # (V, K) float32, what the two pictures add to the logarithm of it
    grid: np.ndarray  # (n, n, 2) float32, where the pair sends an even grid over the source; pixels of the target
    trust: float | None = None  # how far the pair's matches are believed, from 0 to 1; None: not kept
    mirrored: float | None = None  # probability that the target shows the object mirrored; None: nobody has asked

    def of(self, points: np.ndarray) -> Ballot:
        """That of some of the points, chosen by a mask (V,) or by indices."""
        return replace(self, places=self.places[points], shares=self.shares[points], votes=self.votes[points])


@dataclass(frozen=True, eq=False)
class AttentionMaps:
    """What the matches of a pair were read from: small maps, layer by layer, each stretched over its whole picture."""

    layers: tuple[str, ...]  # L names; the last is that of the map in which the point was found, all layers combined
    source: np.ndarray  # (V, L, k, k) float32, where each point's embedding attends in the source
    target: np.ndarray  # (V, L, k, k) likewise, in the target
    ballot: Ballot | None = None  # if there was a consensus

    def of(self, points: np.ndarray) -> AttentionMaps:
        """That of some of the points, chosen by a mask (V,) or by indices."""
        ballot = self.ballot.of(points) if self.ballot else None
        return AttentionMaps(self.layers, self.source[points], self.target[points], ballot)
