"""The true place of any point of a drawing's surface on another drawing."""

import numpy as np
import pytest

from sdcorr.toybox.canvas import oval
from sdcorr.toybox.classes import THINGS
from sdcorr.toybox.dataset import drawing
from sdcorr.toybox.surface import carried, mean_value_coordinates


def test_coordinates_are_those_of_a_square_by_hand():
    square = np.array([0, 2, 2 + 2j, 2j])
    assert mean_value_coordinates(1 + 1j, square) == pytest.approx([0.25] * 4)
    assert mean_value_coordinates(0.5 + 1.5j, square) @ square == pytest.approx(0.5 + 1.5j)
    near = mean_value_coordinates(0.001 + 0.001j, square)
    assert near[0] == pytest.approx(1, abs=0.002)


def test_a_turned_and_stretched_outline_carries_a_point_with_it():
    outline = oval(1j, 3, 2, 0.4)
    moved = (2 * outline.real + 1j * outline.imag) * np.exp(0.7j) - 5
    place = 0.8 + 0.3j
    expected = (2 * place.real + 1j * place.imag) * np.exp(0.7j) - 5
    assert mean_value_coordinates(place, outline) @ moved == pytest.approx(expected)


@pytest.mark.parametrize("name", THINGS)
def test_keypoints_are_carried_to_keypoints(name):
    """Keypoints are places on parts too, drawn by the class itself, some at a slightly other place of their part."""
    found = []
    for number in range(3):
        source, target = drawing(f"0/{name}/{number}"), drawing(f"0/{name}/{number + 3}")
        places, seen = carried(source, target, source.points)
        both = source.visible & target.visible
        away = np.linalg.norm(places - target.points, axis=1)[both]
        assert away.max() < 2.5 and np.median(away) < 0.5  # pixels of 64
        found += seen[both].tolist()
    assert np.mean(found) > 0.9  # such another place may be behind another part


def test_what_is_not_on_the_object_has_no_place_and_what_is_covered_is_not_seen():
    source = drawing("0/cat/0")
    places, seen = carried(source, source, np.array([[0.5, 0.5], [-3, 70]]))
    assert np.isnan(places).all() and not seen.any()
    hidden = [
        (other, point)
        for other in map(drawing, (f"0/cat/{number}" for number in range(1, 20)))
        for point, mine, theirs in zip(source.points, source.visible, other.visible, strict=True)
        if mine and not theirs
    ]
    assert hidden
    assert not any(carried(source, other, point[None])[1].any() for other, point in hidden)


def test_a_point_stays_where_it_is_on_its_own_drawing():
    source = drawing("0/fish/1")
    y, x = np.mgrid[2:62:4, 2:62:4] + 0.5
    points = np.stack((x.ravel(), y.ravel()), 1)
    places, seen = carried(source, source, points)
    on = ~np.isnan(places).any(1)
    assert on.mean() > 0.1 and seen[on].all()
    assert places[on] == pytest.approx(points[on])
