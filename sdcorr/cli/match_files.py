"""A user's own pictures: points of one, carried to others, and written down."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lightning import Callback
from omegaconf import ListConfig, OmegaConf
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from sdcorr import visualize
from sdcorr.datasets import Match
from sdcorr.errors import UserError
from sdcorr.files import write_whole
from sdcorr.images import as_seen, read_image
from sdcorr.prompt import PromptMatcher
from sdcorr.prompt.localize import combine_layers
from sdcorr.prompt.settings import PromptSettings


@dataclass(frozen=True)
class Picture:
    path: Path
    image: Image.Image  # RGB, turned upright as its EXIF says: the picture as one sees it
    key: str  # named by its pixels, so that a renamed picture gives the same result


@dataclass(frozen=True)
class Errand:
    """What is asked for: the matches of `points`, `(P, 2)` pixels of the source as one sees it, in every target."""

    source: Picture
    points: np.ndarray
    targets: tuple[Picture, ...]


@dataclass(frozen=True)
class Result:
    embeddings: Tensor  # (P, R, T, D)
    matches: tuple[Match, ...]  # for each target, in its pixels as one sees it
    maps: tuple[np.ndarray, ...]  # for each target (P, S, S), the combined attention maps


def read_errand(source: str, points: Any, target: Any) -> Errand:
    """Read the pictures and check the points.

    Args:
        source: path of a picture.
        points: `[[x, y], ...]`, in pixels of the source as one sees it.
        target: path of a picture, or a list of paths.

    Raises:
        UserError: if a picture cannot be read, there is no point, or one is no pair of numbers or outside the source.
    """
    first = name_picture(read_image(source, as_seen), source)
    paths = target if isinstance(target, list | ListConfig) else [target]
    if not paths:
        raise UserError("There is no target: give target=b.jpg, or several as target='[b.jpg,c.jpg]'.")
    plain = OmegaConf.to_container(points) if isinstance(points, ListConfig) else points
    return Errand(
        first, check_points(plain, first), tuple(name_picture(read_image(path, as_seen), path) for path in paths)
    )


def claim_folder(run_dir: str) -> Path:
    """Make the run folder and check that it can be written, before any work is done.

    Raises:
        UserError: if it cannot.
    """
    folder = Path(run_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / f".writable-{os.getpid()}"
        trial.write_text("")
        trial.unlink()
    except OSError as error:
        raise UserError(
            f"Cannot write to {folder} ({error.strerror}): choose another folder with run_dir=PATH."
        ) from None
    return folder


def carry(matcher: PromptMatcher, errand: Errand, callbacks: Sequence[Callback] = ()) -> Result:
    """Optimize the points' embeddings on the source, with Lightning callbacks, and find them in every target."""
    source, points = errand.source, errand.points
    embeddings = matcher.optimize(source.image, points, source.key, callbacks)
    matches, maps = [], []
    for target in errand.targets:
        layers = matcher.transfer(target.image, embeddings, points, source.key, target.key)  # (P, L, S, S)
        matches.append(matcher.localize(layers, target.image.size))
        maps.append(combine_layers(layers, matcher.settings.combination).cpu().numpy())
    return Result(embeddings, tuple(matches), tuple(maps))


def write(folder: Path, errand: Errand, result: Result, *, model: str, settings: PromptSettings) -> None:
    """Write embeddings.safetensors, points.json and matches.png; each appears whole or not at all.

    Raises:
        UserError: if the disk is full or the folder cannot be written.
    """
    write_whole(folder / "embeddings.safetensors", embeddings_file(errand, result, model=model, settings=settings))
    write_whole(folder / "matches.png", matches_picture(errand, result))
    write_whole(folder / "points.json", points_record(errand, result, model=model))


def embeddings_file(errand: Errand, result: Result, *, model: str, settings: PromptSettings) -> bytes:
    """The content of embeddings.safetensors: `embeddings` (P, R, T, D), and in its metadata what made them."""
    made_by = {"model": model, "settings": json.dumps(asdict(settings)), "points": json.dumps(errand.points.tolist())}
    return save({"embeddings": result.embeddings.contiguous().cpu()}, metadata=made_by)


def matches_picture(errand: Errand, result: Result) -> bytes:
    """The content of matches.png: the pictures, their points joined, and the heat map behind every match."""
    figure = visualize.matches_with_heat(
        errand.source.image,
        [target.image for target in errand.targets],
        errand.points,
        [match.points for match in result.matches],
        result.maps,
        [match.confidence for match in result.matches],
    )
    file = io.BytesIO()
    figure.savefig(file, dpi=130, format="png")
    return file.getvalue()


def points_record(errand: Errand, result: Result, *, model: str) -> str:
    """The content of points.json: the matches in original pixels, with their confidence."""
    record = {
        "source": {
            "image": str(errand.source.path),
            "size": errand.source.image.size,
            "points": errand.points.tolist(),
        },
        "targets": [
            {
                "image": str(target.path),
                "size": target.image.size,
                "points": match.points.round(3).tolist(),
                "confidence": match.confidence.round(4).tolist(),
            }
            for target, match in zip(errand.targets, result.matches, strict=True)
        ],
        "model": model,
        "units": "pixels, x to the right, y down; the center of the top-left pixel is (0.5, 0.5)",
    }
    return json.dumps(record, indent=1) + "\n"


def lines(errand: Errand, result: Result) -> Iterator[str]:
    """What the terminal shows: one line a point and target."""
    for target, match in zip(errand.targets, result.matches, strict=True):
        for start, end, sure in zip(errand.points, match.points, match.confidence, strict=True):
            found = f"{target.path.name} ({end[0]:.1f}, {end[1]:.1f})"
            yield f"({start[0]:g}, {start[1]:g}) -> {found}, confidence {sure:.2f}"


def name_picture(image: Image.Image, path: str | Path) -> Picture:
    """An upright RGB picture with its key, which is named by its pixels alone.

    Args:
        image: the picture as one sees it.
        path: where it came from; only ever written down.
    """
    digest = hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()
    return Picture(Path(path), image, digest[:16])


def check_points(points: Any, source: Picture) -> np.ndarray:
    """Points as an array `(P, 2)`.

    Args:
        points: `[[x, y], ...]`, in pixels of the source as one sees it.
        source: the picture.

    Raises:
        UserError: if there is no point, or one is no pair of numbers or outside the source.
    """
    width, height = source.image.size
    shape = "give points='[[x,y],...]' in pixels of the source picture"
    if not isinstance(points, Sequence) or isinstance(points, str):
        raise UserError(f"points={points!r} is not a list of points: {shape}.")
    if not points:
        raise UserError(f"The list of points is empty: {shape}.")
    for number, point in enumerate(points, start=1):
        pair = isinstance(point, Sequence) and not isinstance(point, str) and len(point) == 2
        if not pair or not all(isinstance(value, int | float) and abs(value) < math.inf for value in point):
            raise UserError(f"Point {number}, {point!r}, is not a pair of numbers: {shape}.")
        if not (0 <= point[0] <= width and 0 <= point[1] <= height):
            raise UserError(
                f"Point {number}, {point!r}, is outside {source.path.name}, which is {width} x {height} pixels: "
                f"give x from 0 to {width} and y from 0 to {height}."
            )
    return np.array(points, dtype=np.float64)
