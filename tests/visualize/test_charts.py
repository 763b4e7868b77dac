"""Charts show the numbers that they are given, and become SVG that is safe to put into a page."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from sdcorr import visualize
from sdcorr.visualize import charts

HOSTILE = "<b>&\"'x</b>"
ROWS = {"first": (70.0, 60.0, 80.0), HOSTILE: (-10.0, -20.0, 5.0)}


def made() -> dict[str, Figure]:
    """One chart of each kind, with a name from data that is no plain word."""
    line = [(1.0, 0.5, 2.0), (3.0, 2.5, 3.0), (4.0, 3.0, 6.0)]
    return {
        "curve": visualize.curve([1, 2, 3], {"first": line, HOSTILE: line[::-1]}, "x", "y"),
        "bars": visualize.bars(ROWS, HOSTILE, title=HOSTILE),
        "reliability": visualize.reliability([0.2, 0.8], [(40, 30, 50), (90, 80, 95)], [12, 34], title=HOSTILE),
    }


def test_bars_are_as_long_as_their_values() -> None:
    (axes,) = visualize.bars(ROWS, "%").axes
    assert [bar.get_width() for bar in axes.patches] == [70, -10]
    assert axes.get_yticklabels()[0].get_text() == "first"
    assert axes.yaxis_inverted()  # the first on top
    (intervals,) = [path.vertices for path in axes.collections[0].get_paths()[:1]]
    assert intervals[:, 0].tolist() == [60, 80]


def test_curve_has_a_line_and_a_band_for_each_series() -> None:
    (axes,) = made()["curve"].axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [[1, 3, 4], [4, 3, 1]]
    assert len(axes.collections) == 2 and len({line.get_linestyle() for line in axes.lines}) == 2
    band = axes.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0.5, 6.0)


def test_reliability_says_how_many_points_there_are() -> None:
    (axes,) = made()["reliability"].axes
    assert [text.get_text() for text in axes.texts] == ["12", "34"]


@pytest.mark.parametrize("kind", ["curve", "bars", "reliability"])
def test_array(kind: str) -> None:
    pixels = visualize.to_array(made()[kind], dpi=50)
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
    assert pixels.shape[1] == round(5.6 * 50) and len(np.unique(pixels)) > 10


@pytest.mark.parametrize("kind", ["curve", "bars", "reliability"])
def test_svg(kind: str) -> None:
    svg = visualize.to_svg(made()[kind])
    root = ElementTree.fromstring(svg)  # well formed, so names are escaped
    assert HOSTILE in "".join(root.itertext()) and "<b>" not in svg
    assert "font-family" not in svg and "#010203" not in svg and "currentColor" in svg
    names = re.findall(r' id="([^"]+)"', svg)
    assert len(names) == len(set(names))
    assert all(link.startswith("#") and link[1:] in names for link in re.findall(r'href="([^"]+)"', svg))
    assert not re.search(r"url\((?!#)|<script|<image|<style", svg)


def test_ids_of_two_charts_in_a_page_do_not_clash() -> None:
    charts_of_a_page = [visualize.to_svg(figure) for figure in made().values()]
    for svg in charts_of_a_page:  # an id that two have must mean the same shape in both
        for other in charts_of_a_page:
            shapes = [dict(re.findall(r'<path id="([^"]+)" d="([^"]+)"', each)) for each in (svg, other)]
            assert all(shapes[0][name] == shapes[1][name] for name in shapes[0].keys() & shapes[1].keys())


def test_colors_differ_for_the_color_blind_too() -> None:
    """Simulated deuteranopia and protanopia (Viénot et al. 1999, in linear RGB)."""
    blind = {
        "deuteranopia": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
        "protanopia": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    }
    for palette in (charts.LINE_COLORS, (visualize.overlays.RIGHT, visualize.overlays.WRONG)):
        colors = np.array([to_rgb(each) for each in palette]) ** 2.2
        for matrix in blind.values():
            seen = np.clip(colors @ np.array(matrix).T, 0, 1) ** (1 / 2.2)
            apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + 9 * np.eye(len(seen))
            assert apart.min() > 0.12


def test_names_are_written_as_they_are() -> None:
    name = "$x_{$ and $y$"  # no mathematics
    for figure in (visualize.bars({name: (5, 4, 6)}, "%"), visualize.curve([1, 2], {name: [(1, 1, 1)] * 2}, "x", "y")):
        assert f">{name}</text>" in visualize.to_svg(figure)
    assert "a…</text>" in visualize.to_svg(visualize.bars({"a" * 300: (5, 4, 6)}, "%"))


@pytest.mark.parametrize("ends", [(5 + 1e-12, 6), (4, 5 - 1e-12)])
def test_an_interval_may_end_past_its_value(ends: tuple[float, float]) -> None:
    visualize.bars({"a": (5, *ends)}, "%")
    visualize.reliability([0.5], [(5, *ends)], [3])


def test_whole_numbers_have_whole_ticks() -> None:
    figure = visualize.curve([1, 2, 3, 5], {"restarts": [(1, 0, 2)] * 4}, "restarts", "%")
    assert all(float(tick).is_integer() for tick in figure.axes[0].get_xticks())


def test_without_intervals_there_are_none() -> None:
    figures = [
        visualize.bars({"a": (5, None, None), "b": (-1, None, None)}, "%"),
        visualize.curve([1, 2], {"a": [(1, None, None), (2, None, None)]}, "x", "y"),
        visualize.reliability([0.5], [(50, None, None)], [3]),
    ]
    assert [bar.get_width() for bar in figures[0].axes[0].patches] == [5, -1]
    assert figures[0].axes[0].lines[-1].get_xdata() == [0, 0]  # a line marks 0
    assert all("NaN" not in (svg := visualize.to_svg(figure)) and "nan" not in svg for figure in figures)
