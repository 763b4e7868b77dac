"""What was found in pictures, written down."""

import json

import numpy as np
import torch
from PIL import Image

from sdcorr.datasets import Match
from sdcorr.findings import lines, points_record
from sdcorr.pictures import Likely, MatchRequest, MatchResult, name_picture

IMAGE = Image.new("RGB", (40, 20), "red")


def test_a_doubtful_match_says_why() -> None:
    target = name_picture(IMAGE, "b.png")
    request = MatchRequest(name_picture(IMAGE, "a.png"), np.array([[1, 2], [3, 4]]), (target,))
    left = {"margin": np.array([0.1, 1.0])}
    result = MatchResult(torch.zeros(2, 1, 1, 1), (Match([[5, 6], [7, 8]], [0.5, 0.25], evidence=left),), ())
    assert list(lines(request, result)) == [
        "(1, 2) -> b.png (5.0, 6.0), confidence 0.50, doubtful: a second peak is 90 % as high",
        "(3, 4) -> b.png (7.0, 8.0), confidence 0.25",
    ]
    (found,) = json.loads(points_record(request, result, model="toybox"))["targets"]
    assert found["doubt"] == ["a second peak is 90 % as high", None]


def test_what_a_calibration_says_is_written_down() -> None:
    """The second point is rather not there, which doubts it whatever its map looks like."""
    target = name_picture(IMAGE, "b.png")
    request = MatchRequest(name_picture(IMAGE, "a.png"), np.array([[1, 2], [3, 4]]), (target,))
    match = Match([[5, 6], [7, 8]], [0.5, 0.25], evidence={"margin": np.array([1.0, 1.0])})
    likely = Likely(np.array([0.75, 0.5]), np.array([0.9, 0.25]), "toybox val, 84 pairs")
    result = MatchResult(torch.zeros(2, 1, 1, 1), (match,), (), likely=(likely,))
    record = json.loads(points_record(request, result, model="toybox"))
    (found,) = record["targets"]
    assert record["calibration"] == "toybox val, 84 pairs"
    assert (found["probability"], found["there"]) == ([0.75, 0.5], [0.9, 0.25])
    assert found["doubt"] == [None, "not there: 75 % likely"]
    assert list(lines(request, result))[1].endswith(
        "confidence 0.25, 50 % likely right, doubtful: not there: 75 % likely"
    )


def test_counterparts_in_one_place_are_doubted() -> None:
    """The second and the third are the two sides of one part, by what was found; the first is there as well."""
    request = MatchRequest(
        name_picture(IMAGE, "a.png"), np.array([[1, 2], [3, 4], [5, 6]]), (name_picture(IMAGE, "b.png"),)
    )
    match = Match([[5, 6], [5, 6], [6.5, 6]], [0.5, 0.5, 0.5], evidence={"margin": np.array([1, 1, 1])})
    result = MatchResult(torch.zeros(3, 1, 1, 1), (match,), (), counterparts=((1, 2),))
    record = json.loads(points_record(request, result, model="toybox"))
    assert record["source"]["counterparts"] == {"origin": "found, not annotated", "pairs": [[1, 2]]}
    assert record["targets"][0]["doubt"] == [
        None,
        "point 3, its counterpart, is found in the same place",
        "point 2, its counterpart, is found in the same place",
    ]
    assert "doubtful: point 3, its counterpart" in list(lines(request, result))[1]
