"""The files that the page offers for download: those that the command line writes, and a table for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from sdcorr.app.matching import Found, How
from sdcorr.datasets import Ballot
from sdcorr.findings import alone, embeddings_file, matches_picture, points_record, reasons
from sdcorr.pictures import Counterparts, MatchRequest, MatchResult
from sdcorr.prompt.settings import PromptSettings


def result(found: Sequence[Found], how: How, counterparts: Counterparts) -> MatchResult:
    """Convert matches to the form that the command line writes; the only heat map is the combined one, (P, k, k)."""
    ballots = [each.ballot for each in found if each.ballot]
    return MatchResult(
        torch.stack([each.embedding for each in found]),
        (Found.match(found),),
        (np.stack([each.target_maps[-1] for each in found]).astype(np.float32),),
        (_together(ballots),) if ballots else (),
        how.consensus,
        how.refine,
        counterparts,
    )


def _together(ballots: Sequence[Ballot]) -> Ballot:
    """What was weighed for several points of a pair, as one."""
    joined = {name: np.concatenate([getattr(each, name) for each in ballots]) for name in ("places", "shares", "votes")}
    return replace(ballots[0], **joined)


def points_table(request: MatchRequest, result: MatchResult) -> str:
    """Write a CSV with one row per point, in pixels of the pictures as they are seen (turned as their EXIF says).

    Under a consensus a row also has its name, and where the point's map by itself would have it; where the mirror
    images were asked, the number of the point that is its counterpart, the first being 1.
    """
    file = io.StringIO()
    writer = csv.writer(file)
    titles = ["source_x", "source_y", "target_x", "target_y", "confidence", "doubt"]
    titles += ["consensus", "alone_x", "alone_y"] if result.ballots else []
    flipped = result.consensus == "dense_flip"
    writer.writerow(titles + (["counterpart"] if flipped else []))
    match = result.matches[0]
    places = alone(result.ballots[0]).round(1).tolist() if result.ballots else []
    others = {one: other for both in result.counterparts for one, other in (both, both[::-1])}
    told = zip(request.points, match.points, match.confidence, reasons(request, result, 0), strict=True)
    for number, (start, end, sure, why) in enumerate(told):
        weighed = [result.consensus, *places[number]] if places else []
        weighed += [others[number] + 1 if number in others else None] if flipped else []
        writer.writerow([*start.tolist(), *end.round(3).tolist(), round(float(sure), 4), why, *weighed])
    return file.getvalue()


Writer = Callable[[MatchRequest, MatchResult, str, PromptSettings], str | bytes]
DOWNLOADS: dict[str, tuple[str, Writer]] = {  # file -> media type, and the function that writes its content
    "points.json": ("application/json", lambda request, found, model, how: points_record(request, found, model=model)),
    "points.csv": ("text/csv", lambda request, found, model, how: points_table(request, found)),
    "matches.png": ("image/png", lambda request, found, model, how: matches_picture(request, found)),
    "embeddings.safetensors": (
        "application/octet-stream",
        lambda request, found, model, how: embeddings_file(request, found, model=model, settings=how),
    ),
}
