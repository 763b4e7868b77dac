"""The maps behind the matches of a source image, as one small file: a byte a cell, each map over its own range.

They are for looking at: nothing is scored from them, and a run without them is whole.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sdcorr.datasets import AttentionMaps, Ballot

LEVELS = 255  # a byte's
OF_POINTS = ("places", "shares", "votes")  # of a ballot, a row for each point
OF_PAIR = ("trust", "mirrored")  # likewise, a number; older files have none


def pack(found: Mapping[str, AttentionMaps]) -> bytes:
    """A numpy archive of attention maps by the pair's id; a source map that several pairs share is held once.

    Raises:
        ValueError: if there is none, they differ in their layers or their cells, or a number in them is not finite.
    """
    layers = {each.layers for each in found.values()}
    if len(layers) != 1:
        raise ValueError(f"the attention maps of a source image must agree in their layers, not have {sorted(layers)}")
    if not all(np.isfinite(maps).all() for each in found.values() for maps in (each.source, each.target)):
        raise ValueError("a number in an attention map is not finite")
    source, source_range = to_bytes(np.concatenate([each.source for each in found.values()]))
    target, target_range = to_bytes(np.concatenate([each.target for each in found.values()]))
    rows = np.concatenate((source.reshape(len(source), -1), source_range.reshape(len(source), -1).view(np.uint8)), 1)
    _, first, which = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    file = io.BytesIO()
    np.savez_compressed(
        file,
        layers=np.array(layers.pop()),
        pairs=np.array(list(found)),
        counts=np.array([len(each.target) for each in found.values()]),
        source=source[first],
        source_range=source_range[first],
        source_of=which.reshape(-1),
        target=target,
        target_range=target_range,
        **_ballots(found),
    )
    return file.getvalue()


def unpack(path: Path) -> dict[str, AttentionMaps]:
    """The attention maps in such a file, by the pair's id; none if there is no such file, or it is torn."""
    try:
        with np.load(path) as archive:
            held = dict(archive)
        layers = tuple(held["layers"].tolist())
        of = held["source_of"]
        source = _from_bytes(held["source"][of], held["source_range"][of])
        target = _from_bytes(held["target"], held["target_range"])
        ends = np.cumsum(held["counts"])
        maps = {
            pair: AttentionMaps(layers, source[end - count : end], target[end - count : end])
            for pair, count, end in zip(held["pairs"].tolist(), held["counts"], ends, strict=True)
        }
        start = 0
        for row, number in enumerate(held.get("ballot_pairs", ())):
            pair, end = str(held["pairs"][number]), start + int(held["counts"][number])
            rows = {name: held[f"ballot_{name}"][start:end] for name in OF_POINTS}
            trust, mirrored = (_known(held, f"ballot_{name}", row) for name in OF_PAIR)
            ballot = Ballot(**rows, grid=held["ballot_grid"][row], trust=trust, mirrored=mirrored)
            maps[pair] = replace(maps[pair], ballot=ballot)
            start = end
        return maps
    except (OSError, KeyError, ValueError, IndexError, EOFError, zipfile.BadZipFile):
        return {}


def _ballots(found: Mapping[str, AttentionMaps]) -> dict[str, Any]:
    """Arrays of what was weighed for the pairs that had a consensus: their numbers, and what there is, pair by pair."""
    held = [(number, each.ballot) for number, each in enumerate(found.values()) if each.ballot]
    if not held:
        return {}
    joined = {f"ballot_{name}": np.concatenate([getattr(ballot, name) for _, ballot in held]) for name in OF_POINTS}
    joined |= {
        f"ballot_{name}": np.array([getattr(ballot, name) for _, ballot in held], np.float32) for name in OF_PAIR
    }
    grids = np.stack([ballot.grid for _, ballot in held])
    return joined | {"ballot_grid": grids, "ballot_pairs": np.array([number for number, _ in held])}


def _known(held: Mapping[str, np.ndarray], name: str, row: int) -> float | None:
    return float(held[name][row]) if name in held and not np.isnan(held[name][row]) else None


def alike(one: AttentionMaps, other: AttentionMaps) -> bool:
    """Whether two pairs' maps are of the same layers and as many cells, so that one file can hold both."""
    return one.layers == other.layers and one.source.shape[1:] == other.source.shape[1:]


def to_bytes(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps (N, L, k, k) as uint8, each over its own range, and their least and greatest values, (N, L, 2) float32."""
    bounds = np.stack((maps.min((-2, -1)), maps.max((-2, -1))), -1).astype(np.float32)
    spread = np.maximum(bounds[..., 1] - bounds[..., 0], np.finfo(np.float32).tiny)[..., None, None]
    levels = (maps - bounds[..., :1, None]) / spread * LEVELS
    return levels.round().astype(np.uint8), bounds


def _from_bytes(levels: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    least, greatest = bounds[..., 0, None, None], bounds[..., 1, None, None]
    return (least + levels / np.float32(LEVELS) * (greatest - least)).astype(np.float32)
