import numpy as np
import pytest

from sdcorr.scoring.counts import Tally
from sdcorr.scoring.pck import AVERAGES
from sdcorr.scoring.summary import summarize
from tests.scoring.tallies import ALPHAS, random_tally


class TestIntervals:
    def test_they_cover_the_truth(self):
        """Of 100 samples of 60 pairs each, about 95 % of the intervals hold the true chance of 0.4."""
        covered = 0
        for seed in range(100):
            summary = summarize({"m": random_tally(60, seed, chance=0.4)}, "m", ALPHAS, samples=200)
            covered += summary["pck@0.10/per_point/low"] <= 0.4 <= summary["pck@0.10/per_point/high"]
        assert 88 <= covered <= 99

    def test_points_of_a_pair_stand_together(self):
        """Ten points that are all right or all wrong tell no more than one: the interval must not shrink."""
        one = random_tally(80, ambiguous=False)
        hits = np.arange(80) % 2
        single = Tally(
            one.ids, one.categories, np.array([[1, 0, 0]] * 80), hits[:, None, None] * np.array([[1], [0], [0]])
        )
        tenfold = Tally(one.ids, one.categories, single.points * 10, single.correct * 10)
        summaries = [summarize({"m": counts}, "m", [0.1]) for counts in (single, tenfold)]
        low, high = ([s[f"pck@0.10/per_point/{end}"] for s in summaries] for end in ("low", "high"))
        assert low[0] == low[1] and high[0] == high[1] and 0.3 < low[0] < 0.5 < high[0] < 0.7

    def test_none_without_resamples(self):
        summary = summarize({"m": random_tally(), "other": random_tally(seed=1)}, "m", ALPHAS, samples=0)
        assert "pck@0.10/per_point" in summary and "difference/other/pck@0.10/hybrid" in summary
        assert not [name for name in summary if name.endswith(("/low", "/high"))]


class TestDifferences:
    def test_a_paired_difference_is_sharper_than_two_intervals(self):
        ours = random_tally(200)
        worse = ours.correct.copy()
        worse[::10] = 0
        theirs = Tally(ours.ids, ours.categories, ours.points, worse)
        summary = summarize({"ours": ours, "theirs": theirs}, "ours", ALPHAS)
        for average in AVERAGES:
            name = f"pck@0.10/{average}"
            assert summary[f"difference/theirs/{name}"] == pytest.approx(
                summary[name] - summary[f"baseline/theirs/{name}"]
            )
            assert summary[f"difference/theirs/{name}/low"] > 0
            assert summary[f"baseline/theirs/{name}/high"] > summary[f"{name}/low"]  # the intervals overlap

    def test_a_method_against_itself_differs_by_nothing(self):
        summary = summarize({"m": random_tally(), "same": random_tally()}, "m", ALPHAS)
        assert all(value == 0 for key, value in summary.items() if key.startswith("difference/same/pck"))

    def test_they_are_taken_on_the_pairs_that_both_have(self):
        ours = random_tally(50)
        theirs = ours.rows(np.arange(10, 50))
        summary = summarize({"ours": ours, "theirs": theirs}, "ours", ALPHAS)
        assert summary["pairs"] == 50 and summary["baseline/theirs/pairs"] == 40
        assert summary["difference/theirs/pairs"] == 40
        assert summary["difference/theirs/pck@0.10/per_image"] == 0

    def test_no_common_pairs_no_difference(self):
        ours = random_tally(20)
        summary = summarize({"a": ours.rows(np.arange(10)), "b": ours.rows(np.arange(10, 20))}, "a", ALPHAS)
        assert "baseline/b/pck@0.10/per_point" in summary
        assert not [key for key in summary if key.startswith("difference")]


class TestSummary:
    def test_categories_and_kinds_of_points(self):
        counts = random_tally(60)
        summary = summarize({"m": counts}, "m", ALPHAS)
        assert summary["pairs"] == 60 and summary["points"] == counts.points[:, 0].sum()
        for category in ("cat", "bus"):
            rows = counts.categories == category
            name = f"pck@0.10/per_point/category/{category}"
            pck = counts.correct[rows, 0, 1].sum() / counts.points[rows, 0].sum()
            assert summary[name] == pytest.approx(pck)
            assert summary[f"{name}/low"] < pck < summary[f"{name}/high"]
        for group, name in ((1, "ambiguous"), (2, "distinct")):
            pck = counts.correct[:, group, 0].sum() / counts.points[:, group].sum()
            assert summary[f"pck@0.05/per_point/{name}"] == pytest.approx(pck)
            assert summary[f"pck@0.05/per_point/{name}/low"] < pck < summary[f"pck@0.05/per_point/{name}/high"]

    def test_difficulties(self):
        counts = random_tally(60)
        hard = np.arange(60) % 2 == 0
        counts = Tally(*list(vars(counts).values())[:4], {"scale": np.where(hard, "hard", "easy")})
        summary = summarize({"m": counts}, "m", ALPHAS)
        per_image = (counts.correct[hard, 0, 1] / counts.points[hard, 0]).mean()
        assert summary["pck@0.10/per_image/difficulty/scale=hard"] == pytest.approx(per_image)
        assert "pck@0.05/per_point/difficulty/scale=easy/high" in summary

    def test_category_averages_are_the_means_of_the_categories(self):
        summary = summarize({"m": random_tally(60)}, "m", ALPHAS)
        for average in ("per_point", "per_image"):
            categories = [summary[f"pck@0.10/{average}/category/{name}"] for name in ("cat", "bus")]
            assert summary[f"pck@0.10/category_{average}"] == pytest.approx(np.mean(categories))

    def test_of_one_category_there_is_nothing_to_average_over(self):
        counts = random_tally(60)
        summary = summarize({"m": counts.rows(counts.categories == "cat")}, "m", ALPHAS)
        assert not [name for name in summary if "hybrid" in name or "category_" in name]

    def test_no_key_where_there_is_nothing_to_say(self):
        summary = summarize({"m": random_tally(ambiguous=False)}, "m", ALPHAS)
        assert not [key for key in summary if "ambiguous" in key or "distinct" in key or "difficulty" in key]
        assert all(np.isfinite(value) for value in summary.values())

    def test_one_pair(self):
        summary = summarize({"m": random_tally(1)}, "m", ALPHAS)
        assert summary["pck@0.10/per_point/low"] == summary["pck@0.10/per_point"] == summary["pck@0.10/per_point/high"]
