"""Points of one picture found in others, in one call. `sdcorr.load` gives the steps behind it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, overload

from sdcorr.cli import build
from sdcorr.cli.compose import compose
from sdcorr.datasets import Match
from sdcorr.images import GivenPicture
from sdcorr.methods.prompt import Prompt
from sdcorr.pictures import match_pictures, read_request


@overload
def match(
    source: GivenPicture, target: list[GivenPicture] | tuple[GivenPicture, ...], points: Any, *settings: str
) -> list[Match]: ...


@overload
def match(source: GivenPicture, target: GivenPicture, points: Any, *settings: str) -> Match: ...


def match(source: Any, target: Any, points: Any, *settings: str) -> Match | list[Match]:
    """Find points of one picture in another, or in several.

    A picture is the path of an image file, a PIL image of any mode, or an array (H, W), (H, W, 3) or (H, W, 4) of
    uint8, uint16, or floats from 0 to 1. It is taken as one sees it: upright as its EXIF says, transparent parts on
    white.

    The points' prompt embeddings are optimized on the source once, whatever the number of targets. The model stays in
    memory for the next call with the same settings.

    >>> from sdcorr.toybox.dataset import drawing
    >>> quick = ["method.steps=1", "method.restarts=1", "method.transfer_crops=1"]
    >>> found = match(drawing("2/cat/0").image, drawing("2/cat/0/0").image, [[20, 20], [40.5, 30]], *quick)
    >>> found.points.shape, found.confidence.shape
    ((2, 2), (2,))

    Args:
        source: the picture with the points.
        target: the picture in which they are to be found, or a list of pictures.
        points: (P, 2), a sequence or an array of `[x, y]` in pixels of the source as one sees it; the center of its
            top-left pixel is (0.5, 0.5).
        settings: as on the command line, such as "model=sd14", "method.consensus=dense_flip"; without, the small model
            that comes with sdcorr, which knows nothing but drawings.

    Returns:
        `points` (P, 2) in pixels of the target as one sees it, `confidence` (P,) from 0 to 1, and in `evidence` what
        the maps and the two pictures say beside, such as `margin` (P,), how far the next peak is below
        (`sdcorr.methods.evidence`); a list of these, in the targets' order, if `target` is a list.

    Raises:
        UserError: if a picture cannot be read, a point is not a pair of numbers or is outside the source, or a setting
            does not fit.
    """
    several = isinstance(target, list | tuple)
    request = read_request(source, points, target if several else [target])
    matches = list(match_pictures(_method(settings), request).matches)
    return matches if several else matches[0]


@lru_cache(maxsize=1)  # one model in memory, not all that were ever asked for
def _method(settings: tuple[str, ...]) -> Prompt:
    return build.prompt_entry(compose("eval", "embeddings=null", *settings))[1]
