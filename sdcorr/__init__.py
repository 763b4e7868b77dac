"""sdcorr: a point in one image, the same point in another, from a frozen diffusion model, and an honest score for it.

import sdcorr

matcher = sdcorr.load("model=toybox")  # or model=sd14
embeddings = matcher.optimize(image, points, "a")  # RGB picture, (P, 2) pixels -> (P, restarts, tokens, width)
maps = matcher.transfer(other, embeddings, points, "a", "b")  # (P, layers, S, S)
match = matcher.localize(maps, other.size)  # match.points (P, 2) pixels of `other`, match.confidence (P,)
"""

from sdcorr.build import load
from sdcorr.datasets import Match, Pair, SourceUnit
from sdcorr.diffusion import FrozenDiffusion
from sdcorr.errors import UserError
from sdcorr.prompt import PromptMatcher, PromptSettings

__all__ = ["FrozenDiffusion", "Match", "Pair", "PromptMatcher", "PromptSettings", "SourceUnit", "UserError", "load"]
