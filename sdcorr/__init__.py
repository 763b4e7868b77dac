"""sdcorr: a point in one image, the same point in another, from a frozen diffusion model, and an honest score for it.

    import sdcorr

    match = sdcorr.match("a.jpg", "b.jpg", [[120, 80], [40, 200]], "model=sd14")
    print(match.points, match.confidence)  # (P, 2) pixels of b.jpg as you see it, (P,)

The three steps behind it, for those who want to see or change what happens in between:

    matcher = sdcorr.load("model=sd14")  # settings as on the command line
    a, b = sdcorr.read_picture("a.jpg"), sdcorr.read_picture("b.jpg")
    embeddings = matcher.optimize(a, points, "a")  # RGB picture, (P, 2) pixels -> (P, restarts, tokens, width)
    maps = matcher.transfer(b, embeddings, points, "a", "b")  # (P, layers, S, S)
    match = matcher.localize(maps, b.size)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdcorr.api import match
    from sdcorr.cli.build import load
    from sdcorr.datasets import Match, Pair, SourceUnit
    from sdcorr.diffusion import FrozenDiffusion
    from sdcorr.errors import UserError
    from sdcorr.images import read_picture
    from sdcorr.prompt import PromptMatcher, PromptSettings

__version__ = "0.1.0"

_HOMES = {  # imported when they are first used: scoring a finished run should not wait for diffusers
    "load": "sdcorr.cli.build",
    "match": "sdcorr.api",
    "read_picture": "sdcorr.images",
    "FrozenDiffusion": "sdcorr.diffusion",
    "Match": "sdcorr.datasets",
    "Pair": "sdcorr.datasets",
    "PromptMatcher": "sdcorr.prompt",
    "PromptSettings": "sdcorr.prompt",
    "SourceUnit": "sdcorr.datasets",
    "UserError": "sdcorr.errors",
}
__all__ = [
    "FrozenDiffusion",
    "Match",
    "Pair",
    "PromptMatcher",
    "PromptSettings",
    "SourceUnit",
    "UserError",
    "load",
    "match",
    "read_picture",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"sdcorr has no '{name}': it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)
