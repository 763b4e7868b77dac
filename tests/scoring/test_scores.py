from dataclasses import replace

import numpy as np
import pytest

from sdcorr.scoring.averages import AVERAGES, USUAL
from sdcorr.scoring.bootstrap import Estimate
from sdcorr.scoring.metrics import Measure
from sdcorr.scoring.metrics.pck import METRIC as PCK
from sdcorr.scoring.parts import ALL, AMBIGUOUS, DISTINCT, Part
from tests.scoring.fakes import ALPHAS, pck, random_counts, scored


class TestIntervals:
    def test_they_cover_the_truth(self):
        """Of 100 samples of 60 pairs each, about 95 % of the intervals hold the true chance of 0.4."""
        covered = 0
        for seed in range(100):
            _, low, high = pck(scored({"m": random_counts(60, seed, chance=0.4)}, 200).ours)
            covered += low <= 0.4 <= high
        assert 88 <= covered <= 99

    def test_points_of_a_pair_stand_together(self):
        """Ten points that are all correct or all wrong tell no more than one: the interval must not shrink."""
        one = random_counts(80, ambiguous=False, alphas=[0.1])
        hits = np.arange(80) % 2
        single = replace(one, points=np.array([[1, 0, 0]] * 80), sums=hits[:, None, None] * np.array([[1], [0], [0]]))
        tenfold = replace(single, points=single.points * 10, sums=single.sums * 10)
        (_, low, high), same = (pck(scored({"m": counts}).ours) for counts in (single, tenfold))
        assert same[1:] == (low, high) and 0.3 < low < 0.5 < high < 0.7

    def test_none_without_resamples(self):
        scores = scored({"m": random_counts(), "other": random_counts(seed=1)}, samples=0)
        for measured in (scores.ours, scores.differences["other"]):
            assert {each.estimate[1:] for each in measured.scores} == {(None, None)}


class TestDifferences:
    def test_a_paired_difference_is_sharper_than_two_intervals(self):
        ours = random_counts(200)
        worse = ours.sums.copy()
        worse[::10] = 0
        scores = scored({"ours": ours, "theirs": replace(ours, sums=worse)})
        theirs, difference = scores.methods["theirs"], scores.differences["theirs"]
        for average in AVERAGES:
            assert pck(difference, average).value == pytest.approx(
                pck(scores.ours, average).value - pck(theirs, average).value
            )
            assert pck(difference, average).low > 0
            assert pck(theirs, average).high > pck(scores.ours, average).low  # the intervals overlap

    def test_a_method_against_itself_differs_by_nothing(self):
        difference = scored({"m": random_counts(), "same": random_counts()}).differences["same"]
        assert {each.estimate for each in difference.scores} == {Estimate(0, 0, 0)}

    def test_they_are_taken_on_the_pairs_that_both_have(self):
        ours = random_counts(50)
        theirs = ours.rows(np.arange(10, 50))
        scores = scored({"ours": ours, "theirs": theirs})
        assert (scores.ours.pairs, scores.methods["theirs"].pairs, scores.differences["theirs"].pairs) == (50, 40, 40)
        assert scores.differences["theirs"].points == theirs.points[:, 0].sum()
        assert pck(scores.differences["theirs"], "per_image").value == 0

    def test_no_common_pairs_no_difference(self):
        ours = random_counts(20)
        scores = scored({"a": ours.rows(np.arange(10)), "b": ours.rows(np.arange(10, 20))})
        assert scores.others == ("b",) and not scores.differences


class TestParts:
    def test_categories_and_kinds_of_points(self):
        counts = random_counts(60)
        ours = scored({"m": counts}).ours
        assert (ours.pairs, ours.points) == (60, counts.points[:, 0].sum())
        for category in ("cat", "bus"):
            rows, part = counts.categories == category, Part("category", category)
            found = ours.find(Measure(PCK, 0.1), "per_point", part)
            assert found.estimate.value == pytest.approx(counts.sums[rows, 0, 1].sum() / counts.points[rows, 0].sum())
            assert found.estimate.low < found.estimate.value < found.estimate.high
            assert (found.pairs, found.points) == (rows.sum(), counts.points[rows, 0].sum())
        for group, part in ((1, AMBIGUOUS), (2, DISTINCT)):
            found, points = ours.find(Measure(PCK, 0.05), "per_point", part), counts.points[:, group]
            assert found.estimate.value == pytest.approx(counts.sums[:, group, 0].sum() / points.sum())
            assert found.estimate.low < found.estimate.value < found.estimate.high
            assert (found.pairs, found.points) == ((points > 0).sum(), points.sum())

    def test_difficulties(self):
        counts = random_counts(60)
        hard = np.arange(60) % 2 == 0
        ours = scored({"m": replace(counts, flags={"scale": np.where(hard, "hard", "easy")})}).ours
        per_image = (counts.sums[hard, 0, 1] / counts.points[hard, 0]).mean()
        assert pck(ours, "per_image", Part("difficulty", "hard", "scale")).value == pytest.approx(per_image)
        assert pck(ours, "per_point", Part("difficulty", "easy", "scale"), 0.05).high is not None

    def test_they_are_of_the_subject_only(self):
        scores = scored({"m": random_counts(), "other": random_counts(seed=1)}, samples=0)
        assert [part.name for part in scores.ours.parts] == ["ambiguous", "distinct", "bus", "cat"]
        assert set(scores.methods["other"].parts) == set(scores.differences["other"].parts) == {AMBIGUOUS, DISTINCT}

    def test_category_averages_are_the_means_of_the_categories(self):
        ours = scored({"m": random_counts(60)}).ours
        for average in USUAL:
            categories = [pck(ours, average, Part("category", name)).value for name in ("cat", "bus")]
            assert pck(ours, f"category_{average}").value == pytest.approx(np.mean(categories))

    def test_of_one_category_there_is_nothing_to_average_over(self):
        counts = random_counts(60)
        ours = scored({"m": counts.rows(counts.categories == "cat")}).ours
        assert {each.average for each in ours.scores} == set(USUAL)

    def test_no_score_where_there_is_nothing_to_score(self):
        ours = scored({"m": random_counts(ambiguous=False)}).ours
        assert {part.by for part in ours.parts} == {"category"}
        assert all(np.isfinite(each.estimate).all() for each in ours.scores)

    def test_one_pair(self):
        value, low, high = pck(scored({"m": random_counts(1)}).ours)
        assert value == 1 / 3 and low is None and high is None  # how sure it is nobody can tell from one


class TestWhatIsSpokenOf:
    @pytest.mark.parametrize(
        ("alphas", "main"), [(ALPHAS, 0.1), ((0.01, 0.05), 0.05), ((0.05, 0.15, 0.2), 0.15), ((0.1, 0.2, 0.3), 0.1)]
    )
    def test_a_tenth_or_the_threshold_in_the_middle(self, alphas, main):
        ours = scored({"m": random_counts(alphas=alphas)}, samples=0).ours
        assert ours.main == Measure(PCK, main) and ours.measures == PCK.measures(alphas)

    @pytest.mark.parametrize(
        ("headline", "shown", "of_parts"),
        [
            ("per_point", ("per_point", "per_image"), "per_point"),
            ("per_image", ("per_image", "per_point"), "per_image"),
            ("hybrid", ("hybrid", "per_point", "per_image"), "per_point"),
        ],
    )
    def test_the_protocol_s_own_average_comes_first(self, headline, shown, of_parts):
        scores = scored({"m": random_counts()}, samples=0, headline=headline)
        assert (scores.averages, scores.usual_headline) == (shown, of_parts)

    def test_of_one_category_there_is_no_headline_over_categories(self):
        counts = random_counts()
        one = scored({"m": counts.rows(counts.categories == "cat")}, samples=0, headline="hybrid")
        assert one.averages == USUAL

    def test_shown_in_percent(self):
        score = scored({"m": random_counts()}, samples=20).ours.scores[0]
        assert score.part == ALL and score.shown == pytest.approx([100 * end for end in score.estimate])
