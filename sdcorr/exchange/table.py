"""A file of predictions, row by row: which columns it has, and what is written in each row.

CSV has a header and a row per point. JSON is a list of objects with the same names as keys: an object is a point, or a
pair whose `xy` is a list of points, and then `point`, `score` and `target_xy` are lists as well. The columns, in any
order, by these names, by one of the names that others give them (KNOWN), or by a name that the user says:

    pair, or index, or source and target   which pair: its id, its place in the list, or its pictures' names
    point                                  which key-point: its name or its number; without it, the order counts
    x and y, or xy                         where it was found; xy is one cell, `[x, y]`
    score                                  how sure the method is; the greater, the surer
    target_x and target_y, or target_xy    the truth, if the file has it: compared with the data set's
"""

from __future__ import annotations

import ast
import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdcorr.errors import UserError
from sdcorr.strict_json import loads

KNOWN: dict[str, tuple[str, ...]] = {  # column -> what others call it
    "pair": ("pair_id", "pair_name", "id"),
    "index": ("pair_index", "pair_idx", "image_idx", "idx"),
    "source": ("src", "source_image", "src_image", "src_imname", "image_a", "imagea"),
    "target": ("trg", "tgt", "target_image", "trg_image", "tgt_image", "trg_imname", "image_b", "imageb"),
    "point": ("point_id", "keypoint", "keypoint_id", "keypoint_name", "kp", "kp_id", "kps_id", "kps_ids", "name"),
    "x": ("pred_x", "x_pred", "predicted_x", "prediction_x"),
    "y": ("pred_y", "y_pred", "predicted_y", "prediction_y"),
    "xy": ("pred", "preds", "predicted", "prediction", "predictions"),
    "score": ("scores", "confidence", "similarity", "sim"),
    "target_x": ("gt_x", "x_gt", "truth_x", "true_x"),
    "target_y": ("gt_y", "y_gt", "truth_y", "true_y"),
    "target_xy": ("gt", "gts", "ground_truth", "truth"),
}
PLACES = (("pair",), ("index",), ("source", "target"))  # any of these says which pair it is; the first that is there
XY = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """One predicted point, as it is written."""

    where: str  # file and line, or file, entry and point
    place: tuple[str, ...]  # which pair: its id, its index, or both pictures
    point: str | None  # name or number of the key-point
    xy: XY
    score: float | None = None
    truth: XY | None = None


@dataclass(frozen=True)
class Table:
    """A file of predictions."""

    rows: Sequence[Row]
    columns: Mapping[str, str]  # ours -> the file's; only those that are read
    ignored: Sequence[str]  # the file's other columns
    chosen: int  # rows that were read, of
    written: int  # all

    @property
    def by(self) -> tuple[str, ...]:
        """The columns that say which pair a row is of."""
        return _place(self.columns)


def read_table(path: Path, columns: Mapping[str, str], where: Mapping[str, str]) -> Table:
    """Reads a file of predictions.

    Args:
        path: a .csv or a .json file.
        columns: ours -> the file's, where it has another name than those of KNOWN.
        where: column of the file -> the text that it must have in a row; other rows are not read.

    Raises:
        UserError: with the line, if a row or the header is not what it should be.
    """
    records = list(_records(path))
    if not records:
        raise UserError(f"{path} has no row: give a file with one row per predicted point.")
    there = list(dict.fromkeys(name for _, record in records for name in record))
    found = _columns(path, there, columns)
    if unknown := next((name for name in where if name not in there), None):
        raise UserError(f"{path} has no column {unknown!r} for --where: it has {', '.join(there)}.")
    kept = [
        (line, record)
        for line, record in records
        if all(_text(record.get(name)) == value for name, value in where.items())
    ]
    if not kept:
        told = " and ".join(f"{name}={value}" for name, value in where.items())
        raise UserError(f"{path} has no row where {told}: look at how the values are written there.")
    ignored = [name for name in there if name not in found.values() and name not in where]
    return Table([_row(line, record, found) for line, record in kept], found, ignored, len(kept), len(records))


def _records(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where each row is, and its cells by the column's name."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"Cannot read {path} ({error.strerror}): check the path.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not in UTF-8: save it in UTF-8.") from None
    match path.suffix.lower():
        case ".csv":
            yield from _csv_records(path.name, text)
        case ".json":
            yield from _json_records(path.name, text)
        case _:
            raise UserError(f"{path} is neither .csv nor .json: give a file of one of these kinds.")


def _csv_records(name: str, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    try:
        for cells in reader:
            line, cells = f"{name}:{reader.line_num}", [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not header:
                header = cells
                if twice := next((each for each in header if header.count(each) > 1), None):
                    raise UserError(f"{line} has the column {twice!r} twice: leave one away.")
            elif len(cells) != len(header):
                raise UserError(f"{line} has {len(cells)} cells, and the header {len(header)}: mend that row.")
            else:
                yield line, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise UserError(f"{name}:{reader.line_num} is no row of a CSV file ({error}): mend it.") from None


def _json_records(name: str, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        plain = loads(text, name)
    except ValueError as error:
        raise UserError(f"{error}: mend the file.") from None
    if not isinstance(plain, list):
        raise UserError(f"{name} is not a list of points or of pairs: give one object for each.")
    for number, entry in enumerate(plain, start=1):
        line = f"{name}, entry {number}"
        if not isinstance(entry, dict):
            raise UserError(f"{line} is not an object with the columns' names as keys: mend it.")
        lists = {key: value for key, value in entry.items() if isinstance(value, list)} if _is_pair(entry) else {}
        if not lists:
            yield line, entry
            continue
        lengths = {key: len(value) for key, value in lists.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{count} in {key}" for key, count in lengths.items())
            raise UserError(f"{line} has lists of several lengths ({told}): give one value for each point.")
        for point in range(next(iter(lengths.values()))):
            yield f"{line}, point {point + 1}", entry | {key: value[point] for key, value in lists.items()}


def _is_pair(entry: Mapping[str, Any]) -> bool:
    """Whether an object has a list of places, or an empty one; else it is a point, and a list in it is its place."""
    lists = [value for value in entry.values() if isinstance(value, list)]
    return any(not value or any(isinstance(each, list) for each in value) for value in lists)


def _columns(path: Path, there: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Our columns -> those of the file."""
    for ours, theirs in given.items():
        if ours not in KNOWN:
            raise UserError(f"There is no column {ours!r} to read: --columns takes {', '.join(KNOWN)}.")
        if theirs not in there:
            raise UserError(f"{path} has no column {theirs!r} for {ours}: it has {', '.join(there)}.")
    by_name = {name.lower(): name for name in reversed(there) if name not in given.values()}
    found = {}
    for ours, others in KNOWN.items():
        named = given.get(ours) or next((by_name[name] for name in (ours, *others) if name in by_name), None)
        if named is not None:
            found[ours] = named
    for one, two in (("x", "xy"), ("target_x", "target_xy")):  # a user's own word comes first
        alone, both = {one, one.replace("x", "y")}, two
        if alone <= found.keys() and both in found:
            for name in alone if both in given else {both}:
                del found[name]
    if said := {name for place in PLACES for name in place} & given.keys():
        found = {
            ours: name for ours, name in found.items() if not any(ours in place for place in PLACES) or ours in said
        }
    place, lacking = _place(found), None
    if not place:
        lacking = "which pair a row is of", "pair=NAME, index=NAME, or source=NAME target=NAME"
    elif not ({"x", "y"} <= found.keys() or "xy" in found):
        lacking = "where a point was found", "x=NAME y=NAME, or xy=NAME"
    if lacking:
        raise UserError(f"{path} does not say {lacking[0]}: give --columns {lacking[1]}; it has {', '.join(there)}.")
    return {ours: name for ours, name in found.items() if ours in place or not any(ours in each for each in PLACES)}


def _place(columns: Mapping[str, str]) -> tuple[str, ...]:
    return next((place for place in PLACES if all(name in columns for name in place)), ())


def _row(line: str, record: Mapping[str, Any], columns: Mapping[str, str]) -> Row:
    cells = {ours: record.get(theirs) for ours, theirs in columns.items()}
    place = tuple(_text(cells[name]) for name in _place(columns))
    if not all(place):
        raise UserError(f"{line} does not say which pair it is of: mend that row.")
    xy = _xy(line, cells, "xy", ("x", "y"), columns)
    if xy is None:
        raise UserError(f"{line} has no prediction in it: every asked point needs one.")
    point = _text(cells["point"]) if "point" in columns else None
    if point == "":
        raise UserError(f"{line} does not say which key-point it is: mend that row.")
    score = _number(line, columns["score"], cells["score"]) if "score" in columns else None
    truth = _xy(line, cells, "target_xy", ("target_x", "target_y"), columns)
    return Row(line, place, point, xy, score, truth)


def _xy(line: str, cells: Mapping[str, Any], both: str, each: tuple[str, str], columns: Mapping[str, str]) -> XY | None:
    """A place; None if the file has no such column, or nothing in it."""
    if both in columns:
        name, value = columns[both], cells[both]
        if isinstance(value, str) and value:
            try:
                value = ast.literal_eval(value)
            except (ValueError, SyntaxError):
                value = value.strip("[]() ").replace(",", " ").split()  # numpy writes no commas, and nan
        if value is None or value == "":
            return None
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise UserError(f"{line}: {name} is {_text(cells[both])!r}, which is not a place such as [120.5, 80].")
        return _number(line, name, value[0]), _number(line, name, value[1])
    if not all(name in columns for name in each) or all(cells[name] in (None, "") for name in each):
        return None
    x, y = (_number(line, columns[name], cells[name]) for name in each)
    return x, y


def _number(line: str, name: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{line}: {name} is {_text(value)!r}, which is not a finite number: mend that row.")
    return number


def _text(value: Any) -> str:
    return "" if value is None else str(value)
