"""A user's own pictures: points of one found in others, and written down."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from lightning import Callback
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from sdcorr import visualize
from sdcorr.datasets import Match
from sdcorr.errors import UserError
from sdcorr.files import write_whole
from sdcorr.images import GivenPicture, read_picture
from sdcorr.methods.evidence import doubt
from sdcorr.methods.maps import evidence_of_attention
from sdcorr.prompt import PromptMatcher
from sdcorr.prompt.localize import combine_layers
from sdcorr.prompt.settings import PromptSettings


@dataclass(frozen=True)
class Picture:
    """A picture, what it is called, and a key that names its pixels."""

    path: Path  # where it came from; only ever written down
    image: Image.Image  # RGB, as one sees it: turned upright as its EXIF says
    key: str  # named by its pixels, so that a renamed picture gives the same result


@dataclass(frozen=True)
class MatchRequest:
    """What is asked for: the matches of `points`, `(P, 2)` pixels of the source as one sees it, in every target."""

    source: Picture
    points: np.ndarray
    targets: tuple[Picture, ...]


@dataclass(frozen=True)
class MatchResult:
    """What was found."""

    embeddings: Tensor  # (P, R, T, D)
    matches: tuple[Match, ...]  # for each target, in its pixels as one sees it
    maps: tuple[np.ndarray, ...]  # for each target (P, S, S), the combined attention maps


def read_request(source: GivenPicture, points: Any, targets: Sequence[GivenPicture]) -> MatchRequest:
    """Read the pictures and check the points.

    Args:
        source: the picture with the points, in any form that `read_picture` takes.
        points: (P, 2), a sequence or an array of `[x, y]` in pixels of the source as one sees it.
        targets: one picture or more, in which the points are to be found.

    Raises:
        UserError: if a picture cannot be read, there is no target or no point, or a point is not a pair of numbers or
            is outside the source.
    """
    first = _picture(source, "source")
    if not len(targets):
        raise UserError("There is no target: name the picture in which the points are to be found, or several.")
    return MatchRequest(first, check_points(points, first), tuple(_picture(target, "target") for target in targets))


def claim_folder(path: str) -> Path:
    """Make the folder of the results and check that it can be written, before any work is done.

    Raises:
        UserError: if it cannot.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / f".writable-{os.getpid()}"
        trial.write_text("")
        trial.unlink()
    except OSError as error:
        raise UserError(f"Cannot write to {folder} ({error.strerror}): choose another folder.") from None
    return folder


def match_pictures(matcher: PromptMatcher, request: MatchRequest, callbacks: Sequence[Callback] = ()) -> MatchResult:
    """Optimize the points' embeddings on the source, with Lightning callbacks, and find them in every target."""
    source, points = request.source, request.points
    embeddings = matcher.optimize(source.image, points, source.key, callbacks)
    matches, maps = [], []
    for target in request.targets:
        layers = matcher.transfer(target.image, embeddings, points, source.key, target.key)  # (P, L, S, S)
        match = matcher.localize(layers, target.image.size)
        matches.append(replace(match, evidence=evidence_of_attention(layers, match.points, target.image.size)))
        maps.append(combine_layers(layers, matcher.settings.combination).cpu().numpy())
    return MatchResult(embeddings, tuple(matches), tuple(maps))


def write(folder: Path, request: MatchRequest, result: MatchResult, *, model: str, settings: PromptSettings) -> None:
    """Write embeddings.safetensors, points.json and matches.png; each appears whole or not at all.

    Raises:
        UserError: if the disk is full or the folder cannot be written.
    """
    write_whole(folder / "embeddings.safetensors", embeddings_file(request, result, model=model, settings=settings))
    write_whole(folder / "matches.png", matches_picture(request, result))
    write_whole(folder / "points.json", points_record(request, result, model=model))


def embeddings_file(request: MatchRequest, result: MatchResult, *, model: str, settings: PromptSettings) -> bytes:
    """The content of embeddings.safetensors: `embeddings` (P, R, T, D), and in its metadata what made them."""
    made_by = {"model": model, "settings": json.dumps(asdict(settings)), "points": json.dumps(request.points.tolist())}
    return save({"embeddings": result.embeddings.contiguous().cpu()}, metadata=made_by)


def matches_picture(request: MatchRequest, result: MatchResult) -> bytes:
    """The content of matches.png: the pictures, their points joined, and the heat map behind every match."""
    figure = visualize.matches_with_heat(
        request.source.image,
        [target.image for target in request.targets],
        request.points,
        [match.points for match in result.matches],
        result.maps,
        [match.confidence for match in result.matches],
    )
    file = io.BytesIO()
    figure.savefig(file, dpi=130, format="png")
    return file.getvalue()


def points_record(request: MatchRequest, result: MatchResult, *, model: str) -> str:
    """The content of points.json: the matches in original pixels, with their confidence and why to doubt them."""
    record = {
        "source": {
            "image": str(request.source.path),
            "size": request.source.image.size,
            "points": request.points.tolist(),
        },
        "targets": [
            {
                "image": str(target.path),
                "size": target.image.size,
                "points": match.points.round(3).tolist(),
                "confidence": match.confidence.round(4).tolist(),
                "doubt": doubts(match),
            }
            for target, match in zip(request.targets, result.matches, strict=True)
        ],
        "model": model,
        "units": "pixels, x to the right, y down; the center of the top-left pixel is (0.5, 0.5)",
    }
    return json.dumps(record, indent=1) + "\n"


def doubts(match: Match) -> list[str | None]:
    """Why each of the P matches is to be doubted, see `sdcorr.methods.evidence.doubt`; None for most."""
    return [doubt(margin) for margin in match.evidence["margin"].tolist()]


def lines(request: MatchRequest, result: MatchResult) -> Iterator[str]:
    """What the terminal shows: one line per point and target."""
    for target, match in zip(request.targets, result.matches, strict=True):
        for start, end, sure, why in zip(request.points, match.points, match.confidence, doubts(match), strict=True):
            found = f"{target.path.name} ({end[0]:.1f}, {end[1]:.1f})"
            doubtful = f", doubtful: {why}" if why else ""
            yield f"({start[0]:g}, {start[1]:g}) -> {found}, confidence {sure:.2f}{doubtful}"


def name_picture(image: Image.Image, path: str | Path) -> Picture:
    """An upright RGB picture with its key, which is named by its pixels alone.

    Args:
        image: the picture as one sees it.
        path: where it came from; only ever written down.
    """
    digest = hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()
    return Picture(Path(path), image, digest[:16])


def check_points(points: Any, source: Picture) -> np.ndarray:
    """Points as an array.

    Args:
        points: (P, 2), a sequence or an array of `[x, y]` in pixels of the source as one sees it.
        source: the picture.

    Returns:
        (P, 2) float64.

    Raises:
        UserError: if there is no point, or one is not a pair of finite numbers or is outside the source.
    """
    width, height = source.image.size
    shape = "give points as [[x,y],...] in pixels of the source picture"
    points = points.tolist() if hasattr(points, "tolist") else points
    if not isinstance(points, Sequence) or isinstance(points, str):
        raise UserError(f"points={points!r} is not a list of points: {shape}.")
    if not points:
        raise UserError(f"The list of points is empty: {shape}.")
    for number, point in enumerate(points, start=1):
        if not _is_pair(point):
            raise UserError(f"Point {number}, {point!r}, is not a pair of numbers: {shape}.")
        x, y = point
        if not (0 <= x <= width and 0 <= y <= height):
            raise UserError(
                f"Point {number}, {point!r}, is outside {source.path.name}, which is {width} x {height} pixels: "
                f"give x from 0 to {width} and y from 0 to {height}."
            )
    return np.array(points, dtype=np.float64)


def _is_pair(point: Any) -> bool:
    """Whether it is two finite numbers."""
    two = isinstance(point, Sequence | np.ndarray) and not isinstance(point, str) and len(point) == 2
    return two and all(
        isinstance(value, int | float | np.integer | np.floating) and abs(value) < math.inf for value in point
    )


def _picture(given: GivenPicture, unnamed: str) -> Picture:
    """A picture of any form; `unnamed` is what one is called that did not come from a file."""
    path = given if isinstance(given, str | Path) else getattr(given, "filename", "")
    return name_picture(read_picture(given), path or unnamed)
