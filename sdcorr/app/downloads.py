"""The files that the page offers for download: those that the command line writes, and a table for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence

import numpy as np
import torch

from sdcorr.app.matching import Found
from sdcorr.pictures import MatchRequest, MatchResult, doubts, embeddings_file, matches_picture, points_record
from sdcorr.prompt.settings import PromptSettings


def result(found: Sequence[Found]) -> MatchResult:
    """Convert matches to the form that the command line writes; the only heat map is the combined one, (P, k, k)."""
    return MatchResult(
        torch.stack([each.embedding for each in found]),
        (Found.match(found),),
        (np.stack([each.target_maps[-1] for each in found]).astype(np.float32),),
    )


def points_table(request: MatchRequest, result: MatchResult) -> str:
    """Write a CSV with one row per point, in pixels of the pictures as they are seen (turned as their EXIF says)."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["source_x", "source_y", "target_x", "target_y", "confidence", "doubt"])
    match = result.matches[0]
    for start, end, sure, why in zip(request.points, match.points, match.confidence, doubts(match), strict=True):
        writer.writerow([*start.tolist(), *end.round(3).tolist(), round(float(sure), 4), why])
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
