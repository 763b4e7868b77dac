"""A user's own pictures: points of one, carried to others, and written down."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import ListConfig, OmegaConf
from PIL import Image, ImageOps
from safetensors.torch import save
from torch import Tensor

from sdcorr import visualize
from sdcorr.datasets import Match
from sdcorr.errors import UserError
from sdcorr.files import write_whole
from sdcorr.images import read_image
from sdcorr.prompt.localize import combine_layers
from sdcorr.prompt.matcher import PromptMatcher
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
    first = _picture(source)
    paths = target if isinstance(target, list | ListConfig) else [target]
    if not paths:
        raise UserError("There is no target: give target=b.jpg, or several as target='[b.jpg,c.jpg]'.")
    plain = OmegaConf.to_container(points) if isinstance(points, ListConfig) else points
    return Errand(first, _points(plain, first), tuple(_picture(path) for path in paths))


def claim_folder(run_dir: str) -> Path:
    """Make the run folder and check that it can be written, before any work is done.

    Raises:
        UserError: if it cannot.
    """
    folder = Path(run_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"Cannot write to {folder} ({error.strerror}): choose another folder with run_dir=PATH."
        ) from None
    return folder


def carry(matcher: PromptMatcher, errand: Errand) -> Result:
    """Optimise the points' embeddings on the source and find them in every target."""
    source, points = errand.source, errand.points
    embeddings = matcher.optimize(source.image, points, source.key)
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
    made_by = {"model": model, "settings": json.dumps(asdict(settings)), "points": json.dumps(errand.points.tolist())}
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
        "units": "pixels, x to the right, y down; the centre of the top-left pixel is (0.5, 0.5)",
    }
    figure = visualize.matches_with_heat(
        errand.source.image,
        [target.image for target in errand.targets],
        errand.points,
        [match.points for match in result.matches],
        result.maps,
        [match.confidence for match in result.matches],
    )
    embeddings = {"embeddings": result.embeddings.contiguous().cpu()}
    write_whole(folder / "embeddings.safetensors", save(embeddings, metadata=made_by))
    write_whole(folder / "matches.png", lambda path: figure.savefig(path, dpi=130, format="png"))
    write_whole(folder / "points.json", json.dumps(record, indent=1) + "\n")


def lines(errand: Errand, result: Result) -> Iterator[str]:
    """What the terminal shows: one line a point and target."""
    for target, match in zip(errand.targets, result.matches, strict=True):
        for start, end, sure in zip(errand.points, match.points, match.confidence, strict=True):
            found = f"{target.path.name} ({end[0]:.1f}, {end[1]:.1f})"
            yield f"({start[0]:g}, {start[1]:g}) -> {found}, confidence {sure:.2f}"


def _picture(path: str) -> Picture:
    image = ImageOps.exif_transpose(read_image(path))
    digest = hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()
    return Picture(Path(path), image, digest[:16])


def _points(points: Any, source: Picture) -> np.ndarray:
    width, height = source.image.size
    shape = "give points='[[x,y],...]' in pixels of the source picture"
    if not isinstance(points, Sequence) or isinstance(points, str):
        raise UserError(f"points={points!r} is not a list of points: {shape}.")
    if not points:
        raise UserError(f"The list of points is empty: {shape}.")
    for number, point in enumerate(points, start=1):
        pair = isinstance(point, Sequence) and not isinstance(point, str) and len(point) == 2
        if not pair or not all(isinstance(value, int | float) and np.isfinite(value) for value in point):
            raise UserError(f"Point {number}, {point!r}, is not a pair of numbers: {shape}.")
        if not (0 <= point[0] <= width and 0 <= point[1] <= height):
            raise UserError(
                f"Point {number}, {point!r}, is outside {source.path.name}, which is {width} x {height} pixels: "
                f"give x from 0 to {width} and y from 0 to {height}."
            )
    return np.array(points, dtype=np.float64)
