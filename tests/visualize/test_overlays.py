"""Pictures with points and maps on them: sizes, places and what is drawn where."""

import numpy as np
import pytest
from PIL import Image

from sdcorr import visualize
from sdcorr.visualize.overlays import RIGHT, WRONG
from sdcorr.visualize.tiles import GAP, MOST_TILES, SIDE, TILE

GRAY = Image.new("RGB", (80, 40), (128, 128, 128))
MAP = np.zeros((4, 8))
MAP[3, 0] = 1


def rgb(color: str) -> list[int]:
    return [int(color[start : start + 2], 16) for start in (1, 3, 5)]


def has(picture: np.ndarray, color: str) -> bool:
    """Whether a picture has a pixel of exactly that color."""
    return bool((picture == rgb(color)).all(-1).any())


class TestHeat:
    def test_it_glows_where_the_map_is_greatest(self):
        picture = visualize.heat(GRAY, MAP)
        assert picture.shape == (40, 80, 3) and picture.dtype == np.uint8
        change = np.abs(picture.astype(int) - 128).sum(-1)
        row, column = np.unravel_index(change.argmax(), change.shape)
        assert row >= 30 and column < 10 and change[:20, 40:].max() < 10

    def test_a_flat_map_leaves_the_picture_gray(self):
        assert np.abs(visualize.heat(GRAY, np.ones((2, 2))).astype(int) - 128).max() <= 1


class TestDotted:
    def test_a_point_is_where_it_is_in_the_bigger_picture(self):
        picture = visualize.dotted(GRAY, np.array([[20.0, 10.0]]))
        assert picture.shape == (SIDE // 2, SIDE, 3)
        rows, columns = np.nonzero((picture == rgb(visualize.color(0))).all(-1))
        np.testing.assert_allclose([columns.mean(), rows.mean()], [20 / 80 * SIDE, 10 / 40 * SIDE / 2], atol=0.6)

    @pytest.mark.parametrize("right, line", [(True, RIGHT), (False, WRONG)])
    def test_the_line_to_the_truth_says_whether_it_is_right(self, right, line):
        points, truth = np.array([[10.0, 20.0]] * 3), np.array([[70.0, 20.0]] * 3)
        picture = visualize.dotted(GRAY, points, truth=truth, right=[right] * 3)
        middle = picture[:, SIDE // 3 : 2 * SIDE // 3]
        assert has(middle, line) and not has(middle, WRONG if right else RIGHT)

    def test_where_nobody_knows_the_truth_there_is_no_line(self):
        picture = visualize.dotted(GRAY, np.array([[10.0, 20.0]]), truth=np.array([[np.nan, np.nan]]), right=[None])
        assert (picture[:, SIDE // 3 :] == 128).all()


def test_attention_has_a_row_a_picture_and_a_column_a_point():
    tall = Image.new("RGB", (30, 60), (128, 128, 128))
    points = np.full((MOST_TILES + 2, 2), 20.0)
    maps = np.stack([MAP] * len(points))
    grid = visualize.attention([(GRAY, maps, points), (tall, maps, points)])
    width = MOST_TILES * (TILE + GAP) - GAP
    assert grid.shape == (TILE // 2 + GAP + TILE, width, 3)
    assert (grid[TILE // 2 : TILE // 2 + GAP] == 255).all()
    for index in range(MOST_TILES):
        column = slice(index * (TILE + GAP), index * (TILE + GAP) + TILE)
        assert has(grid[:, column], visualize.color(index))


def test_heats_have_a_panel_a_map_and_a_dot_where_there_is_a_peak():
    names = [f"step {i}" for i in range(5)]
    peaks = {"step 2": np.array([30.0, 20.0])}
    figure = visualize.heats(GRAY, dict.fromkeys(names, MAP), peaks=peaks, columns=3, title="steps")
    assert [axes.get_title() for axes in figure.axes] == [*names, ""]
    dots = [[tuple(dot.get_offsets()[0]) for dot in axes.collections] for axes in figure.axes]
    assert dots == [[], [], [(30, 20)], [], [], []]
    crossed = visualize.heats(GRAY, {"only": MAP}, point=np.array([1.0, 2.0]))
    assert tuple(crossed.axes[0].collections[0].get_offsets()[0]) == (1, 2)


def test_crops_are_framed_in_the_colors_of_their_borders():
    boxes = np.array([[0, 0, 40, 40], [30, 0, 70, 40]])
    seen = [np.zeros((20, 20, 3), np.uint8)] * 2
    figure = visualize.crops(GRAY, boxes, seen, np.array([[5.0, 5], [10, 5]]), np.array([40.0, 10]))
    whole, *panels = figure.axes
    assert [(frame.get_xy(), frame.get_width()) for frame in whole.patches] == [((0, 0), 40), ((30, 0), 40)]
    for frame, axes in zip(whole.patches, panels, strict=True):
        assert axes.patches[0].get_edgecolor() == frame.get_edgecolor()


def test_matches_draw_wrong_lines_dashed():
    points = np.array([[10.0, 10], [20, 20]])
    figure = visualize.matches(GRAY, GRAY, points, points, truth=points + 5, correct=np.array([True, False]))
    styles = {tuple(rgb_of(line.get_edgecolor())): line.get_linestyle() for line in figure.artists}
    assert styles == {tuple(rgb(RIGHT)): "-", tuple(rgb(WRONG)): "--"}
    assert visualize.to_array(figure, dpi=40).shape == (round(4.3 * 40), 320, 3)


def test_crosses_are_called_what_they_are():
    points, told = np.array([[10.0, 10]]), {"truth": np.array([[15.0, 15]])}
    titles = [visualize.matches(GRAY, GRAY, points, points, **how).axes[1].get_title() for how in ({}, told)]
    titles += [visualize.matches(GRAY, GRAY, points, points, **told, crosses="pseudo-label").axes[1].get_title()]
    assert titles == ["target, matches", "target, matches (x: truth)", "target, matches (x: pseudo-label)"]


def rgb_of(color: tuple[float, ...]) -> list[int]:
    return [round(255 * value) for value in color[:3]]
