"""sdcorr: a point in one image, the same point in another, from a frozen diffusion model, and an honest score for it.

import sdcorr

matcher = sdcorr.load("model=toybox")  # or model=sd14
embeddings = matcher.optimize(image, points, "a")  # RGB picture, (P, 2) pixels -> (P, restarts, tokens, width)
maps = matcher.transfer(other, embeddings, points, "a", "b")  # (P, layers, S, S)
match = matcher.localize(maps, other.size)  # match.points (P, 2) pixels of `other`, match.confidence (P,)
"""

from importlib import import_module
from typing import Any

_HOMES = {  # imported when they are first used: scoring a finished run should not wait for diffusers
    "load": "sdcorr.cli.build",
    "FrozenDiffusion": "sdcorr.diffusion",
    "Match": "sdcorr.datasets",
    "Pair": "sdcorr.datasets",
    "PromptMatcher": "sdcorr.prompt",
    "PromptSettings": "sdcorr.prompt",
    "SourceUnit": "sdcorr.datasets",
    "UserError": "sdcorr.errors",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"sdcorr has no '{name}': it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)
