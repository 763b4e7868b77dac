"""Tables of points that people write: CSV, a row a point, or JSON, a list of pairs. `folder` says what is in them.

What is wrong with a row is told with its place, and the next one is read, so that all mistakes can be mended at once.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdcorr.datasets.base import Box
from sdcorr.errors import UserError

NEEDED = ("source", "target", "x", "y")
COLUMNS = (*NEEDED, "target_x", "target_y", "name", "category", "visible")
KEYS = ("source", "target", "points", "target_points", "names", "category", "source_box", "target_box")
TRUTHS = {"": True, "1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
UNKNOWN = (math.nan, math.nan)
XY = tuple[float, float]


@dataclass(frozen=True)
class Point:
    """One point of one pair, as it is written."""

    where: str  # file and line, or file, pair and point
    source: str
    target: str
    place: XY  # in the source
    truth: XY  # in the target; NaN where unknown
    name: str = ""
    category: str = ""
    visible: bool = True
    source_box: Box | None = None
    target_box: Box | None = None


def read_points(path: Path) -> tuple[list[Point], list[str]]:
    """The points of a .csv or .json file, and what is wrong with the rest of it.

    Raises:
        UserError: if the file cannot be read, is empty, or its header is not that of our table.
    """
    read, mistakes = _json_points if path.suffix.lower() == ".json" else _csv_points, []
    return list(read(path.name, _text(path), mistakes)), mistakes


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"Cannot read {path} ({error.strerror}): mend its permissions.") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(f"{path}, line {line}, is not in UTF-8: save the file in UTF-8.") from None
    if not text.strip():
        raise UserError(f"{path} is empty: put your pairs into it, as configs/dataset/folder.yaml says.")
    return text


def _csv_points(name: str, text: str, mistakes: list[str]) -> Iterator[Point]:
    """The rows of a CSV file; what is wrong with one is added to `mistakes`, and the row left out."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    try:
        for cells in reader:
            where = f"{name}:{reader.line_num}"
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not header:
                header = _header(where, cells)
            elif len(cells) != len(header):
                mistakes.append(f"{where} has {len(cells)} columns, and the header {len(header)}")
            else:
                try:
                    yield _csv_row(where, dict(zip(header, cells, strict=True)))
                except ValueError as error:
                    mistakes.append(f"{where}: {error}")
    except csv.Error as error:
        mistakes.append(f"{name}:{reader.line_num} is no row of a CSV file ({error})")


def _header(where: str, cells: list[str]) -> list[str]:
    """The names of the columns. Raises UserError if they are not those of our table."""
    names, known = [cell.lower() for cell in cells], f"the columns are {', '.join(COLUMNS)}"
    for mark, called in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) == 1 and mark in names[0]:
            raise UserError(f"{where} is separated by {called}: save the table with commas instead.")
    for name in names:
        if name not in COLUMNS:
            raise UserError(f"{where} has a column {name!r} that is not known: {known}.")
        if names.count(name) > 1:
            raise UserError(f"{where} has the column {name} twice: leave one away.")
    for name in (*NEEDED, *({"target_x", "target_y"} if {"target_x", "target_y"} & set(names) else ())):
        if name not in names:
            raise UserError(f"{where} has no column {name}: {known}.")
    return names


def _csv_row(where: str, cells: dict[str, str]) -> Point:
    """Raises ValueError saying what is wrong with the row."""
    numbers = {}
    for name in ("x", "y", "target_x", "target_y"):
        cell = cells.get(name, "")
        try:
            numbers[name] = float(cell or "nan")
        except ValueError:
            raise ValueError(f"{name} is {cell!r}, which is not a number") from None
        if not math.isfinite(numbers[name]) and (cell or name in NEEDED):
            raise ValueError(f"{name} is {cell!r}, which is not a number")
    truth = (numbers["target_x"], numbers["target_y"])
    if math.isnan(truth[0]) != math.isnan(truth[1]):
        raise ValueError("one of target_x and target_y is empty: give both or none")
    visible = TRUTHS.get(cells.get("visible", "").lower())
    if visible is None:
        raise ValueError(f"visible is {cells['visible']!r}, which is neither 1 nor 0")
    source, target = (_key(cells[name], name) for name in ("source", "target"))
    return Point(
        where=where,
        source=source,
        target=target,
        place=(numbers["x"], numbers["y"]),
        truth=truth,
        name=cells.get("name", ""),
        category=cells.get("category", ""),
        visible=visible,
    )


def _json_points(name: str, text: str, mistakes: list[str]) -> Iterator[Point]:
    """The points of a JSON file; what is wrong with a pair is added to `mistakes`, and the pair left out."""
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        mistakes.append(f"{name}:{error.lineno} is not JSON at character {error.colno} ({error.msg})")
        return
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists in lists in lists
        mistakes.append(f"{name} cannot be read ({error})")
        return
    if not isinstance(entries, list):
        mistakes.append(f"{name} is not a list of pairs")
        return
    for number, entry in enumerate(entries, start=1):
        where = f"{name}, pair {number}"
        try:
            yield from _entry(where, entry)
        except (ValueError, OverflowError) as error:  # an integer may be too long for a float
            mistakes.append(f"{where}: {error}")


def _entry(where: str, entry: Any) -> list[Point]:
    """The points of one pair of a JSON file. Raises ValueError saying what is wrong with it."""
    if not isinstance(entry, dict):
        raise ValueError("it is not an object with source, target and points")
    for name in entry:
        if name not in KEYS:
            raise ValueError(f"the key {name!r} is not known: there are {', '.join(KEYS)}")
    source, target = (_key(entry.get(name), name) for name in ("source", "target"))
    points = [_numbers(point, "points", 2) for point in _list(entry.get("points"), "points")]
    if not points:
        raise ValueError("points is empty")
    optional = {name: entry.get(name) for name in ("target_points", "names")}
    for name, value in optional.items():
        optional[name] = [None] * len(points) if value is None else _list(value, name)
        if len(optional[name]) != len(points):
            raise ValueError(f"there are {len(optional[name])} {name} for {len(points)} points")
    boxes = {name: _box(entry.get(name), name) for name in ("source_box", "target_box")}
    return [
        Point(
            where=f"{where}, point {number}",
            source=source,
            target=target,
            place=place,
            truth=UNKNOWN if truth is None else _numbers(truth, "target_points", 2),
            name=_word(name),
            category=_word(entry.get("category")),
            **boxes,
        )
        for number, (place, truth, name) in enumerate(zip(points, *optional.values(), strict=True), start=1)
    ]


def _box(value: Any, name: str) -> Box | None:
    if value is None:
        return None
    box = _numbers(value, name, 4)
    if not (box[0] < box[2] and box[1] < box[3]):
        raise ValueError(f"{name} is {list(box)}, which is not x0, y0, x1, y1 with x0 < x1 and y0 < y1")
    return box


def _key(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} does not name a picture")
    return Path(os.path.normpath(value)).as_posix()  # ./a.jpg is a.jpg


def _word(value: Any) -> str:
    if value is not None and not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is not a name")
    return "" if value is None else str(value)


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name} is not a list")
    return value


def _numbers(value: Any, name: str, count: int) -> tuple[Any, ...]:
    plain = isinstance(value, list) and len(value) == count
    if not plain or not all(type(number) in (int, float) and math.isfinite(number) for number in value):
        raise ValueError(f"{name} has {json.dumps(value)} where {count} numbers should be")
    return tuple(map(float, value))
