import json

import numpy as np
import pytest

from sdcorr.datasets import Match
from sdcorr.run.records import (
    Failure,
    UnitRecord,
    annotation_digest,
    pair_to_json,
    read_record,
    record_text,
    record_to_json,
)
from tests.run.fakes import answer, make_pair

ODD = {
    "target_points": [[1.1, 2.2], [np.nan, np.nan], [1 / 3, 1e-9]],
    "visible": [True, False, True],
    "ambiguous": [True, False, False],
    "flags": {"occlusion": 2, "pose": "Left", "turn": 0.25},
    "source_box": None,
}


def make_record(source: str = "a", method: str = "fake", targets: str = "bc") -> UnitRecord:
    """A record that says something about pairs from a source image to some targets, and of one that failed."""
    pairs = [make_pair(f"{source}-{target}") for target in targets]
    predictions = tuple((pair, answer(pair, pair.query_points)) for pair in pairs)
    failures = (Failure(f"{source}-x", "x", "The image x is damaged."),)
    pictures = {key: f"picture {key}" for key in source + targets}
    return UnitRecord("fake", "test", method, source, 1.5, predictions, failures, 2**20, pictures)


def test_everything_comes_back() -> None:
    pair, predicted = make_pair("a-b", **ODD), Match([[0.1, 0.2], [1 / 3, 2 / 3]], [0.0, 1 / 7])
    failures = (Failure("p", "k", "r"),)
    written = UnitRecord("fake", "val", "m", "a", 1.5, ((pair, predicted),), failures, 7, {"a": "0f"}, "c1")
    record = read_record(record_text(written))
    ((again, match),) = record.predictions
    assert pair_to_json(again) == pair_to_json(pair)
    assert np.array_equal(match.points, predicted.points) and np.array_equal(match.confidence, predicted.confidence)
    assert (record.dataset, record.split, record.method, record.source) == ("fake", "val", "m", "a")
    assert (record.seconds, record.failures, record.peak_bytes) == (1.5, failures, 7)
    assert (record.pictures, record.claim) == ({"a": "0f"}, "c1")


def test_evidence_comes_back_and_an_older_record_has_none() -> None:
    pair, left = make_pair("a-b", points=2), {"peak": [1 / 3, -2.0], "back": [0.0, 1e-9]}
    match = Match(pair.true_points, [0.5, 0.25], evidence=left)
    text = record_text(UnitRecord("fake", "val", "m", "a", 1.5, ((pair, match),)))
    ((_, again),) = read_record(text).predictions
    assert {name: values.tolist() for name, values in again.evidence.items()} == left
    plain = json.loads(text)
    del plain["predictions"][0]["evidence"]
    ((_, older),) = read_record(json.dumps(plain)).predictions
    assert not older.evidence and np.array_equal(older.points, match.points)


@pytest.mark.parametrize(
    "change",
    [
        {"source_points": [[1, 2], [3, 4], [5, 6.5]]},
        {"target_points": [[1.1, 2.2], [np.nan, np.nan], [1 / 3, 2e-9]]},
        {"visible": [True, True, True], "target_points": [[1, 2], [3, 4], [5, 6]]},
        {"names": ("x", "y", "z")},
        {"category": "dog"},
        {"target_box": (5, 20, 45, 121)},
        {"target_size": (80, 161)},
        {"ambiguous": None},
        {"flags": {"occlusion": 3}},
        {"target": "c"},
    ],
)
def test_an_annotation_s_digest_tells_all_that_is_written_of_it(change) -> None:
    pair, other = make_pair("a-b", **ODD), make_pair("a-b", **(ODD | change))
    assert (pair_to_json(pair) == pair_to_json(other), annotation_digest(pair) == annotation_digest(other)) == (0, 0)


def test_an_annotation_s_digest_is_that_of_what_is_read_back() -> None:
    pair = make_pair("a-b", **ODD)
    record = UnitRecord("d", "s", "m", "a", 1.0, ((pair, answer(pair, pair.query_points)),))
    ((again, _),) = read_record(record_text(record)).predictions
    assert annotation_digest(again) == annotation_digest(pair)


@pytest.mark.parametrize("where", ["predicted", "confidence", "seconds"])
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_not_read(where: str, number: str) -> None:
    plain = record_to_json(make_record())
    match = plain["predictions"][0]
    places = {"predicted": (match["predicted"][0], 1), "confidence": (match["confidence"], 0)}
    holder, at = places.get(where, (plain, "seconds"))
    holder[at] = 0.12345
    text = json.dumps(plain)
    assert text.count("0.12345") == 1 and read_record(text)
    with pytest.raises(ValueError):
        read_record(text.replace("0.12345", number))


def test_a_number_that_is_not_finite_is_not_written() -> None:
    pair = make_pair("a-b", flags={"turn": float("nan")})
    with pytest.raises(ValueError):
        record_text(UnitRecord("d", "s", "m", "a", 1.0, ((pair, answer(pair, pair.query_points)),)))
    with pytest.raises(ValueError):
        record_text(UnitRecord("d", "s", "m", "a", float("inf"), ()))
