import time
from dataclasses import replace

import numpy as np
import pytest

from sdcorr.scoring.averages import AVERAGES
from sdcorr.scoring.bootstrap import RESAMPLES_AT_ONCE, Bootstrap, draws, estimate, interval
from sdcorr.scoring.counts import Counts
from sdcorr.scoring.metrics.pck import METRIC as PCK
from tests.scoring.fakes import random_counts


def by_definition(counts, drawn, group, alpha):
    """Every average, from the counts of the pairs that were drawn, one pair and one category at a time."""
    pairs = [
        (counts.categories[row], counts.points[row, group], counts.sums[row, group, alpha])
        for row in drawn
        if counts.points[row, group]
    ]
    by_category = {}
    for category, points, correct in pairs:
        by_category.setdefault(category, []).append((points, correct))
    pooled = {name: sum(c for _, c in each) / sum(p for p, _ in each) for name, each in by_category.items()}
    of_images = {name: np.mean([c / p for p, c in each]) for name, each in by_category.items()}
    return {
        "per_point": sum(c for _, _, c in pairs) / sum(p for _, p, _ in pairs),
        "per_image": np.mean([c / p for _, p, c in pairs]),
        "hybrid": sum(pooled[name] * len(each) for name, each in by_category.items()) / len(pairs),
        "category_per_point": np.mean(list(pooled.values())),
        "category_per_image": np.mean(list(of_images.values())),
    }


class TestEstimate:
    @pytest.mark.parametrize("group", range(3))  # those of random_counts
    def test_every_average_by_its_definition(self, group):
        counts = random_counts(40)
        expected = by_definition(counts, range(40), group, alpha=1)
        assert len(set(np.round(list(expected.values()), 6))) == len(AVERAGES)  # they do differ
        assert estimate(counts)[:, group, 1] == pytest.approx([expected[name] for name in AVERAGES])

    def test_hand_computed(self):
        """Cats 9 of 10 and 0 of 2 points, a bus 1 of 1: papers could print any of five numbers."""
        counts = Counts(
            PCK.measures([0.1]),
            np.array(["a", "b", "c"]),
            np.array(["cat", "cat", "bus"]),
            np.array([[10, 0, 0], [2, 0, 0], [1, 0, 0]]),
            np.array([[[9], [0], [0]], [[0], [0], [0]], [[1], [0], [0]]]),
        )
        expected = [10 / 13, (0.9 + 0 + 1) / 3, (2 * 9 / 12 + 1) / 3, (9 / 12 + 1) / 2, (0.45 + 1) / 2]
        assert estimate(counts)[:, 0, 0] == pytest.approx(expected)
        assert np.isnan(estimate(counts)[:, 1:]).all()


def resampled(counts, samples, seed):
    return Bootstrap(samples, seed).means(counts).resamples


class TestResampled:
    def test_against_a_loop(self):
        """Each resample draws whole pairs; every average is that of the pairs drawn."""
        counts, samples = random_counts(20), 2 * RESAMPLES_AT_ONCE + 50
        values = resampled(counts, samples, seed=3)
        generator = np.random.default_rng(3)
        for sample in range(samples):
            drawn = generator.integers(20, size=20)
            expected = by_definition(counts, drawn, 0, alpha=1)
            assert values[sample, :, 0, 1] == pytest.approx([expected[name] for name in AVERAGES])

    def test_a_category_that_no_resample_drew_counts_for_nothing(self):
        counts = random_counts(12)
        counts = replace(counts, categories=np.array(["bus"] + ["cat"] * 11))
        values, weights = resampled(counts, 100, 0), draws(12, 100, 0)
        without = np.flatnonzero(weights[0] == 0)
        assert len(without) > 10
        cats_only = values[without][:, :, 0]
        assert np.allclose(cats_only[:, 2], cats_only[:, 0]) and np.allclose(cats_only[:, 4], cats_only[:, 1])

    def test_the_seed_decides(self):
        counts = random_counts()
        assert np.array_equal(resampled(counts, 20, 0), resampled(counts, 20, 0))
        assert not np.array_equal(resampled(counts, 20, 0), resampled(counts, 20, 1))

    def test_a_large_benchmark_takes_seconds(self):
        counts = random_counts(12_000)
        start = time.process_time()
        resampled(counts, 1000, 0)
        assert time.process_time() - start < 10


class TestInterval:
    def test_the_middle_95_percent_of_what_had_points(self):
        assert interval(np.array([*range(201), np.nan, np.nan])) == pytest.approx((5, 195))

    def test_none_without_points(self):
        assert interval(np.array([np.nan])) is None
        assert interval(np.array([])) is None
