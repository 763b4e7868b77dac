"""Tables of points that people write: CSV, a row a point, or JSON, a list of pairs. `folder` says what is in them.

What is wrong with a row is told with its place, and the next one is read, so that all mistakes can be mended at once.
"""

from __future__ import annotations

import csv
import io
import json
import math
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdcorr.datasets.base import Box
from sdcorr.errors import UserError

NEEDED = ("source", "target", "x", "y")
MASKS = ("source_mask", "target_mask")
BOXES = ("source_box", "target_box")
COLUMNS = (*NEEDED, "target_x", "target_y", "name", "category", "visible", *MASKS)
KEYS = ("source", "target", "points", "target_points", "names", "visible", "category", *BOXES, *MASKS)
TRUTHS = {"": True, "true": True, "yes": True, "false": False, "no": False}
NUMBERS = (0.0, 1.0, 2.0)  # also truths: COCO's 2 is seen and its 1 hidden and known; pandas writes 1.0
UNKNOWN = (math.nan, math.nan)
XY = tuple[float, float]


@dataclass(frozen=True)
class Point:
    """One point of one pair, as it is written. Where a point is not visible its places mean nothing."""

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
    source_mask: str = ""  # a path, as the pictures' are
    target_mask: str = ""


def read_text(path: Path) -> str:
    """The text of a user's table.

    Raises:
        UserError: if the file cannot be read, is not in UTF-8 or is empty.
    """
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


def csv_points(name: str, text: str) -> tuple[list[Point], list[str]]:
    """The points of a CSV table, and what is wrong with the rest of it.

    Raises:
        UserError: if its header is not that of our table.
    """
    mistakes: list[str] = []
    return list(_csv_points(name, text, mistakes)), mistakes


def json_points(name: str, entries: list[Any]) -> tuple[list[Point], list[str]]:
    """The points of a JSON table, which is a list of pairs, and what is wrong with the rest of it."""
    mistakes: list[str] = []
    return list(_json_points(name, entries, mistakes)), mistakes


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
        if not name:
            raise UserError(f"{where} has a column without a name: leave it away (of pandas: to_csv(index=False)).")
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
    visible = _truth(cells.get("visible", ""))
    place, truth = UNKNOWN, UNKNOWN
    if visible:
        place = _number("x", cells["x"]), _number("y", cells["y"])
        ends = {name: cells.get(name, "") for name in ("target_x", "target_y")}
        if any(ends.values()):
            if not all(ends.values()):
                raise ValueError("one of target_x and target_y is empty: give both or none")
            truth = _number("target_x", ends["target_x"]), _number("target_y", ends["target_y"])
    return Point(
        where=where,
        source=_key(cells["source"], "source"),
        target=_key(cells["target"], "target"),
        place=place,
        truth=truth,
        name=as_word(cells.get("name")),
        category=as_word(cells.get("category")),
        visible=visible,
        source_mask=cells.get("source_mask", ""),
        target_mask=cells.get("target_mask", ""),
    )


def _number(name: str, cell: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or "_" in cell:  # which Python reads over
        raise ValueError(f"{name} is {cell!r}, which is not a number")
    return number


def _truth(cell: Any) -> bool:
    """Whether a point is visible, of a cell or of a value of JSON."""
    found = TRUTHS.get(str("" if cell is None else cell).lower())
    if found is None:
        try:
            number = float(str(cell))
        except ValueError:
            number = math.nan
        found = number > 0 if number in NUMBERS else None
    if found is None:
        raise ValueError(f"visible is {cell!r}, which is neither 1 nor 0")
    return found


def _json_points(name: str, entries: list[Any], mistakes: list[str]) -> Iterator[Point]:
    """The points of a list of pairs; what is wrong with a pair is added to `mistakes`, and the pair left out."""
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
    points = _list(entry.get("points"), "points")
    if not points:
        raise ValueError("points is empty")
    columns: dict[str, list[Any]] = {}
    for name in ("target_points", "names", "visible"):
        value = entry.get(name)
        columns[name] = [None] * len(points) if value is None else _list(value, name)
        if len(columns[name]) != len(points):
            raise ValueError(f"there are {len(columns[name])} {name} for {len(points)} points")
    seen = [_truth(value) for value in columns["visible"]]
    of_pair: dict[str, Any] = {name: _box(entry.get(name), name) for name in BOXES}
    of_pair |= {name: _path(entry.get(name), name) for name in MASKS}
    return [
        Point(
            where=f"{where}, point {number}",
            source=source,
            target=target,
            place=_numbers(place, "points", 2) if visible else UNKNOWN,
            truth=UNKNOWN if truth is None or not visible else _numbers(truth, "target_points", 2),
            name=as_word(name),
            category=as_word(entry.get("category")),
            visible=visible,
            **of_pair,
        )
        for number, (place, truth, name, visible) in enumerate(
            zip(points, columns["target_points"], columns["names"], seen, strict=True), start=1
        )
    ]


def _box(value: Any, name: str) -> Box | None:
    return None if value is None else _numbers(value, name, 4)


def _key(value: Any, name: str) -> str:
    if not (path := _path(value, name)):
        raise ValueError(f"{name} does not name a picture")
    return path


def _path(value: Any, name: str) -> str:
    if not isinstance(value, str | None):
        raise ValueError(f"{name} does not name a picture")
    return value or ""


def as_word(value: Any) -> str:
    """A name or a category as it is shown, on one line; empty for nothing, which pandas writes as NaN.

    Raises:
        ValueError: if it is neither a text nor a number, or has a control character.
    """
    if value is None or value != value:
        return ""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ValueError(f"{value!r} is not a name")
    word = " ".join(str(value).split())
    if any(unicodedata.category(letter) == "Cc" for letter in word):
        raise ValueError(f"{word!r} has a control character")
    return word


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name} is not a list")
    return value


def _numbers(value: Any, name: str, count: int) -> tuple[Any, ...]:
    plain = isinstance(value, list) and len(value) == count
    if not plain or not all(type(number) in (int, float) and math.isfinite(number) for number in value):
        raise ValueError(f"{name} has {json.dumps(value)} where {count} numbers should be")
    return tuple(map(float, value))
