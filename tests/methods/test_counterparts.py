"""Counterparts of points in a picture whose two sides are known."""

import numpy as np
import torch

from sdcorr.methods.consensus import GRID
from sdcorr.methods.counterparts import counterparts
from sdcorr.methods.layout import Layout
from sdcorr.methods.maps import Features
from tests.methods.test_consensus import SIZE, texture

POINTS = np.array(
    [[35, 65], [125, 65], [80, 100], [35, 145]]
)  # left, right, in the middle, and one whose other is none


def features(values: torch.Tensor) -> Features:
    return Features(values, Layout(SIZE, (GRID, GRID), (0, 0, GRID, GRID)))


def test_of_a_symmetric_object_left_and_right_are_counterparts() -> None:
    """A network that knows sides: what is left in a picture is like what would be left in its mirror image."""
    seen = texture()
    assert counterparts(features(seen), features(seen), POINTS) == [(0, 1)]


def test_a_thing_that_is_only_turned_over_has_none() -> None:
    """Features of a side view know nothing of sides: the mirror image is the picture, turned over."""
    seen = texture()
    assert counterparts(features(seen), features(seen.flip(-1)), POINTS) == []


def test_one_point_has_none() -> None:
    assert counterparts(features(texture()), features(texture()), POINTS[:1]) == []
