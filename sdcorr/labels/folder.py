"""A folder of labels.

    <folder>/settings.yaml               what made the labels, anything else is refused; and what filtered them
    <folder>/labels/part-<unit>.parquet  the labels of one source picture
    <folder>/pictures/part-<n>.parquet   the pictures, the bytes as in their files
    <folder>/README.md, sheet.png        what it is, and a random sample of it

Every file appears whole or not at all. A part carries the digest of all that decides it (the settings, its source, its
targets, their bytes), so that it is known when it is no longer true, and nothing is labeled twice. Filters decide no
label, only which are kept: with others, the parts are filtered anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sdcorr.datasets import unit_name
from sdcorr.digests import value_digest
from sdcorr.errors import UserError
from sdcorr.files import write_whole
from sdcorr.labels.filters import Filters
from sdcorr.labels.labeler import EVIDENCE, Columns, LabelUnit
from sdcorr.parquet import parquet as pq
from sdcorr.parquet import pyarrow as pa
from sdcorr.run.claims import differences, told

JUDGED_BY = ("confidence", *EVIDENCE, "on_object")
SCHEMA = pa.schema(
    [
        ("track", pa.string()),
        ("category", pa.string()),
        ("source", pa.string()),
        ("target", pa.string()),
        *((name, pa.float32()) for name in ("source_x", "source_y", "target_x", "target_y", *JUDGED_BY)),
        ("kept", pa.bool_()),
    ]
)
_DECIDED, _FILTERS, _COST = b"sdcorr.decided", b"sdcorr.filters", b"sdcorr.cost"


@dataclass(frozen=True)
class UnitCost:
    """What a unit took."""

    seconds: float
    cpu_seconds: float
    targets: int


class LabelFolder:
    """Labels on disk.

    Args:
        folder: it is made when something is written.
        settings: what makes the labels, plain nested values.
        filters: say which are kept.
        digests: of the pictures, by key.

    Raises:
        UserError: if the folder has labels that were made by something else; it says what differs.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], filters: Filters, digests: Mapping[str, str]) -> None:
        self.folder, self.filters, self._digests = folder, filters, digests
        self.settings: dict[str, Any] = json.loads(json.dumps(settings))  # what a file can hold
        self._told = self.settings | {"filters": vars(filters)}
        self._check()

    def path(self, unit: LabelUnit) -> Path:
        """Where the labels of a source picture are kept."""
        return self.folder / "labels" / f"part-{unit_name(unit.source)}.parquet"

    def has(self, unit: LabelUnit) -> bool:
        """Whether the unit's labels are there, and true."""
        return self.seconds(unit) is not None

    def seconds(self, unit: LabelUnit) -> float | None:
        """What the unit took; None if its labels are not there, or not true any more."""
        about = _metadata(self.path(unit))
        if about is None or about[_DECIDED].decode() != self._decided(unit):
            return None
        return _cost(about).seconds

    def save(self, unit: LabelUnit, columns: Columns, cost: UnitCost) -> tuple[int, int]:
        """Writes the labels of a source picture in one piece.

        Args:
            unit: the source picture.
            columns: what `Labeler.label` gives.
            cost: of it.

        Returns:
            How many labels there are, and how many of them are kept.

        Raises:
            UserError: if the disk is full, the folder cannot be written, or holds other labels by now; or a filter
                looks at what the method does not leave behind.
        """
        self._check()
        kept = self._kept(columns) if columns else np.zeros(0, bool)
        self._tell()
        count = len(kept)
        filled = columns | {"category": [unit.category] * count, "source": [unit.source] * count, "kept": kept}
        about = {_DECIDED: self._decided(unit), _FILTERS: self._filtered, _COST: json.dumps(vars(cost))}
        table = pa.table({name: filled.get(name, []) for name in SCHEMA.names}, schema=SCHEMA.with_metadata(about))
        _write(table, self.path(unit))
        return count, int(kept.sum())

    def filter_anew(self, units: Iterable[LabelUnit]) -> int:
        """Filters what was filtered otherwise.

        Returns:
            the number of source pictures.

        Raises:
            UserError: as `save`.
        """
        changed = 0
        for path in map(self.path, units):
            about = _metadata(path)
            if about is None or about[_FILTERS].decode() == self._filtered:
                continue
            table = pq.read_table(path)
            kept = self._kept(judged(table)) if len(table) else np.zeros(0, bool)
            table = table.set_column(SCHEMA.get_field_index("kept"), "kept", pa.array(kept))
            _write(table.replace_schema_metadata(about | {_FILTERS: self._filtered.encode()}), path)
            changed += 1
        self._tell()
        return changed

    def clear(self, units: Iterable[LabelUnit]) -> int:
        """Removes the parts that are of none of these units, such as those of a picture that was taken away.

        Returns:
            their number.
        """
        known = {self.path(unit) for unit in units}
        stale = [path for path in parts(self.folder) if path not in known]
        for path in stale:
            path.unlink(missing_ok=True)
        return len(stale)

    def _tell(self) -> None:
        path, text = self.folder / "settings.yaml", yaml.safe_dump(self._told, sort_keys=False)
        if not path.exists() or path.read_text() != text:
            write_whole(path, text)

    @property
    def _filtered(self) -> str:
        """What names the filters."""
        return value_digest(vars(self.filters))

    def _kept(self, columns: Columns) -> np.ndarray:
        return np.logical_and.reduce(list(self.filters.passed(columns).values()))

    def _decided(self, unit: LabelUnit) -> str:
        pictures = {key: self._digests[key] for key in (unit.source, *unit.targets)}
        return value_digest({"settings": self.settings, "source": unit.source, "pictures": pictures})

    def _check(self) -> None:
        if not parts(self.folder):
            return
        stored = {name: value for name, value in read_settings(self.folder).items() if name != "filters"}
        if list(differences(stored, self.settings)):
            raise UserError(
                f"The labels in {self.folder} were made with something else ({told(stored, self.settings)}): choose "
                "another folder with out=FOLDER, delete this one, or go back to what made it."
            )


def read_settings(folder: Path) -> dict[str, Any]:
    """What made the labels of a folder.

    Raises:
        UserError: if it does not say.
    """
    path = folder / "settings.yaml"
    try:
        plain = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        plain = None
    if not isinstance(plain, dict):
        raise UserError(f"{folder} has no settings.yaml that says what made its labels: choose another folder.")
    return plain


def parts(folder: Path) -> list[Path]:
    """The files of labels in a folder, sorted by name."""
    return sorted((folder / "labels").glob("part-*.parquet"))


def read_labels(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """All labels of a folder, kept or not.

    Args:
        folder: of labels.
        columns: those that are wanted; None: all.

    Raises:
        UserError: if there are none, or a file is damaged.
    """
    found = []
    for path in parts(folder):
        try:
            found.append(pq.read_table(path, columns=columns).replace_schema_metadata(None))
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{path} is not a whole file of labels ({error}): delete it and label again.") from None
    if not found:
        raise UserError(f"There are no labels in {folder}: make some with `sdcorr label`.")
    return pa.concat_tables(found)


def costs(folder: Path) -> list[UnitCost]:
    """What each source picture of a folder took."""
    found = (_metadata(path) for path in parts(folder))
    return [_cost(each) for each in found if each is not None]


def judged(table: pa.Table) -> Columns:
    """The columns of labels that filters look at."""
    return {name: table.column(name).to_numpy(zero_copy_only=False) for name in ("track", *JUDGED_BY)}


def kept_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """The labels that are kept, one after the other."""
    for path in parts(folder):
        yield from pq.read_table(path, filters=[("kept", "=", True)]).to_pylist()


def _write(table: pa.Table, path: Path) -> None:
    write_whole(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))


def _cost(about: Mapping[bytes, bytes]) -> UnitCost:
    return UnitCost(**json.loads(about[_COST]))


def _metadata(path: Path) -> dict[bytes, bytes] | None:
    """What a part says of itself; None if it is not there or not whole."""
    try:
        metadata = pq.read_schema(path).metadata
    except (OSError, pa.ArrowException):
        return None
    return metadata if metadata and {_DECIDED, _FILTERS, _COST} <= metadata.keys() else None
