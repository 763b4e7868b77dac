"""What was found in a user's own pictures, written down: points.json, matches.png, embeddings, lines of text."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save

from sdcorr import visualize
from sdcorr.datasets import Ballot
from sdcorr.files import write_whole
from sdcorr.methods.doubts import absent, doubts
from sdcorr.pictures import Likely, MatchRequest, MatchResult
from sdcorr.prompt.settings import PromptSettings

FOUND = "found, not annotated"  # counterparts, by the source and its mirror image
SAME_PLACE = 0.05  # longer sides of the target, within which two counterparts cannot both be
JOINT = "joint: a point's match also depends on the other points that were asked for"


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
        doubtful=[[why is not None for why in reasons(request, result, row)] for row in range(len(request.targets))],
        grids=[each.grid for each in result.ballots],
    )
    file = io.BytesIO()
    figure.savefig(file, dpi=130, format="png")
    return file.getvalue()


def points_record(request: MatchRequest, result: MatchResult, *, model: str) -> str:
    """The content of points.json: the matches in original pixels, with their confidence and why to doubt them.

    Under a consensus it has what was weighed as well, see `weighed`.
    """
    record = {
        "source": {
            "image": str(request.source.path),
            "size": request.source.image.size,
            "points": request.points.tolist(),
            **({"counterparts": {"origin": FOUND, "pairs": result.counterparts}} if result.counterparts else {}),
        },
        "targets": [
            {
                "image": str(target.path),
                "size": target.image.size,
                "points": match.points.round(3).tolist(),
                "confidence": match.confidence.round(4).tolist(),
                **probabilities(result, number),
                "doubt": reasons(request, result, number),
                **(weighed(result.ballots[number]) if result.ballots else {}),
            }
            for number, (target, match) in enumerate(zip(request.targets, result.matches, strict=True))
        ],
        "model": model,
        **({"calibration": origin} if (origin := calibration_of(result)) else {}),
        "consensus": result.consensus,
        "refine": result.refine,
        **({"note": JOINT} if result.consensus == "joint" else {}),
        "units": "pixels, x to the right, y down; the center of the top-left pixel is (0.5, 0.5)",
    }
    return json.dumps(record, indent=1) + "\n"


def reasons(request: MatchRequest, result: MatchResult, number: int) -> list[str | None]:
    """Why each of the P matches in a target is to be doubted; None for most.

    Args:
        request: what was asked for.
        result: what was found.
        number: of the target.
    """
    match = result.matches[number]
    there = likely.there if (likely := _likely(result, number)) else None
    missing = [None] * len(match.points) if there is None else [absent(each) for each in there.tolist()]
    told = [why or other for why, other in zip(missing, doubts(match.evidence), strict=True)]
    for both in result.counterparts:
        apart = np.linalg.norm(match.points[both[0]] - match.points[both[1]])
        if apart < SAME_PLACE * max(request.targets[number].image.size):
            for one, other in (both, both[::-1]):
                told[one] = told[one] or f"point {other + 1}, its counterpart, is found in the same place"
    return told


def probabilities(result: MatchResult, number: int) -> dict[str, list[float]]:
    """Of each of the P matches in a target, as far as a calibration knows.

    Returns:
        `probability`: that it is right; `there`: that the target shows the point; nothing where nobody knows.
    """
    likely = _likely(result, number)
    known = {"probability": likely.right, "there": likely.there} if likely else {}
    return {name: values.round(4).tolist() for name, values in known.items() if values is not None}


def calibration_of(result: MatchResult) -> str | None:
    """What the calibration was learned from, by which the matches were judged; None without one."""
    return next((likely.origin for likely in result.likely if likely), None)


def _likely(result: MatchResult, number: int) -> Likely | None:
    return result.likely[number] if result.likely else None


def weighed(of: Ballot) -> dict[str, Any]:
    """What a consensus has weighed, as plain values; places are pixels of the target.

    Returns:
        `trust`: how far the two pictures were believed, from 0 to 1; `mirrored`: the probability that the target shows
        the object mirrored, None where the mirror images were not asked; `peaks`: of each point those of its map, the
        one that was taken first: x, y, `map` (its share of the map) and `votes` (what is added to the logarithm of
        that); `grid`: rows of nodes, where the pair sends an even grid over the source.
    """
    return {
        "trust": of.trust,
        "mirrored": None if of.mirrored is None else round(of.mirrored, 4),
        "peaks": [
            [
                {"x": round(x, 1), "y": round(y, 1), "map": round(share, 4), "votes": round(votes, 3)}
                for (x, y), share, votes in zip(places, shares, votes, strict=True)
                if share > 0
            ]
            for places, shares, votes in zip(of.places.tolist(), of.shares.tolist(), of.votes.tolist(), strict=True)
        ],
        "grid": of.grid.round(2).tolist(),
    }


def alone(of: Ballot) -> np.ndarray:
    """Where the maps by themselves would have each of V points, the highest peak of each that was kept: (V, 2)."""
    return of.places[np.arange(len(of.places)), of.shares.argmax(1)]


def lines(request: MatchRequest, result: MatchResult) -> Iterator[str]:
    """What the terminal shows: one line per point and target."""
    joint = " (joint)" if result.consensus == "joint" else ""
    for number, (target, match) in enumerate(zip(request.targets, result.matches, strict=True)):
        whys = reasons(request, result, number)
        likely = probabilities(result, number).get("probability", [None] * len(whys))
        for start, end, sure, right, why in zip(
            request.points, match.points, match.confidence, likely, whys, strict=True
        ):
            found = f"{target.path.name} ({end[0]:.1f}, {end[1]:.1f})"
            doubtful = f", doubtful: {why}" if why else ""
            calibrated = "" if right is None else f", {100 * right:.0f} % likely right"
            yield f"({start[0]:g}, {start[1]:g}) -> {found}, confidence {sure:.2f}{joint}{calibrated}{doubtful}"
