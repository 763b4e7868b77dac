"""Words of users in figures are shown as they are: no formula is made of them, and none is left out."""

import warnings

import numpy as np
import pytest
from PIL import Image

from sdcorr import visualize
from sdcorr.visualize.words import label, plain

NAMES = ["cost$1_$2{.png", "$x_{", "$", "a\\$b$", "_tail", "$\\frac{1}$"]


@pytest.mark.parametrize("name", NAMES)
def test_in_every_figure(name: str) -> None:
    picture, point = Image.new("RGB", (20, 16)), np.array([[3.0, 4.0]])
    line = [(1.0, 0.5, 2.0), (3.0, 2.5, 3.0)]
    maps = {name: np.eye(4)}
    figures = [
        visualize.matches(picture, picture, point, point, names=[name], title=name),
        visualize.curve([1, 2], {name: line}, name, name),
        visualize.bars({name: line[0]}, name, title=name),
        visualize.reliability([0.2], line[:1], [3], title=name),
        visualize.layers(picture, maps, title=name),
        visualize.heats(picture, maps, title=name),
        visualize.sheet([picture], [name], 1, title=name),
    ]
    for figure in figures:
        assert visualize.to_array(figure, dpi=30).ndim == 3
    legend = figures[0].legends[0].get_texts()
    assert [text.get_text() for text in legend] == [label(name)]


def test_what_is_drawn_is_what_was_said() -> None:
    figure = visualize.bars({"cost$1_$2{": (1.0, 0.5, 2.0)}, "x")
    (text,) = figure.axes[0].get_yticklabels()
    assert text._preprocess_math(text.get_text()) == ("cost$1_$2{", False)
    assert plain("no dollar") == "no dollar"


def test_many_long_names_leave_room_for_the_pictures() -> None:
    picture, points = Image.new("RGB", (20, 16)), np.full((60, 2), 5.0)
    figure = visualize.matches(picture, picture, points, points, names=[f"{i}{300 * 'a'}" for i in range(60)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        visualize.to_array(figure, dpi=30)
