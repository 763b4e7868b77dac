import re

import pytest

from sdcorr import visualize


def texts(figure) -> list[str]:
    return re.findall(r"<text[^>]*>(.*?)</text>", visualize.to_svg(figure))


def test_names_are_written_as_they_are() -> None:
    name = "$x_{$ & <b> $y$"
    for figure in (visualize.bars({name: (5, 4, 6)}, "%"), visualize.curve([1, 2], {name: [(1, 1, 1)] * 2}, "x", "y")):
        assert "$x_{$ &amp; &lt;b&gt; $y$" in texts(figure)
    assert any(text.endswith("…") for text in texts(visualize.bars({"a" * 300: (5, 4, 6)}, "%")))


@pytest.mark.parametrize("ends", [(5 + 1e-12, 6), (4, 5 - 1e-12)])
def test_an_interval_may_end_past_its_value(ends: tuple[float, float]) -> None:
    visualize.bars({"a": (5, *ends)}, "%")
    visualize.reliability([0.5], [(5, *ends)], [3])


def test_whole_numbers_have_whole_ticks() -> None:
    figure = visualize.curve([1, 2, 3, 5], {"restarts": [(1, 0, 2)] * 4}, "restarts", "%")
    assert all(float(tick).is_integer() for tick in figure.axes[0].get_xticks())
