"""Hidden points beside visible ones, by hand: make_pair's target box is 40 x 100, so 0.1 is 10 pixels."""

import numpy as np
import pytest

from sdcorr.datasets import Match
from sdcorr.scoring.arrays import collect
from sdcorr.scoring.compare import compare
from sdcorr.scoring.metrics import Measure
from sdcorr.scoring.protocols import PROTOCOLS
from sdcorr.scoring.ranks import RANK_METRICS
from sdcorr.scoring.score import score
from sdcorr.scoring.summary import flatten
from tests.run.fakes import make_pair
from tests.scoring.fakes import ALPHAS, record

STANDARD = PROTOCOLS["standard"]
KAP, THERE = RANK_METRICS


def prediction(id, errors, hidden, confidence):
    """A match that misses each visible point by so many pixels, and answers something for each hidden one."""
    count = len(errors) + hidden
    pair = make_pair(id, points=count, visible=np.arange(count) < len(errors), hidden=np.arange(count) >= len(errors))
    places = np.nan_to_num(pair.true_points) + np.stack([[*errors, *[0] * hidden], np.zeros(count)], axis=1)
    return pair, Match(places, confidence)


# from the surest: right, hidden, right, wrong, hidden; then, in a pair of its own, hidden
FOUND = [prediction("a-b", [0, 2, 20], 2, [0.9, 0.6, 0.5, 0.7, 0.4]), prediction("a-c", [], 1, [0.3])]


def arrays_of(found=FOUND, **about):
    return collect([record(found, **about)])


def scores_of(found=FOUND, samples=0):
    return score({"prompt": arrays_of(found)}, "prompt", STANDARD, ALPHAS, samples=samples)


def of(measured, metric, alpha=None):
    return measured.find(Measure(metric, alpha), "per_point")


def test_kap_by_hand():
    kap = of(scores_of().ours, KAP, 0.1)
    assert kap.estimate.value == pytest.approx((1 / 1 + 2 / 3) / 3)  # precision where each of 3 shown points is found
    assert (kap.pairs, kap.points) == (2, 6)


def test_there_or_not_by_hand():
    there = of(scores_of().ours, THERE)
    assert there.estimate.value == pytest.approx((3 + 2 + 2) / 9)  # of 3 x 3, the shown one is the surer


def test_the_counts_are_of_each_kind():
    scores = scores_of()
    assert (scores.ours.pairs, scores.ours.points, scores.ours.hidden) == (1, 3, 3)
    assert scores.ours.in_words == "1 pairs, 3 points, and 3 hidden ones asked"
    summary = flatten(scores)
    assert (summary["points"], summary["hidden"]) == (3, 3)
    assert summary["kap@0.10/per_point"] == pytest.approx(5 / 9)
    assert summary["there_auroc/per_point"] == pytest.approx(7 / 9)


def test_visible_points_are_scored_as_if_nothing_else_was_asked():
    """To the last digit: with the same points alone."""
    pair, match = FOUND[0]
    lone = make_pair("a-b", points=3, source_points=pair.source_points[:3], target_points=pair.target_points[:3])
    before = flatten(scores_of([(lone, Match(match.points[:3], match.confidence[:3]))], samples=100))
    after = flatten(scores_of(samples=100))
    assert {key: after[key] for key in before} == before
    assert {key.partition("/")[0] for key in after.keys() - before.keys()} == {
        *("hidden", "kap@0.05", "kap@0.10", "there_auroc")
    }


def test_intervals_draw_whole_pairs():
    found = [prediction(f"a-{letter}", [0, 20], 1, [0.9, 0.2, 0.5]) for letter in "bcdefg"]
    value, low, high = of(scores_of(found, samples=200).ours, KAP, 0.1).estimate
    assert value == low == high == pytest.approx(1 / 2)  # all pairs are alike, so every resample is
    mixed = [*found[:3], *(prediction(f"a-{letter}", [0, 20], 1, [0.4, 0.2, 0.5]) for letter in "hij")]
    value, low, high = of(scores_of(mixed, samples=200).ours, THERE).estimate
    assert value == pytest.approx(1 / 4) and low < value < high


def test_methods_are_compared_on_the_pairs_that_both_have():
    better = prediction("a-b", [0, 2, 20], 2, [0.9, 0.8, 0.5, 0.4, 0.3])
    arrays = {"prompt": arrays_of([better]), "same_pixel": arrays_of(method="same_pixel")}
    scores = score(arrays, "prompt", STANDARD, ALPHAS, samples=0)
    assert of(scores.methods["same_pixel"], THERE).estimate.value == pytest.approx(7 / 9)
    assert of(scores.differences["same_pixel"], THERE).estimate.value == pytest.approx(6 / 6 - 4 / 6)
    found = compare(arrays["prompt"], arrays["same_pixel"], STANDARD, ALPHAS, samples=0)
    assert of(found.difference, THERE).estimate.value == pytest.approx(1 / 3)


def test_a_point_whose_place_nobody_knows_is_no_hidden_one():
    pair = make_pair("a-b", points=2, target_points=[[1, 2], [np.nan, np.nan]])
    scores = scores_of([(pair, Match([[1, 2], [3, 4]], [0.5, 0.6]))])
    assert scores.ours.hidden == 0 and of(scores.ours, THERE) is None and "hidden" not in flatten(scores)
