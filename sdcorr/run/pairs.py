"""Which pairs a run is of: pairs.json in its folder, by which everything is judged that asks whether a record is true.

It names each pair with the digest of its annotation, and each picture with the digest of its bytes, as the last
evaluation found them in the data set. Whoever predicts, scores, compares or reports takes of the records what agrees
with it: a row that was deleted, a point that was moved or a picture that was replaced is the same to all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from sdcorr.datasets import Benchmark, Pair
from sdcorr.errors import UserError
from sdcorr.run.records import UnitRecord, annotation_digest

FORMAT = "sdcorr pairs 1"
READERS = 16  # threads, since a file on a network disk is mostly waited for


@dataclass(frozen=True, eq=False)
class RunPairs:
    """The pairs of a run as they are in the data set now."""

    dataset: str
    split: str
    annotations: Mapping[str, str]  # id of a pair -> digest of all that is annotated in it
    pictures: Mapping[str, str | None]  # image key -> digest; None: it cannot be read now, so nobody knows

    @classmethod
    def of(cls, benchmark: Benchmark) -> RunPairs:
        """Those of a benchmark; every picture is read as far as its digest is not known yet."""
        keys = sorted({key for pair in benchmark.pairs for key in (pair.source, pair.target)})
        with ThreadPoolExecutor(READERS) as readers:
            digests = readers.map(lambda key: picture_digest(benchmark, key), keys)
            pictures = dict(zip(keys, digests, strict=True))
        annotations = {pair.id: annotation_digest(pair) for pair in benchmark.pairs}
        return cls(benchmark.name, benchmark.split, annotations, pictures)

    def to_text(self) -> str:
        """The file."""
        return json.dumps({"format": FORMAT} | vars(self), indent=0, sort_keys=True) + "\n"

    @classmethod
    def from_text(cls, text: str | bytes) -> RunPairs:
        """Rebuilds them from the file.

        Raises:
            ValueError, KeyError, TypeError: if it is not a whole file of this program.
        """
        plain: Any = json.loads(text)
        if not isinstance(plain, dict) or plain.pop("format", None) != FORMAT:
            raise ValueError(f"its format is not {FORMAT!r}")
        if not isinstance(plain["annotations"], dict) or not isinstance(plain["pictures"], dict):
            raise TypeError("it does not name pairs and pictures")
        return cls(**plain)

    def is_annotated(self, pair: Pair) -> bool:
        """Whether the pair is one of the run's, and annotated as it is here."""
        return self.annotations.get(pair.id) == annotation_digest(pair)

    def is_seen(self, pair: Pair, read: Mapping[str, str]) -> bool:
        """Whether the pictures that were read for a pair are those of now, as far as these can be read.

        A pair without an asked point asks for no picture.
        """
        if not pair.asked.any():
            return True
        now = {key: self.pictures.get(key) for key in (pair.source, pair.target)}
        return all(digest is None or digest == read.get(key) for key, digest in now.items())

    def current(self, record: UnitRecord) -> UnitRecord:
        """What is still true of a record: less the pairs that have vanished or have other annotations or pictures."""
        if (record.dataset, record.split) != (self.dataset, self.split):
            return replace(record, predictions=(), failures=())
        return replace(
            record,
            predictions=tuple(
                (pair, match)
                for pair, match in record.predictions
                if self.is_annotated(pair) and self.is_seen(pair, record.pictures)
            ),
            failures=tuple(failure for failure in record.failures if failure.pair in self.annotations),
        )

    def repainted(self, record: UnitRecord) -> set[str]:
        """The ids of the record's pairs that are annotated as they were, with other pictures."""
        pairs = [pair for pair, _ in record.predictions if self.is_annotated(pair)]
        return {pair.id for pair in pairs if not self.is_seen(pair, record.pictures)}


def picture_digest(benchmark: Benchmark, key: str) -> str | None:
    """The digest of a picture; None if it cannot be read."""
    try:
        return benchmark.digest(key)
    except UserError:
        return None
