"""The record of a source image: what one method found in all its targets, as it lies in a run folder.

A record holds its pairs' annotations, the matches in original pixels, the digests of the pictures that were read and
the digest of the claim under which it was made, so that it can be scored without the data set, and so that it is known
when it is no longer true.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NoReturn

import numpy as np

from sdcorr.datasets import Match, Pair
from sdcorr.digests import value_digest

FORMAT = "sdcorr predictions 2"
POINT_FIELDS = ("source_points", "target_points")
PLAIN_FIELDS = (
    *("id", "category", "source", "target", "source_size", "target_size"),
    *("names", "source_box", "target_box", "flags"),
)


@dataclass(frozen=True)
class Failure:
    """A pair that has no prediction, for an image of it cannot be read, or a network makes NaN or infinity of it."""

    pair: str  # its id
    image: str  # the key of the image; that of the source where nobody knows which of the two
    reason: str
    cause: Literal["image", "numbers"] = "image"  # numbers: the network's, which the next run tries again


@dataclass(frozen=True)
class Cost:
    """What one source image with all its targets took; no part of what was predicted."""

    seconds: float
    targets: int  # that were predicted
    seconds_of_source: float | None = None  # before the work on targets; None: it is not told apart
    flops: int | None = None  # 1 MAC = 2 FLOPs; counted for the first source image of a process only
    flops_of_source: int | None = None
    found: int = 0  # results of earlier runs that were used, such as stored embeddings


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
    pictures: Mapping[str, str] = field(default_factory=dict)  # image key -> digest, of the pictures that were read
    claim: str = ""  # digest of the claim that it was made under; the store's business
    cost: Cost | None = None  # None: it was not measured, or pairs were added later


def pair_to_json(pair: Pair) -> dict[str, Any]:
    """A pair as plain values; a coordinate that is not a number (an unseen point) becomes None."""
    return json.loads(json.dumps(_plain(pair)))  # tuples become lists, as they come back from a file


def annotation_digest(pair: Pair) -> str:
    """16 hexadecimal digits that name all of `pair_to_json` by which a match could change.

    What the target alone shows is asked of nobody: runs from before it was known stay as true as they were.
    """
    return value_digest({name: value for name, value in _plain(pair).items() if name != "target_alone"})


def record_to_json(record: UnitRecord) -> dict[str, Any]:
    """A record as plain values, the inverse of `record_from_json`."""
    return {
        "format": FORMAT,
        "claim": record.claim,
        "dataset": record.dataset,
        "split": record.split,
        "method": record.method,
        "source": record.source,
        "pictures": dict(record.pictures),
        "seconds": round(record.seconds, 3),
        "peak_bytes": record.peak_bytes,
        "cost": asdict(record.cost) if record.cost else None,
        "predictions": [pair_to_json(pair) | _match_to_json(match) for pair, match in record.predictions],
        "failures": [vars(failure) for failure in record.failures],
    }


def record_from_json(plain: Any) -> UnitRecord:
    """Rebuilds a record.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: if it is not a whole record of this program.
    """
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT!r}")
    seconds = float(plain["seconds"])
    if not math.isfinite(seconds):
        raise ValueError(f"it took {seconds} seconds")
    return UnitRecord(
        **{name: str(plain[name]) for name in ("dataset", "split", "method", "source", "claim")},
        seconds=seconds,
        peak_bytes=plain.get("peak_bytes"),
        cost=Cost(**plain["cost"]) if plain.get("cost") else None,
        predictions=tuple(_prediction_from_json(prediction) for prediction in plain["predictions"]),
        failures=tuple(Failure(**failure) for failure in plain["failures"]),
        pictures={str(key): str(digest) for key, digest in plain["pictures"].items()},
    )


def record_text(record: UnitRecord) -> str:
    """The file of a record.

    Raises:
        ValueError: if a number in it is not finite.
    """
    return json.dumps(record_to_json(record), allow_nan=False)


def read_record(text: str | bytes) -> UnitRecord:
    """The record in such a file; raises what `record_from_json` raises, and ValueError if a number is not finite."""
    return record_from_json(json.loads(text, parse_constant=_refuse))


def _plain(pair: Pair) -> dict[str, Any]:
    plain = {name: getattr(pair, name) for name in PLAIN_FIELDS}
    plain |= {name: _nan_to_none(getattr(pair, name)) for name in POINT_FIELDS}
    plain["visible"] = pair.visible.tolist()
    plain["ambiguous"] = None if pair.ambiguous is None else pair.ambiguous.tolist()
    if pair.hidden is not None:  # else it is written, and named by its digest, as before anybody asked for such points
        plain["hidden"] = pair.hidden.tolist()
    if pair.target_alone is not None:
        plain["target_alone"] = pair.target_alone
    return plain


def _match_to_json(match: Match) -> dict[str, Any]:
    plain: dict[str, Any] = {"predicted": match.points.tolist(), "confidence": match.confidence.tolist()}
    if match.evidence:
        plain["evidence"] = {name: values.tolist() for name, values in match.evidence.items()}
    return plain


def _prediction_from_json(plain: dict[str, Any]) -> tuple[Pair, Match]:
    fields = {name: plain[name] for name in (*PLAIN_FIELDS, "visible", "ambiguous")}
    fields |= {name: np.array(plain[name], dtype=np.float64).reshape(-1, 2) for name in POINT_FIELDS}
    pair = Pair(**fields, hidden=plain.get("hidden"), target_alone=plain.get("target_alone"))
    match = Match(plain["predicted"], plain["confidence"], evidence=plain.get("evidence", {}))  # older ones have none
    if len(match.points) != pair.asked.sum():
        raise ValueError(f"pair {pair.id} has {len(match.points)} predictions for {pair.asked.sum()} points")
    return pair, match


def _nan_to_none(points: np.ndarray) -> list[list[float | None]]:
    return [[value if math.isfinite(value) else None for value in point] for point in points.tolist()]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a finite number")
