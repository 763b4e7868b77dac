import json
import time

import numpy as np
import pytest

from sdcorr.datasets import Match
from sdcorr.errors import UserError
from sdcorr.evaluation.predictions import Failure, PredictionStore, UnitRecord
from sdcorr.evaluation.protocols import PROTOCOLS
from sdcorr.evaluation.score import Tally, estimate, resampled, score, summarize, tally, write_summary
from tests.evaluation.fakes import make_pair

STANDARD = PROTOCOLS["standard"]
ALPHAS = (0.05, 0.1)

# make_pair: the target's box is 40 x 100 pixels, so the thresholds are 5 and 10 pixels


def predicted(pair, errors):
    """A match that misses each visible point by so many pixels, along x."""
    return pair, Match(pair.true_points + np.stack([errors, np.zeros(len(errors))], axis=1), np.ones(len(errors)))


def record(predictions, method="prompt", failures=(), seconds=2.0):
    source = predictions[0][0].source
    return UnitRecord("fake", "test", method, source, seconds, tuple(predictions), tuple(failures))


def random_tally(pairs=50, seed=0, chance=0.5, ambiguous=True):
    draws = np.random.default_rng(seed)
    kinds = draws.integers(0, 6, (pairs, 2)) + [[1, 0]]
    points = np.stack([kinds.sum(1), kinds[:, 0], kinds[:, 1]], axis=1) * [1, ambiguous, ambiguous]
    correct = draws.binomial(kinds[..., None], [chance / 2, chance])  # (n, 2, A)
    correct = np.stack([correct.sum(1), correct[:, 0], correct[:, 1]], axis=1)
    ids = np.array([f"{index:05d}" for index in range(pairs)])
    return Tally(ids, np.where(np.arange(pairs) % 3, "cat", "bus"), points, correct)


class TestTally:
    def test_hand_computed(self):
        first = make_pair("a-b", points=2, category="cat")
        second = make_pair("a-c", points=4, category="bus", visible=[True, True, False, True])
        counts = tally([record([predicted(second, [4, 6, 11]), predicted(first, [0, 5])])], STANDARD, ALPHAS)
        assert counts.ids.tolist() == ["a-b", "a-c"]
        assert counts.categories.tolist() == ["cat", "bus"]
        assert counts.points[:, 0].tolist() == [2, 3]
        assert counts.correct[:, 0].tolist() == [[2, 2], [1, 2]]
        assert counts.points[:, 1:].sum() == 0  # nobody said which parts are ambiguous
        per_point, per_image = estimate(counts)[:, 0]
        assert per_point.tolist() == [3 / 5, 4 / 5]
        assert per_image == pytest.approx([(1 + 1 / 3) / 2, (1 + 2 / 3) / 2])

    def test_ambiguous_and_distinct_points(self):
        pair = make_pair("a-b", points=4, ambiguous=[True, True, False, False], visible=[True, False, True, True])
        counts = tally([record([predicted(pair, [20, 0, 7])])], STANDARD, ALPHAS)
        assert counts.points.tolist() == [[3, 1, 2]]
        assert counts.correct.tolist() == [[[1, 2], [0, 0], [1, 2]]]

    def test_pairs_without_visible_points_are_left_out(self):
        blind = make_pair("a-b", points=2, visible=[False, False])
        counts = tally([record([predicted(blind, []), predicted(make_pair("a-c", points=1), [0])])], STANDARD, ALPHAS)
        assert counts.ids.tolist() == ["a-c"]
        with pytest.raises(UserError, match="nothing to score"):
            tally([record([predicted(blind, [])])], STANDARD, ALPHAS)

    def test_order_of_the_records_does_not_matter(self):
        records = [record([predicted(make_pair(f"{source}-z"), [0, 6, 11])]) for source in "abc"]
        forward, backward = (tally(each, STANDARD, ALPHAS) for each in (records, records[::-1]))
        assert forward.ids.tolist() == backward.ids.tolist()
        assert np.array_equal(resampled(forward, 10, 0), resampled(backward, 10, 0), equal_nan=True)


class TestBootstrap:
    def test_against_a_loop(self):
        """Each resample draws whole pairs; per point pools the points of the pairs drawn."""
        counts, samples = random_tally(20), 250  # more than one chunk, the last one not full
        values = resampled(counts, samples, seed=3)
        generator = np.random.default_rng(3)
        for sample in range(samples):
            drawn = generator.integers(20, size=20)
            points, correct = counts.points[drawn, 0], counts.correct[drawn, 0, 1]
            assert values[sample, 0, 0, 1] == pytest.approx(correct.sum() / points.sum())
            assert values[sample, 1, 0, 1] == pytest.approx((correct / points).mean())

    def test_the_seed_decides(self):
        counts = random_tally()
        assert np.array_equal(resampled(counts, 20, 0), resampled(counts, 20, 0))
        assert not np.array_equal(resampled(counts, 20, 0), resampled(counts, 20, 1))

    def test_intervals_cover_the_truth(self):
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

    def test_a_paired_difference_is_sharper_than_two_intervals(self):
        ours = random_tally(200)
        worse = ours.correct.copy()
        worse[::10] = 0
        theirs = Tally(ours.ids, ours.categories, ours.points, worse)
        summary = summarize({"ours": ours, "theirs": theirs}, "ours", ALPHAS)
        name = "pck@0.10/per_point"
        assert summary[f"difference/theirs/{name}"] == pytest.approx(summary[name] - summary[f"baseline/theirs/{name}"])
        assert summary[f"difference/theirs/{name}/low"] > 0
        assert summary[f"baseline/theirs/{name}/high"] > summary[f"{name}/low"]  # the intervals overlap

    def test_a_method_against_itself_differs_by_nothing(self):
        summary = summarize({"m": random_tally(), "same": random_tally()}, "m", ALPHAS)
        assert all(value == 0 for key, value in summary.items() if key.startswith("difference/same/pck"))

    def test_differences_are_taken_on_the_pairs_that_both_have(self):
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

    def test_a_large_benchmark_takes_seconds(self):
        counts = random_tally(12_000)
        start = time.process_time()
        resampled(counts, 1000, 0)
        assert time.process_time() - start < 10


class TestSummary:
    def test_categories_and_kinds_of_points(self):
        counts = random_tally(60)
        summary = summarize({"m": counts}, "m", ALPHAS)
        assert summary["pairs"] == 60 and summary["points"] == counts.points[:, 0].sum()
        for category in ("cat", "bus"):
            rows = counts.categories == category
            pck = counts.correct[rows, 0, 1].sum() / counts.points[rows, 0].sum()
            assert summary[f"pck@0.10/per_point/category/{category}"] == pytest.approx(pck)
        for group, name in ((1, "ambiguous"), (2, "distinct")):
            pck = counts.correct[:, group, 0].sum() / counts.points[:, group].sum()
            assert summary[f"pck@0.05/per_point/{name}"] == pytest.approx(pck)
            assert summary[f"pck@0.05/per_point/{name}/low"] < pck < summary[f"pck@0.05/per_point/{name}/high"]

    def test_no_key_where_there_is_nothing_to_say(self):
        summary = summarize({"m": random_tally(ambiguous=False)}, "m", ALPHAS)
        assert not [key for key in summary if "ambiguous" in key or "distinct" in key]
        assert all(np.isfinite(value) for value in summary.values())

    def test_one_pair(self):
        summary = summarize({"m": random_tally(1)}, "m", ALPHAS)
        assert summary["pck@0.10/per_point/low"] == summary["pck@0.10/per_point"] == summary["pck@0.10/per_point/high"]


@pytest.fixture
def store(tmp_path):
    store = PredictionStore(tmp_path)
    pairs = [make_pair(f"{source}-z", points=3, category="cat" if source < "c" else "bus") for source in "abcd"]
    for pair, errors in zip(pairs, ([0, 0, 0], [0, 6, 20], [6, 6, 20], [20, 20, 20]), strict=True):
        store.save(record([predicted(pair, errors)], failures=[Failure(f"{pair.source}-x", "x", "damaged")]))
        store.save(record([predicted(pair, [20, 20, 0])], method="same_pixel", seconds=0.25))
    return store


class TestScore:
    def test_a_run_folder(self, store):
        summary = score(store, "prompt", STANDARD, ALPHAS)
        assert summary["protocol"] == "standard"
        assert (summary["pairs"], summary["points"], summary["failures"], summary["seconds"]) == (4, 12, 4, 8)
        assert summary["pck@0.05/per_point"] == pytest.approx(4 / 12)
        assert summary["pck@0.10/per_point"] == pytest.approx(7 / 12)
        assert summary["pck@0.10/per_point/category/cat"] == pytest.approx(5 / 6)
        assert summary["baseline/same_pixel/pck@0.10/per_point"] == pytest.approx(4 / 12)
        assert summary["baseline/same_pixel/seconds"] == 1
        assert summary["difference/same_pixel/pck@0.10/per_point"] == pytest.approx(3 / 12)
        low, high = (summary[f"difference/same_pixel/pck@0.10/per_point/{end}"] for end in ("low", "high"))
        assert low < 3 / 12 < high

    def test_protocols_differ_on_the_same_records(self, store):
        standard, hedlin = (score(store, "prompt", PROTOCOLS[name], ALPHAS) for name in ("standard", "hedlin"))
        assert hedlin["protocol"] == "hedlin"
        assert standard["pck@0.10/per_point"] > hedlin["pck@0.10/per_point"]

    def test_written_and_read_again(self, store):
        summary = score(store, "prompt", STANDARD, ALPHAS)
        path = write_summary(store.run_dir, summary)
        assert path == store.run_dir / "summary.json"
        assert json.loads(path.read_text()) == summary

    def test_a_method_without_records(self, store):
        with pytest.raises(UserError, match="no predictions of oracle .*only prompt, same_pixel"):
            score(store, "oracle", STANDARD)
