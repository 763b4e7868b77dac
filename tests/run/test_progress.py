import io

import pytest
from rich.console import Console

from sdcorr.run.progress import duration
from sdcorr.run.store import PredictionStore
from tests.run.fakes import FakeBenchmark, FakeMethod, evaluate, make_pair


class TestProgress:
    def test_lines_where_there_is_no_terminal(self, tmp_path):
        text = io.StringIO()
        evaluate(FakeBenchmark(), FakeMethod(), PredictionStore(tmp_path), "fake", console=Console(file=text))
        assert "fake: 4/4 source images, in 0 min" in text.getvalue()

    def test_nothing_visible_is_no_work(self, tmp_path):
        text, benchmark = io.StringIO(), FakeBenchmark()
        benchmark.pairs = [make_pair("a-b", points=1, visible=[False])]
        evaluate(benchmark, FakeMethod(), PredictionStore(tmp_path), "fake", console=Console(file=text))
        assert "fake: 1/1 source images" in text.getvalue()

    def test_a_rank_speaks_of_its_own_share(self, tmp_path):
        text = io.StringIO()
        console = Console(file=text, width=100)
        evaluate(FakeBenchmark(), FakeMethod(), PredictionStore(tmp_path), rank=1, world_size=3, console=console)
        assert "fake, share 2 of 3: 1/1 source images" in text.getvalue()

    def test_a_bar_in_a_terminal(self, tmp_path):
        text = io.StringIO()
        console = Console(file=text, force_terminal=True, width=100)
        evaluate(FakeBenchmark(), FakeMethod(), PredictionStore(tmp_path), "fake", console=console)
        assert "4/4 source images" in text.getvalue() and "min left" not in text.getvalue()


@pytest.mark.parametrize(
    "seconds, words",
    [
        (20, "0 min"),
        (45 * 60, "45 min"),
        (5400, "1.5 h"),
        (36_000, "10 h"),
        (86_400 * 3.2, "3 days"),
        (9e8, "10,417 days"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
