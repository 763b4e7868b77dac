"""The predictions in a run folder: saved, read back as far as they are true, forgotten."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from sdcorr.datasets import AttentionMaps, Benchmark, unit_name
from sdcorr.digests import Stamp, stamp, value_digest
from sdcorr.errors import UserError
from sdcorr.files import write_whole
from sdcorr.run.attention_maps import alike, pack, unpack
from sdcorr.run.folder import NOT_WHOLE, RunFolder
from sdcorr.run.records import UnitRecord, read_record, record_text


class PredictionStore(RunFolder):
    """The predictions in a run folder.

    Who reads a finished run asks for `methods`, `records`, `maps` and `claim_of`. All that is read agrees with
    pairs.json and with the methods' claims.

    Args:
        run_dir: the folder; it is made when something is written.
    """

    def __init__(self, run_dir: str | Path) -> None:
        super().__init__(run_dir)
        self._judged: dict[Path, tuple[Stamp, UnitRecord, set[str]]] = {}

    def claim_run(self, config: Mapping[str, object], benchmark: Benchmark) -> None:
        """See `RunFolder.claim_run`."""
        self._judged.clear()  # by other pairs
        super().claim_run(config, benchmark)

    def methods(self) -> list[str]:
        """The methods that have something to say about the run's pairs, sorted by name.

        Raises:
            UserError: naming a record that is not whole, or a method without a claim.
        """
        return [name for name in self.recorded() if self._of(name)]

    def path(self, method: str, source: str) -> Path:
        """Where the record of a source image is kept."""
        return self.run_dir / "predictions" / method / f"{unit_name(source)}.json"

    def save(self, record: UnitRecord) -> None:
        """Writes a record in one piece, over an older one of the same source image; begins the method if need be.

        Its maps are written too. Those that are there already stay with the pairs whose match is as it was.

        Raises:
            UserError: if the disk is full, or the folder cannot be written or is no longer what `begin` made of it.
            ValueError: if a number is not finite, or the run or the method was not claimed.
        """
        if record.method not in self._begun:
            self.begin(record.method)
        record = replace(record, claim=value_digest(self._claims[record.method]))
        text = record_text(record)
        self.check_begun(record.method)
        self._save_maps(record)  # first, so that a record that is there has its maps
        write_whole(self.path(record.method, record.source), text)

    def load(self, method: str, source: str) -> UnitRecord | None:
        """All that the record of a source image says; None if there is none that is whole and of the method's claim.

        Raises:
            UserError: if the file may not be read.
        """
        path = self.path(method, source)
        try:
            record = self._read(path)
        except (FileNotFoundError, *NOT_WHOLE):
            return None
        except OSError as error:
            raise UserError(
                f"Cannot read {path} ({error.strerror}): mend its permissions and run the same command again."
            ) from error
        claim = self._claims.get(method)
        return record if claim is None or record.claim == value_digest(claim) else None

    def records(self, method: str) -> list[UnitRecord]:
        """What a method's records say of the run's pairs, sorted by file name: the same order whoever wrote them.

        Pairs that have vanished from the data set, or have other annotations or pictures now, are left out.

        Raises:
            UserError: if there are none, nobody knows what made them, or naming a file that is not a whole record.
        """
        if records := self._of(method):
            return records
        known = ", ".join(self.methods()) or "none at all"
        raise UserError(
            f"There are no predictions of {method} in {self.run_dir}, only {known}: "
            "name one of these, or predict first."
        )

    def left_out(self) -> set[str]:
        """The ids of the pairs of which the folder has predictions that `records` leaves out; raises what it raises."""
        judged = [each for name in self.recorded() for each in self._judge(name)]
        return {pair for _, left in judged for pair in left}

    def maps(self, method: str, source: str) -> dict[str, AttentionMaps]:
        """The maps behind the matches of a source image, by the pair's id; those that there are."""
        return unpack(self._maps_path(method, source))

    def forget(self, method: str, source: str, pairs: Collection[str] | None = None) -> None:
        """Removes a record and its maps, or what it says of some pairs.

        Args:
            method: whose record.
            source: key of its source image.
            pairs: their ids; None for all.

        Raises:
            UserError: if the folder cannot be written.
        """
        path, maps_path = self.path(method, source), self._maps_path(method, source)
        left = None
        if pairs is not None:
            record = self._read(path)
            predictions = tuple(each for each in record.predictions if each[0].id not in pairs)
            failures = tuple(each for each in record.failures if each.pair not in pairs)
            left = replace(record, predictions=predictions, failures=failures)
        if left is not None and (left.predictions or left.failures):
            self._save_maps(left)
            write_whole(path, record_text(left))
        else:
            _remove(path)
            _remove(maps_path)

    def forget_method(self, method: str) -> None:
        """Removes all records of a method, their maps, and the claim on them.

        Raises:
            UserError: if the folder cannot be written.
        """
        for path in self.files(method):
            _remove(path)
        _remove(self.run_dir / "maps" / method)
        _remove(self.run_dir / "predictions" / method)  # with the claim, which the records must not outlive

    def _of(self, method: str) -> list[UnitRecord]:
        records = [record for record, _ in self._judge(method)]
        return [record for record in records if record.predictions or record.failures]

    def _judge(self, method: str) -> list[tuple[UnitRecord, set[str]]]:
        """What is true of each of a method's records, and the ids of the other pairs; read once while a file stays."""
        files = self.files(method)
        claim = value_digest(self.stored_claim(method)) if files else ""
        judged = []
        for path in files:
            try:
                found = stamp(path.stat())
                if path not in self._judged or self._judged[path][0] != found:
                    record = self._read(path)
                    current = self.pairs.current(record)
                    left = {pair.id for pair, _ in record.predictions} - {pair.id for pair, _ in current.predictions}
                    self._judged[path] = (found, current, left)
                if self._judged[path][1].claim != claim:
                    raise ValueError("it was not made by what claim.yaml names")
            except (OSError, *NOT_WHOLE) as error:
                raise UserError(
                    f"{path} is not a whole prediction record ({type(error).__name__}: {error}): delete it "
                    "and predict again with the same configuration, which fills in only what is missing."
                ) from None
            judged.append(self._judged[path][1:])
        return judged

    def _save_maps(self, record: UnitRecord) -> None:
        """Writes the maps of a record's matches, and keeps what is known of those that are as they were."""
        path = self._maps_path(record.method, record.source)
        known = unpack(path)
        found = {pair.id: match.maps for pair, match in record.predictions if match.maps}
        before = self.load(record.method, record.source) if known else None
        matched = {pair.id: match.points for pair, match in before.predictions} if before else {}
        kept = {
            pair.id: known[pair.id]
            for pair, match in record.predictions
            if pair.id in known.keys() - found.keys()
            and np.array_equal(match.points, matched.get(pair.id, ()))
            and all(alike(known[pair.id], each) for each in found.values())
        }
        if found or kept.keys() != known.keys():
            if merged := kept | found:
                write_whole(path, pack(merged))
            else:
                _remove(path)

    def _maps_path(self, method: str, source: str) -> Path:
        return self.run_dir / "maps" / method / f"{unit_name(source)}.npz"

    def _read(self, path: Path) -> UnitRecord:
        record = read_record(path.read_bytes())
        if path != self.path(record.method, record.source):  # a copy would count twice
            raise ValueError(f"it belongs at {self.path(record.method, record.source)}")
        return record


def _remove(path: Path) -> None:
    """Removes a file, or a folder and what is in it, if it is there."""
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"Cannot remove {path} ({error.strerror}): mend its permissions and run the same command again."
        ) from error
