"""Pseudo-labels: which point of a picture a method has found where in others; read from the folder of `sdcorr label`.

    pictures/part-*.parquet    key, png (or any other encoded picture), width, height, category
    labels/part-*.parquet      track, category, source, target, source_x, source_y, target_x, target_y (pixels of the
                               original pictures), confidence, way_back, kept

No keypoint is among them: a track is a point that nobody has named, followed from one source through many targets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from sdcorr.digests import combined, digest
from sdcorr.errors import UserError

PLACES = ("source_x", "source_y", "target_x", "target_y")
COLUMNS = ("track", "source", "target", *PLACES, "confidence", "kept")


@dataclass(frozen=True, eq=False)
class Cluster:
    """A source picture, its tracks, and the targets in which they were found."""

    source: str  # key of the picture
    targets: tuple[str, ...]  # T keys
    points: np.ndarray  # (P, 1 + T, 2) xy as shares of each picture's sides; the source first; 0 where not found
    found: np.ndarray  # (P, 1 + T) bool, True for the source


@dataclass(frozen=True, eq=False)
class Labels:
    """All of a folder: encoded pictures and the clusters of their tracks."""

    pictures: dict[str, bytes]  # key -> encoded picture
    clusters: tuple[Cluster, ...]
    count: int  # labels that are used
    identity: str  # digest of the files

    @cached_property
    def keys(self) -> list[str]:
        """Of all pictures, with labels or without."""
        return sorted(self.pictures)


def read_labels(folder: str | Path, least_confidence: float = 0.0) -> Labels:
    """The labels of a folder that its own filters have kept.

    Args:
        folder: as `sdcorr label` writes it.
        least_confidence: labels of less are left out.

    Raises:
        UserError: if there are none, or columns are missing.
    """
    folder = Path(folder).expanduser()
    pictures, seen_pictures = _table(folder, "pictures", ("key", "png", "width", "height"))
    labels, seen_labels = _table(folder, "labels", COLUMNS)
    used = labels["kept"].astype(bool) & (labels["confidence"].astype(float) >= least_confidence)
    labels = {name: values[used] for name, values in labels.items()}
    sizes = {
        key: (width, height)
        for key, width, height in zip(*(pictures[name].tolist() for name in ("key", "width", "height")), strict=True)
    }
    named = {*labels["source"].tolist(), *labels["target"].tolist()}
    if unknown := sorted(named - set(sizes)):
        raise UserError(f"{folder} has labels for {unknown[0]}, of which it has no picture: label it again.")
    order = np.argsort(labels["source"], kind="stable")
    starts = np.flatnonzero(np.r_[True, labels["source"][order][1:] != labels["source"][order][:-1]])
    groups = np.split(order, starts[1:]) if len(order) else []
    if not groups:
        raise UserError(f"{folder} has no label that was kept: make some with `sdcorr label`.")
    return Labels(
        pictures=dict(zip(pictures["key"].tolist(), pictures["png"].tolist(), strict=True)),
        clusters=tuple(_cluster({name: values[rows] for name, values in labels.items()}, sizes) for rows in groups),
        count=len(order),
        identity=combined([seen_pictures, seen_labels]),
    )


def divided(clusters: Sequence[Cluster], val: float) -> tuple[list[Cluster], list[Cluster]]:
    """Clusters to train on and clusters to choose by: a picture's key decides, so that more labels move none.

    Args:
        clusters: of all sources.
        val: share of the sources to choose by; at least one source is.

    Raises:
        UserError: if there are fewer than two sources.
    """
    if len(clusters) < 2:
        raise UserError(f"There is {len(clusters)} source picture: give labels of at least two, one to choose by.")
    ranks = [int(hashlib.sha256(each.source.encode()).hexdigest()[:8], 16) / 16**8 for each in clusters]
    limit = max(val, min(ranks)) if max(ranks) >= val else min(ranks)
    held = [rank <= limit for rank in ranks]
    return (
        [each for each, out in zip(clusters, held, strict=True) if not out],
        [each for each, out in zip(clusters, held, strict=True) if out],
    )


def _table(folder: Path, name: str, columns: Sequence[str]) -> tuple[dict[str, np.ndarray], str]:
    """Columns of all parts, and the digest of their files."""
    from sdcorr.parquet import parquet, pyarrow  # not at the top: a student that is only used needs no labels

    files = sorted((folder / name).glob("part-*.parquet"))
    if not files:
        raise UserError(f"{folder} has no {name}/part-*.parquet: give data=FOLDER, as `sdcorr label` writes one.")
    parts: list[dict[str, list[object]]] = []
    for file in files:
        try:
            parts.append(parquet.read_table(file, columns=list(columns)).to_pydict())
        except (pyarrow.ArrowInvalid, KeyError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{file} cannot be read ({reason}): make it again with `sdcorr label`.") from None
        if lacking := set(columns) - set(parts[-1]):
            raise UserError(f"{file} has no column {min(lacking)}: make it again with `sdcorr label`.")
    joined = {column: _column([value for part in parts for value in part[column]]) for column in columns}
    return joined, combined(digest(file.read_bytes()) for file in files)


def _column(values: list[object]) -> np.ndarray:
    if values and isinstance(values[0], str | bytes):
        column = np.empty(len(values), dtype=object)
        column[:] = values
        return column
    return np.array(values)


def _cluster(rows: dict[str, np.ndarray], sizes: dict[str, tuple[int, int]]) -> Cluster:
    source = str(rows["source"][0])
    targets = tuple(sorted(set(rows["target"].tolist())))
    tracks = {track: number for number, track in enumerate(dict.fromkeys(rows["track"].tolist()))}
    views = {target: 1 + number for number, target in enumerate(targets)}
    points = np.zeros((len(tracks), 1 + len(targets), 2), dtype=np.float32)
    found = np.zeros(points.shape[:2], dtype=bool)
    track = np.array([tracks[each] for each in rows["track"]])
    view = np.array([views[each] for each in rows["target"]])
    points[track, 0] = np.stack([rows["source_x"], rows["source_y"]], -1) / sizes[source]
    of_target = np.array([sizes[each] for each in rows["target"]])
    points[track, view] = np.stack([rows["target_x"], rows["target_y"]], -1) / of_target
    found[track, 0] = found[track, view] = True
    return Cluster(source, targets, points, found)
