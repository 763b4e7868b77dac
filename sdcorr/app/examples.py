"""The example pairs of the page: drawings of the toybox's test split, which its model has never seen."""

from __future__ import annotations

from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sdcorr.app import uploads
from sdcorr.app.refusal import Refusal
from sdcorr.pictures import Picture, name_picture
from sdcorr.toybox.dataset import drawing

# Name -> keys of source and target. Chosen for variety; they are about as hard as the whole split.
EXAMPLES = {
    "bird": ("2/bird/0", "2/bird/0/4"),
    "fish": ("2/fish/0", "2/fish/0/2"),
    "cat": ("2/cat/1", "2/cat/1/4"),
    "crab": ("2/crab/0", "2/crab/0/2"),
    "car": ("2/car/1", "2/car/1/2"),
    "teapot": ("2/teapot/1", "2/teapot/1/2"),
    "lamp": ("2/lamp/0", "2/lamp/0/1"),
}


def pictures(name: str) -> tuple[Picture, Picture]:
    """Return source and target of an example, without their annotations.

    Raises:
        KeyError: if there is no such example.
    """
    source, target = (name_picture(drawing(key).image, f"toybox/{key}") for key in EXAMPLES[name])
    return source, target


def route() -> Route:
    """Where a page gets the pictures of an example."""
    return Route("/examples/{name}/{side}", _shown)


@cache
def _small(name: str, side: str) -> tuple[bytes, str]:
    return uploads.shown(pictures(name)[("source", "target").index(side)].image)


def _shown(request: Request) -> Response:
    try:
        content, media_type = _small(request.path_params["name"], request.path_params["side"])
    except (KeyError, ValueError):
        raise Refusal("There is no such example.", 404) from None
    return Response(content, media_type=media_type)
