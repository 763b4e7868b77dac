"""Predictions that were made elsewhere, as the records of a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sdcorr.datasets import Benchmark, Match, Pair, group_by_source
from sdcorr.digests import digest
from sdcorr.errors import UserError
from sdcorr.exchange.frame import FileFrame
from sdcorr.exchange.pairing import Found, Pairing, pair_up
from sdcorr.exchange.table import Table, read_table
from sdcorr.methods.base import Claim
from sdcorr.run.claims import IMPORTED
from sdcorr.run.records import UnitRecord
from sdcorr.run.store import PredictionStore

VERSION = 1  # raised by every change after which the same file becomes other predictions


@dataclass(frozen=True)
class Reading:
    """How a file of predictions is to be read."""

    frame: FileFrame = field(default_factory=FileFrame)
    columns: Mapping[str, str] = field(default_factory=dict)  # ours -> the file's, see `sdcorr.exchange.table`
    where: Mapping[str, str] = field(default_factory=dict)  # column -> text that the rows to be read have there
    first: int = 0  # what the file calls the first pair and the first key-point


@dataclass(frozen=True)
class Imported:
    """What was imported, to be told."""

    pairs: int
    points: int
    lacking: int  # pairs of the data set that the file has nothing of
    table: Table
    pairing: Pairing


def import_predictions(
    path: Path, benchmark: Benchmark, store: PredictionStore, method: str, config: Mapping[str, Any], reading: Reading
) -> Imported:
    """Writes the records of a method from a file. Nothing is written unless all of the file can be read.

    Confidences are the file's scores, stretched to [0, 1] over the file's range if one is outside, and 1 without any.

    Args:
        path: the file.
        benchmark: the pairs that it predicts; it may lack some, but no key-point of those that it has.
        store: the run folder.
        method: what the predictions are called there.
        config: what the run is, as of any run on that data set.
        reading: how the file is to be read.

    Raises:
        UserError: with the line, if the file is not what it should be; or if the folder is another run, or has
            predictions of that name that were made otherwise.
    """
    table = read_table(path, reading.columns, reading.where)
    pairing = pair_up(table, benchmark, reading.frame, reading.first)
    matches = _matches(pairing.found)
    store.claim_run(config, benchmark)
    store.claim(method, _claim(path, table, pairing, reading))
    matches |= {pair.id: Match(np.empty((0, 2)), np.empty(0)) for pair in benchmark.pairs if not pair.asked.any()}
    for unit in group_by_source(benchmark.pairs):
        predictions = tuple((pair, matches[pair.id]) for pair in unit.pairs if pair.id in matches)
        if predictions:
            pictures = _pictures(store, [pair for pair, _ in predictions])
            about = (benchmark.name, benchmark.split, method, unit.source)
            store.save(UnitRecord(*about, seconds=0.0, predictions=predictions, pictures=pictures))
    if method not in (noted := store.noted_methods()):
        store.note_methods([*noted, method])
    points = sum(len(each.points) for each in pairing.found)
    return Imported(len(pairing.found), points, len(benchmark.pairs) - len(matches), table, pairing)


def _claim(path: Path, table: Table, pairing: Pairing, reading: Reading) -> Claim:
    settings = {
        "file": digest(path.read_bytes()),
        "frame": reading.frame.written,
        "first_pixel": reading.frame.first_pixel,
        "columns": dict(table.columns),
        "where": dict(reading.where),
        "count_from": reading.first,
        "points_by": pairing.numbering,
    }
    return Claim(IMPORTED, VERSION, settings)


def _matches(found: Sequence[Found]) -> dict[str, Match]:
    """By the pair's id."""
    known = [each.scores for each in found if each.scores is not None]
    scores = np.concatenate(known) if known else np.ones(1)
    low, high = scores.min(), scores.max()
    low, spread = (0.0, 1.0) if low >= 0 and high <= 1 else (low, (high - low) or 1.0)
    return {
        each.pair.id: Match(
            each.points, np.ones(len(each.points)) if each.scores is None else (each.scores - low) / spread
        )
        for each in found
    }


def _pictures(store: PredictionStore, pairs: Sequence[Pair]) -> dict[str, str]:
    """The digests of the pictures as they are now, as far as these can be read."""
    keys = {key for pair in pairs for key in (pair.source, pair.target)}
    digests = {key: store.pairs.pictures.get(key) for key in sorted(keys)}
    return {key: value for key, value in digests.items() if value is not None}


def check_name(method: str) -> None:
    """Raises UserError if a method cannot be called so: its name is that of a folder."""
    if not method or method.startswith(".") or not all(letter.isalnum() or letter in "_-+." for letter in method):
        raise UserError(f"A method cannot be called {method!r}: use letters, digits and _ - + . alone.")
