"""The mean error in pixels, from records to everything that shows it."""

import io

import numpy as np
import pytest
from rich.console import Console

from sdcorr.datasets import Match
from sdcorr.report import tables
from sdcorr.report.page import write_report
from sdcorr.report.results import gather
from sdcorr.report.terminal import show
from sdcorr.report.wandb import to_wandb
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.arrays import collect, read
from sdcorr.scoring.metrics import Measure
from sdcorr.scoring.metrics.error_px import METRIC
from sdcorr.scoring.parts import ALL, Part
from sdcorr.scoring.protocols import PROTOCOLS
from sdcorr.scoring.score import score
from sdcorr.scoring.summary import flatten
from tests.report.test_page_data import table as table_of
from tests.run.fakes import make_pair
from tests.scoring.fakes import missed, record, write_run

ERRORS = {"a-z": [3, 4, 5], "b-z": [0, 10], "c-z": [30]}  # cats, a bus; 52 pixels over 6 points
WORSE = {name: [error + 2 for error in errors] for name, errors in ERRORS.items()}


def arrays_of(errors):
    pairs = [make_pair(id, points=len(by), category="cat" if id < "c" else "bus") for id, by in errors.items()]
    return collect([record([missed(pair, by)]) for pair, by in zip(pairs, errors.values(), strict=True)])


def error(measured, average="per_point", part=ALL):
    return measured.find(Measure(METRIC), average, part).estimate


class TestScores:
    def test_hand_computed(self):
        scores = score({"m": arrays_of(ERRORS), "other": arrays_of(WORSE)}, "m", PROTOCOLS["standard"])
        assert error(scores.ours).value == pytest.approx(52 / 6)
        assert error(scores.ours, "per_image").value == pytest.approx((4 + 5 + 30) / 3)
        assert error(scores.ours, part=Part("category", "cat")).value == pytest.approx(22 / 5)
        assert error(scores.ours, "category_per_image").value == pytest.approx((4.5 + 30) / 2)
        value, low, high = error(scores.ours)
        assert 4 <= low < value < high <= 30
        assert error(scores.differences["other"]) == pytest.approx((-2, -2, -2))

    def test_the_distance_is_that_of_both_axes_in_the_original_image_whatever_the_protocol(self):
        pair = make_pair("a-z", points=2)
        arrays = collect([record([(pair, Match(pair.true_points + [[3, 4], [0, -12]], np.ones(2)))])])
        for protocol in PROTOCOLS.values():
            if protocol.knows("spair"):
                assert METRIC.of_points(arrays, protocol, [0.1]).tolist() == [[5], [12]]

    def test_points_without_a_truth_are_left_out(self):
        pair = make_pair("a-z", target_points=[[1, 1], [np.nan, np.nan], [3, 3]])
        arrays = collect([record([(pair, Match(np.array([[1, 3], [50, 50], [3, 7]]), np.ones(3)))])])
        assert METRIC.of_points(arrays, PROTOCOLS["standard"], []).tolist() == [[2], [4]]

    def test_its_intervals_are_those_of_resampled_pairs(self):
        """Of 100 samples of 40 pairs with errors around 10, about 95 % of the intervals hold 10."""
        covered = 0
        for seed in range(100):
            draws = np.random.default_rng(seed)
            errors = {f"{k:02d}-z": np.repeat(draws.exponential(10), 3) for k in range(40)}
            scores = score({"m": arrays_of(errors)}, "m", PROTOCOLS["standard"], metrics=[METRIC], samples=200)
            _, low, high = error(scores.ours)
            covered += low <= 10 <= high
        assert 86 <= covered <= 99


class TestShown:
    @pytest.fixture
    def store(self, tmp_path):
        write_run(tmp_path, ERRORS)
        return PredictionStore(write_run(tmp_path, WORSE, method="other"))

    def test_in_the_summary(self, store):
        summary = flatten(score(read(store, "prompt"), "prompt", PROTOCOLS["standard"]))
        assert summary["error_px/per_point"] == pytest.approx(52 / 6)
        assert summary["error_px/per_image/category/bus"] == 30
        assert summary["baseline/other/error_px/per_point"] == pytest.approx(64 / 6)
        assert summary["difference/other/error_px/per_image"] == pytest.approx(-2)
        assert summary["error_px/per_point/low"] < summary["error_px/per_point"] < summary["error_px/per_point/high"]

    def test_in_a_terminal_a_page_and_in_wandb(self, store):
        results = gather(store, "prompt", PROTOCOLS["standard"], [0.1], samples=50)
        value, low, high = error(results.scores.ours)
        written = f"{value:.1f} [{low:.1f}, {high:.1f}]"
        text = io.StringIO()
        show(tables.overview(results.scores), Console(file=text, width=160))
        assert "mean error, px" in text.getvalue() and written in text.getvalue()
        assert "mean error per point, px" in text.getvalue() and "-2.0 [-2.0, -2.0]" in text.getvalue()
        head, ours, *_ = table_of(write_report(results, image=None).read_text(), "per point")
        assert dict(zip(head, ours, strict=True))["mean error, px"] == written
        logged = to_wandb(tables.methods(results.scores)[0])
        row = dict(zip(logged.columns, logged.data[0], strict=True))
        assert [row[f"mean error, px{end}"] for end in ("", " low", " high")] == [value, low, high]
