"""A user's own pictures: points of one found in others. `sdcorr.findings` writes down what was found."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback
from PIL import Image
from torch import Tensor

from sdcorr.datasets import Ballot, ImageReader, Match, Pair, SourceUnit, group_by_source
from sdcorr.errors import UserError
from sdcorr.images import GivenPicture, read_picture
from sdcorr.methods.ballot import ballot
from sdcorr.methods.consensus import Consensus
from sdcorr.methods.counterparts import counterparts
from sdcorr.methods.prompt import Prompt
from sdcorr.methods.prompt_units import transferred
from sdcorr.methods.refine import Refine
from sdcorr.prompt.localize import combine_layers

Counterparts = tuple[tuple[int, int], ...]  # points that are the two sides of one part, the lower index first


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
class Likely:
    """What a calibration says of the P matches in a target."""

    right: np.ndarray  # (P,) probability that the match is right, as the calibration has it
    there: np.ndarray | None  # (P,) that the target shows the point at all; None: the calibration does not know
    origin: str  # what it was learned from


@dataclass(frozen=True)
class MatchResult:
    """What was found."""

    embeddings: Tensor  # (P, R, T, D)
    matches: tuple[Match, ...]  # for each target, in its pixels as one sees it
    maps: tuple[np.ndarray, ...]  # for each target (P, S, S), the combined attention maps
    ballots: tuple[Ballot, ...] = ()  # for each target, what its consensus has weighed; none where there is none
    consensus: Consensus = "none"
    refine: Refine = "none"
    counterparts: Counterparts = ()  # found under dense_flip
    likely: tuple[Likely | None, ...] = ()  # for each target; none where there is no calibration


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


def match_pictures(method: Prompt, request: MatchRequest, callbacks: Sequence[Callback] = ()) -> MatchResult:
    """Optimize the points' embeddings on the source, with Lightning callbacks, and find them in every target.

    The matches are those that an evaluation of the same pictures by the same method has, by the names of its draws.
    """
    unit, matcher = unit_of(request), method.matcher
    read = {each.key: each.image for each in (request.source, *request.targets)}.__getitem__
    matches, maps, ballots = [], [], []
    embeddings = torch.empty(0)
    for target, seen, optimized in transferred(matcher, unit, read, callbacks):
        match, agreed = method.answer(unit, target, seen, read)
        matches.append(match)
        maps.append(combine_layers(seen.maps, matcher.settings.combination).cpu().numpy())
        ballots += [ballot(agreed, target.pair.source_size, target.pair.target_size)] if agreed else []
        embeddings = optimized[list(target.points)]
    how = method.consensus, method.refine
    sides = own_counterparts(method, request.source, request.points, read)
    return MatchResult(embeddings, tuple(matches), tuple(maps), tuple(ballots), *how, sides)


def own_counterparts(method: Prompt, source: Picture, points: np.ndarray, image: ImageReader) -> Counterparts:
    """Which of a picture's points are the two sides of one part; told under `dense_flip`, which reads mirror images.

    Args:
        method: one that has found matches of the picture: what it has read of it is used again.
        source: the picture.
        points: (P, 2) pixels of it.
        image: reads it by its key, as it did for the matches.
    """
    if method.consensus != "dense_flip":
        return ()
    picture, mirrored = (read(source.key, image, "all") for read in (method.features, method.mirrored_features))
    return tuple(counterparts(picture, mirrored, points))


def unit_of(request: MatchRequest) -> SourceUnit:
    """What is asked for as the unit of work that methods take; nothing is annotated in its pairs."""
    source, count = request.source, len(request.points)
    unknown, asked = np.full((count, 2), np.nan), np.ones(count, dtype=bool)
    names = tuple(str(number) for number in range(1, count + 1))
    pairs = [
        Pair(
            id=f"{number}",
            category="all",
            source=source.key,
            target=target.key,
            source_size=source.image.size,
            target_size=target.image.size,
            source_points=request.points,
            target_points=unknown,
            visible=asked,
            names=names,
        )
        for number, target in enumerate(request.targets, start=1)
    ]
    (unit,) = group_by_source(pairs)
    return unit


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
