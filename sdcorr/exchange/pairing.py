"""Rows of a file to the pairs and key-points of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from sdcorr.datasets import Benchmark, Pair
from sdcorr.errors import UserError
from sdcorr.exchange.frame import FileFrame
from sdcorr.exchange.table import Row, Table

LIKE = 0.02  # of the target's longer side: a truth that is further off is another point's; roundings are nearer
SHOWN = 5  # names that are listed
Slots = Mapping[str, int | None]  # what a file calls a key-point -> its place among the asked ones; None: not asked


@dataclass(frozen=True, eq=False)
class Found:
    """The predictions of one pair, in the order of its V asked points."""

    pair: Pair
    points: np.ndarray  # (V, 2) pixels of the original target image
    scores: np.ndarray | None  # (V,) as they are written


@dataclass(frozen=True, eq=False)
class Pairing:
    """The predictions of a file, and how it was read."""

    found: Sequence[Found]
    numbering: str  # what its key-points are called by, a name in NUMBERINGS
    unasked: int  # rows of points that the data set does not ask for


def by_name(pair: Pair, first: int) -> Slots:
    """Key-points by their names."""
    return _slots(pair, pair.names)


def by_number(pair: Pair, first: int) -> Slots:
    """Key-points by their numbers among all of the pair's, asked or not."""
    return _slots(pair, [str(number) for number in range(first, first + len(pair.names))])


def by_visible_number(pair: Pair, first: int) -> Slots:
    """Key-points by their numbers among those that are asked for: by default those that both images show."""
    return {str(first + slot): slot for slot in range(int(pair.asked.sum()))}


NUMBERINGS: dict[str, Callable[[Pair, int], Slots]] = {
    "name": by_name,
    "number": by_number,
    "number among the visible": by_visible_number,
}
ORDER = "order"  # the file does not say, so the rows of a pair are in the order of its points


def pair_up(table: Table, benchmark: Benchmark, frame: FileFrame, first: int = 0) -> Pairing:
    """Finds the pair and the key-point of every row.

    What key-points are called by is taken to be that of NUMBERINGS which fits the most pairs without a gap.

    Args:
        table: the file.
        benchmark: the pairs.
        frame: the pixels that the file is in.
        first: what it calls the first pair and the first key-point, 0 or 1.

    Raises:
        UserError: with the line, if a pair or a key-point is unknown, comes twice or is missing, or a place cannot be.
    """
    find = _finder(table, benchmark, first)
    rows: dict[str, list[Row]] = {}
    pairs: dict[str, Pair] = {}
    for row in table.rows:
        pair = find(row)
        pairs[pair.id] = pair
        rows.setdefault(pair.id, []).append(row)
    numbering = _numbering([(pairs[id], members) for id, members in rows.items()], first)
    found, unasked = [], 0
    for id, members in rows.items():
        chosen = _in_order(pairs[id], members) if numbering == ORDER else _by(numbering, pairs[id], members, first)
        unasked += len(members) - len(chosen)
        if chosen:
            found.append(_found(pairs[id], chosen, frame))
    return Pairing(found, numbering, unasked)


def _numbering(of_pairs: Sequence[tuple[Pair, Sequence[Row]]], first: int) -> str:
    if of_pairs[0][1][0].point is None:
        return ORDER

    def fitting(name: str) -> int:
        return sum(_fits(NUMBERINGS[name](pair, first), rows) for pair, rows in of_pairs)

    return max(NUMBERINGS, key=fitting)  # of equals the first


def _fits(slots: Slots, rows: Sequence[Row]) -> bool:
    """Whether the rows have every asked key-point of a pair, and none that it does not know."""
    said = {_label(row, slots) for row in rows}
    return said <= slots.keys() and said >= {label for label, slot in slots.items() if slot is not None}


def _by(numbering: str, pair: Pair, rows: Sequence[Row], first: int) -> list[Row]:
    """The rows of the V asked points, in their order."""
    slots = NUMBERINGS[numbering](pair, first)
    chosen: dict[int, Row] = {}
    for row in rows:
        label = _label(row, slots)
        if label not in slots:
            known = list(slots)
            more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
            raise UserError(
                f"{row.where}: pair {pair.id} has no key-point {row.point!r}: it has {', '.join(known[:SHOWN])}{more}."
            )
        slot = slots[label]
        if slot is not None and (earlier := chosen.setdefault(slot, row)) is not row:
            raise UserError(
                f"{row.where}: key-point {row.point} of pair {pair.id} was there before, in {earlier.where}: keep one "
                "row for each, for example with --where COLUMN=VALUE."
            )
    lacking = [label for label, slot in slots.items() if slot is not None and slot not in chosen]
    if chosen and lacking:
        raise UserError(
            f"{rows[0].where}: pair {pair.id}, which begins there, lacks {len(lacking)} of its "
            f"{int(pair.asked.sum())} points ({', '.join(lacking[:SHOWN])}): every asked point needs a prediction."
        )
    return [chosen[slot] for slot in sorted(chosen)]


def _in_order(pair: Pair, rows: Sequence[Row]) -> list[Row]:
    asked, every = int(pair.asked.sum()), len(pair.names)
    if len(rows) == asked:
        return list(rows)
    if len(rows) == every:
        return [row for row, seen in zip(rows, pair.asked, strict=True) if seen]
    raise UserError(
        f"{rows[0].where}: pair {pair.id}, which begins there, has {len(rows)} rows for {asked} points: give one for "
        "each, or a column that says which key-point a row is of."
    )


def _found(pair: Pair, rows: Sequence[Row], frame: FileFrame) -> Found:
    written = np.array([row.xy for row in rows])
    sizes = np.tile(pair.target_size, (len(rows), 1))
    if (outside := frame.outside(written, sizes)).any():
        row = rows[int(np.argmax(outside))]
        width, height = frame.sides(sizes)[0]
        raise UserError(
            f"{row.where}: ({row.xy[0]:g}, {row.xy[1]:g}) is outside the {width:g} x {height:g} pixels of "
            f"{pair.target} in the frame {frame.written}: say with --frame which pixels the file is in."
        )
    _check_truth(pair, rows, frame, sizes)
    scores = [row.score for row in rows if row.score is not None]
    return Found(pair, frame.to_original(written, sizes), np.array(scores) if scores else None)


def _check_truth(pair: Pair, rows: Sequence[Row], frame: FileFrame, sizes: np.ndarray) -> None:
    """The truth in the file, where it has any, is that of the data set."""
    said = np.array([row.truth or (np.nan, np.nan) for row in rows])
    off = np.abs(frame.to_original(said, sizes) - pair.true_points).max(-1)  # NaN where either is not known
    if (other := off > LIKE * max(pair.target_size)).any():
        place = int(np.argmax(other))
        x, y = pair.true_points[place]
        raise UserError(
            f"{rows[place].where}: its true place is not that of the data set, ({x:g}, {y:g}) in pixels of the "
            "original picture: the rows are of other pairs or in another frame, so look at --columns and --frame."
        )


def _slots(pair: Pair, labels: Sequence[str]) -> Slots:
    places = np.where(pair.asked, np.cumsum(pair.asked) - 1, -1).tolist()
    slots = {label: None if place < 0 else place for label, place in zip(labels, places, strict=True)}
    return slots if len(slots) == len(labels) else {}  # several points of one name


def _label(row: Row, slots: Slots) -> str:
    """What a row calls its key-point, where pandas made a float of a number."""
    text = row.point or ""
    if text not in slots:
        try:
            return str(int(float(text))) if float(text).is_integer() else text
        except (ValueError, OverflowError):
            return text
    return text


def _finder(table: Table, benchmark: Benchmark, first: int) -> Callable[[Row], Pair]:
    """What finds the pair of a row, or raises UserError."""
    if table.by == ("pair",):
        return partial(_by_id, {pair.id: pair for pair in benchmark.pairs}, benchmark.name)
    if table.by == ("index",):
        if benchmark.broken:
            raise UserError(
                f"{len(benchmark.broken)} pairs of {benchmark.name} cannot be read, so an index would mean another "
                "pair: mend the data set, or give the pairs' ids or the pictures' names."
            )
        return partial(_by_index, benchmark, first)
    return partial(_by_pictures, _Pictures(benchmark), benchmark.name)


def _by_id(pairs: Mapping[str, Pair], dataset: str, row: Row) -> Pair:
    if row.place[0] not in pairs:
        raise UserError(
            f"{row.where}: {dataset} has no pair {row.place[0]!r}: its ids are such as {next(iter(pairs))!r}."
        )
    return pairs[row.place[0]]


def _by_index(benchmark: Benchmark, first: int, row: Row) -> Pair:
    try:
        index = float(row.place[0]) - first
    except ValueError:
        index = -1.0
    if not (index.is_integer() and 0 <= index < len(benchmark.pairs)):
        last = len(benchmark.pairs) - 1 + first
        raise UserError(
            f"{row.where}: {benchmark.name} has no pair with the index {row.place[0]}, for they go from {first} to "
            f"{last}: --count-from says what the file calls the first."
        )
    return benchmark.pairs[int(index)]


class _Pictures:
    """The pairs of pictures that a file may name by their paths, or by the ends of these, with or without suffix."""

    def __init__(self, benchmark: Benchmark) -> None:
        self._keys: dict[str, set[str]] = {}
        self._pairs: dict[tuple[str, str], list[Pair]] = {}
        for pair in benchmark.pairs:
            self._pairs.setdefault((pair.source, pair.target), []).append(pair)
            for key in (pair.source, pair.target):
                for form in _forms(key):
                    self._keys.setdefault(form, set()).add(key)

    def pairs(self, source: str, target: str) -> list[Pair]:
        sources, targets = self._named(source), self._named(target)
        return [pair for one in sources for two in targets for pair in self._pairs.get((one, two), [])]

    def _named(self, name: str) -> list[str]:
        return sorted(next((self._keys[form] for form in _forms(name) if form in self._keys), ()))


def _by_pictures(pictures: _Pictures, dataset: str, row: Row) -> Pair:
    pairs = pictures.pairs(*row.place)
    if len(pairs) == 1:
        return pairs[0]
    said = f"{row.where}: {dataset} has {'several pairs' if pairs else 'no pair'} of {row.place[0]} and {row.place[1]}"
    if pairs:
        raise UserError(f"{said} ({', '.join(pair.id for pair in pairs[:SHOWN])}): give the pair's id instead.")
    raise UserError(f"{said}, in this order: check the names, the data set and its split.")


def _forms(path: str) -> Iterator[str]:
    """What a picture may be called, the longest first."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    for start in range(len(parts)):
        name = PurePosixPath(*parts[start:])
        yield str(name)
        if name.suffix.lower() in (".jpg", ".jpeg", ".png"):
            yield str(name.with_suffix(""))
