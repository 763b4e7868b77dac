"""The saved record of a run: predictions in original pixels, on disk before anything scores them.

    <run_dir>/config.yaml                         what made the predictions; any other is refused
    <run_dir>/predictions/<method>/<unit>.json    one record a source image, with all its targets
    <run_dir>/maps/<method>/<unit>.npz            the maps behind its matches, to look at (`attention_maps`)
    <run_dir>/broken.json                         the pairs that have no prediction, and why (`missing`)
    <run_dir>/summary.json                        the scores (`sdcorr.scoring.score`)
    <run_dir>/report.html                         all of it to look at (`sdcorr.report`)

Every file appears whole or not at all: it is written under another name and renamed. A process may be killed
at any moment and any number of processes may write into one folder; the next run predicts what is missing.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sdcorr.datasets import AttentionMaps, Match, Pair, unit_name
from sdcorr.errors import UserError
from sdcorr.files import write_whole
from sdcorr.run.attention_maps import pack, unpack

FORMAT = "sdcorr predictions 1"
POINT_FIELDS = ("source_points", "target_points")
PLAIN_FIELDS = (
    *("id", "category", "source", "target", "source_size", "target_size"),
    *("names", "source_box", "target_box", "flags"),
)


@dataclass(frozen=True)
class Failure:
    """A pair that has no prediction because an image of it cannot be read."""

    pair: str  # its id
    image: str  # the key of the image
    reason: str


@dataclass(frozen=True, eq=False)
class UnitRecord:
    """What one method found for one source image, with everything that scoring needs."""

    dataset: str
    split: str
    method: str
    source: str  # image key
    seconds: float  # time that the method took
    predictions: tuple[tuple[Pair, Match], ...]
    failures: tuple[Failure, ...] = ()
    peak_bytes: int | None = None  # greatest memory taken, on the GPU if there is one; None if nobody knows


def pair_to_json(pair: Pair) -> dict[str, Any]:
    """A pair as plain values; a coordinate that is not a number (an unseen point) becomes None."""
    plain = {name: getattr(pair, name) for name in PLAIN_FIELDS}
    plain |= {name: _nan_to_none(getattr(pair, name)) for name in POINT_FIELDS}
    plain["visible"] = pair.visible.tolist()
    plain["ambiguous"] = None if pair.ambiguous is None else pair.ambiguous.tolist()
    return json.loads(json.dumps(plain))  # tuples become lists, as they come back from a file


def record_to_json(record: UnitRecord) -> dict[str, Any]:
    """A record as plain values, the inverse of `record_from_json`."""
    return {
        "format": FORMAT,
        "dataset": record.dataset,
        "split": record.split,
        "method": record.method,
        "source": record.source,
        "seconds": round(record.seconds, 3),
        "peak_bytes": record.peak_bytes,
        "predictions": [
            pair_to_json(pair) | {"predicted": match.points.tolist(), "confidence": match.confidence.tolist()}
            for pair, match in record.predictions
        ],
        "failures": [vars(failure) for failure in record.failures],
    }


def record_from_json(plain: Any) -> UnitRecord:
    """Rebuilds a record.

    Raises:
        ValueError, KeyError, TypeError: if it is not a whole record of this program.
    """
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT!r}")
    return UnitRecord(
        **{name: str(plain[name]) for name in ("dataset", "split", "method", "source")},
        seconds=float(plain["seconds"]),
        peak_bytes=plain.get("peak_bytes"),
        predictions=tuple(_prediction_from_json(prediction) for prediction in plain["predictions"]),
        failures=tuple(Failure(**failure) for failure in plain["failures"]),
    )


def _prediction_from_json(plain: dict[str, Any]) -> tuple[Pair, Match]:
    fields = {name: plain[name] for name in (*PLAIN_FIELDS, "visible", "ambiguous")}
    fields |= {name: np.array(plain[name], dtype=np.float64).reshape(-1, 2) for name in POINT_FIELDS}
    pair, match = Pair(**fields), Match(plain["predicted"], plain["confidence"])
    if len(match.points) != pair.visible.sum():
        raise ValueError(f"pair {pair.id} has {len(match.points)} predictions for {pair.visible.sum()} points")
    return pair, match


def _nan_to_none(points: np.ndarray) -> list[list[float | None]]:
    return [[value if np.isfinite(value) else None for value in point] for point in points.tolist()]


class PredictionStore:
    """The predictions in a run folder.

    Args:
        run_dir: the folder; it is made when something is written.
    """

    def __init__(self, run_dir: str | Path) -> None:
        self.run_dir = Path(run_dir)
        self._claimed = False

    def claim(self, config: Mapping[str, Any]) -> None:
        """Makes the folder this configuration's own, or checks that it is.

        Args:
            config: plain nested values: everything that the predictions depend on, and nothing else.

        Raises:
            UserError: naming the keys that differ from those that the folder was made with, or if the folder
                holds predictions of unknown origin or cannot be written.
        """
        path = self.run_dir / "config.yaml"
        config = json.loads(json.dumps(config))  # what a file can hold
        if not path.exists():
            if self.methods() and not path.exists():  # another rank may have been faster
                raise UserError(
                    f"{self.run_dir} holds predictions but no config.yaml, so nobody knows what made them: "
                    "choose another run folder, or delete this one."
                )
            write_whole(path, yaml.safe_dump(config, sort_keys=False))
        differences = list(_differences(self.config(), config))
        if differences:
            more = f" and {len(differences) - 4} more" if len(differences) > 4 else ""
            raise UserError(
                f"{self.run_dir} was made with another configuration ({'; '.join(differences[:4])}{more}): "
                "choose another run folder, or delete this one."
            )
        self._claimed = True

    def config(self) -> dict[str, Any]:
        """The configuration that the predictions were made with.

        Raises:
            UserError: if the folder has none or it cannot be read.
        """
        path = self.run_dir / "config.yaml"
        try:
            config = yaml.safe_load(path.read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(
                f"There is no run in {self.run_dir}, for it has no config.yaml: name another folder, or predict first."
            ) from None
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise UserError(f"{path} cannot be read: delete the folder and predict again.") from error
        if not isinstance(config, dict):
            raise UserError(f"{path} is not the configuration of a run: delete the folder and predict again.")
        return config

    def methods(self) -> list[str]:
        """The methods that have records, sorted by name."""
        return sorted({path.parent.name for path in self.run_dir.glob("predictions/*/*.json")})

    def path(self, method: str, source: str) -> Path:
        """Where the record of a source image is kept."""
        return self.run_dir / "predictions" / method / f"{unit_name(source)}.json"

    def save(self, record: UnitRecord) -> None:
        """Writes a record in one piece, over an older one of the same source image.

        Raises:
            UserError: if the disk is full, the folder cannot be written, or it was claimed and is gone.
        """
        if self._claimed and not (self.run_dir / "config.yaml").exists():
            raise UserError(
                f"{self.run_dir} has gone while predictions were being written there: bring it back and run the same "
                "command again, which goes on where it stopped, or choose another run folder."
            )
        found = {pair.id: match.maps for pair, match in record.predictions if match.maps}
        if found:  # first, so that a record that is there has its maps
            known = self.maps(record.method, record.source)
            layers = next(iter(found.values())).layers
            kept = {pair.id: known[pair.id] for pair, _ in record.predictions if pair.id in known}
            kept = {pair: each for pair, each in kept.items() if each.layers == layers}
            write_whole(self._maps_path(record.method, record.source), pack(kept | found))
        plain = json.dumps(record_to_json(record), allow_nan=False)
        write_whole(self.path(record.method, record.source), plain)

    def maps(self, method: str, source: str) -> dict[str, AttentionMaps]:
        """The maps behind the matches of a source image, by the pair's id; those that there are."""
        return unpack(self._maps_path(method, source))

    def load(self, method: str, source: str) -> UnitRecord | None:
        """The record of a source image; None if there is none, or none that is whole.

        Raises:
            UserError: if the file may not be read.
        """
        path = self.path(method, source)
        try:
            return self._read(path)
        except (FileNotFoundError, KeyError, TypeError, ValueError):
            return None
        except OSError as error:
            raise UserError(
                f"Cannot read {path} ({error.strerror}): mend its permissions and run the same command again."
            ) from error

    def records(self, method: str) -> list[UnitRecord]:
        """All records of a method, sorted by file name: the same order whoever wrote them, and when.

        Raises:
            UserError: if there are none, or naming a file that is not a whole record.
        """
        records = []
        for path in sorted(self.path(method, "").parent.glob("*.json")):
            try:
                records.append(self._read(path))
            except (OSError, KeyError, TypeError, ValueError) as error:
                raise UserError(
                    f"{path} is not a whole prediction record ({type(error).__name__}: {error}): delete it "
                    "and predict again with the same configuration, which fills in only what is missing."
                ) from None
        if not records:
            known = ", ".join(self.methods()) or "none at all"
            raise UserError(
                f"There are no predictions of {method} in {self.run_dir}, only {known}: "
                "name one of these, or predict first."
            )
        return records

    def _maps_path(self, method: str, source: str) -> Path:
        return self.run_dir / "maps" / method / f"{unit_name(source)}.npz"

    def _read(self, path: Path) -> UnitRecord:
        record = record_from_json(json.loads(path.read_text()))
        if path != self.path(record.method, record.source):  # a copy would count twice
            raise ValueError(f"it belongs at {self.path(record.method, record.source)}")
        return record


class CurrentPredictions(PredictionStore):
    """What a run folder holds for the pairs of a benchmark as they are annotated now, read once.

    Pairs that have vanished from the data set, or were annotated otherwise, stay in the folder, and are left out here.

    Args:
        store: the run folder.
        pairs: the benchmark's.

    Raises:
        UserError: naming a file that is not a whole record.
    """

    def __init__(self, store: PredictionStore, pairs: Iterable[Pair]) -> None:
        super().__init__(store.run_dir)
        wanted = {pair.id: pair_to_json(pair) for pair in pairs}
        self.left_out: set[str] = set()  # ids of pairs
        self._records: dict[str, list[UnitRecord]] = {}
        for method in store.methods():
            records = [self._current(record, wanted) for record in store.records(method)]
            if records := [record for record in records if record.predictions or record.failures]:
                self._records[method] = records

    def methods(self) -> list[str]:
        """The methods that have something to say about these pairs, sorted by name."""
        return list(self._records)

    def records(self, method: str) -> list[UnitRecord]:
        """The records of a method, in the order of their files' names.

        Raises:
            UserError: if there are none.
        """
        return self._records[method] if method in self._records else super().records(method)

    def _current(self, record: UnitRecord, wanted: Mapping[str, Any]) -> UnitRecord:
        predictions = tuple(each for each in record.predictions if wanted.get(each[0].id) == pair_to_json(each[0]))
        failures = tuple(failure for failure in record.failures if failure.pair in wanted)
        self.left_out |= {pair.id for pair, _ in record.predictions} - {pair.id for pair, _ in predictions}
        return replace(record, predictions=predictions, failures=failures)


def _differences(stored: Any, wanted: Any, key: str = "") -> Iterator[str]:
    """The leaves that differ between two nested configurations, as `key is A there and B here`."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for name in sorted(stored.keys() | wanted.keys()):
            inner = f"{key}.{name}" if key else name
            yield from _differences(stored.get(name, "absent"), wanted.get(name, "absent"), inner)
    elif stored != wanted:
        yield f"{key} is {stored} there and {wanted} here"
