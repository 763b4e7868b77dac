"""The predictions of a run as one file, which `sdcorr import` reads again to the last bit."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sdcorr.datasets import Match, Pair
from sdcorr.errors import UserError
from sdcorr.files import write_whole
from sdcorr.run.records import UnitRecord

COLUMNS = ("pair", "source", "target", "point", "x", "y", "score", "target_x", "target_y")
HIDDEN = "hidden"  # a column more where such points were asked for, which no import reads
Told = Callable[[Match], Mapping[str, np.ndarray]]  # a match -> by name (V,) each: further columns, which none reads
SUFFIXES = (".csv", ".json")


def export_predictions(records: Sequence[UnitRecord], path: Path, told: Told = lambda match: {}) -> int:
    """Writes the predictions of one method, in pixels of the original pictures, with the truth where it is known.

    A CSV has a row per point, a JSON a list of pairs; both have the columns of `sdcorr.exchange.table`, and the JSON
    has the matches' evidence as well, which no import reads. Where points that targets hide were asked for, a column
    says which they are. Key-points are called by their names, or by their numbers
    among all of the pair's if two of one pair have the same name.

    Args:
        records: of one method.
        path: the file, .csv or .json.
        told: what else is known of the points of a match, the same names of each.

    Returns:
        How many points were written.

    Raises:
        UserError: if the file is of another kind or cannot be written.
    """
    check_suffix(path)
    predictions = [(pair, match) for record in records for pair, match in record.predictions if len(match.points)]
    named = all(len(set(pair.names)) == len(pair.names) and all(pair.names) for pair, _ in predictions)
    text = (_csv if path.suffix.lower() == ".csv" else _json)(predictions, named, told)
    write_whole(path, text)
    return sum(len(match.points) for _, match in predictions)


def check_suffix(path: Path) -> None:
    """Raises UserError if the name does not say which kind of file it is."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"--to {path} does not say which kind of file it is: end its name in .csv or .json.")


def _csv(predictions: Sequence[tuple[Pair, Match]], named: bool, told: Told) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    asked = any(pair.hidden is not None for pair, _ in predictions)
    more = list(told(predictions[0][1])) if predictions else []
    writer.writerow([*COLUMNS, *([HIDDEN] if asked else []), *more])
    for pair, match in predictions:
        known = [*([pair.is_hidden.astype(int)] if asked else []), *told(match).values()]
        columns = [values.tolist() for values in known]
        for row, (point, (x, y), score, truth) in enumerate(_points(pair, match, named)):
            about = [pair.id, pair.source, pair.target, point, x, y, score, *(truth or ("", ""))]
            writer.writerow([*about, *(column[row] for column in columns)])
    return text.getvalue()


def _json(predictions: Sequence[tuple[Pair, Match]], named: bool, told: Told) -> str:
    entries = []
    for pair, match in predictions:
        points, places, scores, truths = zip(*_points(pair, match, named), strict=True)
        of_points: dict[str, Any] = {"point": points, "xy": places, "score": scores, "target_xy": truths}
        if pair.hidden is not None:
            of_points[HIDDEN] = pair.is_hidden.tolist()
        of_points |= {name: values.tolist() for name, values in told(match).items()}
        if match.evidence:
            of_points["evidence"] = {name: values.tolist() for name, values in match.evidence.items()}
        entries.append({"pair": pair.id, "source": pair.source, "target": pair.target} | of_points)
    return "[\n" + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries) + "\n]\n"


def _points(pair: Pair, match: Match, named: bool) -> Iterator[tuple[str | int, list[float], float, Any]]:
    """Each asked point: what it is called, where it was found, the confidence, and the truth or None."""
    slots = np.flatnonzero(pair.asked).tolist()
    truths = [truth if known else None for truth, known in zip(pair.true_points.tolist(), pair.has_truth, strict=True)]
    for slot, place, score, truth in zip(slots, match.points.tolist(), match.confidence.tolist(), truths, strict=True):
        yield pair.names[slot] if named else slot, place, score, truth
