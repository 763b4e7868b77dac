"""The work that is timed, and how two answers to it are compared."""

import numpy as np
import pytest
import torch
from problem import SOURCE, Answer, compare, make_unit, picture

MAP = torch.zeros(8, 8)
MAP[1, 2] = MAP[5, 6] = 1.0  # two maxima: rows 1 and 5, columns 2 and 6


def answer(place, embedding=0.0):
    """One point on a picture of 512 pixels, so that a pixel of the map is 64 wide."""
    return Answer(
        {("", 0): torch.full((1, 2, 3), embedding)},
        {("target-0", 0): MAP},
        {("target-0", 0): torch.tensor(place, dtype=torch.float64)},
    )


def test_points_lie_inside_and_apart():
    unit = make_unit(points=8, targets=3)
    width, height = picture(SOURCE).size
    assert unit.points.shape == (8, 2)
    assert (unit.points > 0).all() and (unit.points < (width, height)).all()
    gaps = np.linalg.norm(unit.points[:, None] - unit.points[None], axis=-1)[~np.eye(8, dtype=bool)]
    assert gaps.min() > 0.1 * width


def test_every_target_asks_for_every_point():
    unit = make_unit(points=3, targets=2)
    assert [target.points for target in unit.targets] == [(0, 1, 2)] * 2


def test_fewer_points_are_the_first_of_more():
    np.testing.assert_array_equal(make_unit(8, 1).points[:3], make_unit(3, 1).points)


def test_pictures_differ():
    pictures = {picture(key).tobytes() for key in (SOURCE, *(f"target-{number}" for number in range(9)))}
    assert len(pictures) == 10


@pytest.mark.parametrize(
    ("place", "equal", "right", "farthest"),
    [
        ((160.0, 96.0), 1, 1, 0),  # the same
        ((416.0, 352.0), 0, 1, 256 * 2**0.5),  # the other maximum
        ((160.0, 160.0), 0, 0, 64),
        ((160.0004, 96.0), 1, 1, 0.0004),  # the rounding of a center of mass
    ],
)
def test_points_are_equal_or_tied_or_wrong(place, equal, right, farthest):
    agreement = compare(answer(place), answer((160.0, 96.0)))
    assert (agreement.equal, agreement.right) == (equal, right)
    assert agreement.farthest == pytest.approx(farthest, rel=1e-3, abs=1e-9)


def test_embeddings_of_a_pair_are_compared_with_those_that_serve_all():
    found = answer((160.0, 96.0), embedding=0.25)
    of_pair = Answer({("target-0", 0): found.embeddings["", 0]}, found.maps, found.points)
    assert compare(of_pair, answer((160.0, 96.0))).embeddings == 0.25
