import numpy as np
import pytest

from sdcorr.scoring.confidence import (
    SHARES,
    auroc,
    average_precision,
    brier_score,
    calibration_error,
    deciles,
    reliability,
    score_probability,
    share_kept,
    tenths,
)

ONES = np.ones((1, 4))


def test_bins_are_as_full_as_may_be_and_never_part_the_same() -> None:
    assert np.bincount(deciles(np.linspace(0, 1, 100))).tolist() == [10] * 10
    assert set(deciles(np.full(30, 0.4)).tolist()) == {0}
    tied = deciles(np.r_[np.zeros(95), np.linspace(0.5, 1, 5)])
    assert tied[:95].tolist() == [0] * 95 and len(set(tied.tolist())) == 2


def test_the_area_is_the_chance_to_tell_a_right_one_from_a_wrong_one() -> None:
    confidence = np.array([0.1, 0.2, 0.3, 0.4])
    assert auroc(confidence, np.array([False, False, True, True]), ONES) == 1
    assert auroc(confidence, np.array([True, True, False, False]), ONES) == 0
    assert auroc(confidence, np.array([False, True, False, True]), ONES) == pytest.approx(3 / 4)
    assert auroc(np.full(4, 0.5), np.array([False, True, False, True]), ONES) == 0.5
    draws = np.random.default_rng(0)  # against the definition, with weights
    confidence, right, weights = draws.integers(0, 9, 40) / 9, draws.random(40) < 0.6, draws.integers(0, 3, (1, 40))
    good, bad = (np.repeat(confidence[of], weights[0, of]) for of in (right, ~right))
    chances = (good[:, None] > bad).mean() + (good[:, None] == bad).mean() / 2
    assert auroc(confidence, right, weights.astype(float))[0] == pytest.approx(chances)


def test_average_precision_by_hand() -> None:
    confidence, right = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    assert average_precision(confidence, right, ONES)[0] == pytest.approx((1 + 2 / 3) / 4)
    assert average_precision(confidence, ~right, ONES)[0] == pytest.approx((1 / 2 + 2 / 4) / 4)
    assert average_precision(confidence, np.array([True, True, False, False]), ONES)[0] == 1 / 2  # the PCK
    assert average_precision(np.full(4, 0.3), right, ONES)[0] == 1 / 4  # its square
    hidden = np.array([False, True, False, False])  # three are shown: found first and, behind the hidden one, third
    assert average_precision(confidence, right, ONES, hidden)[0] == pytest.approx((1 + 2 / 3) / 3)
    weights = np.array([[0.0, 1, 2, 1], [0, 0, 0, 0]])  # the first point out, the third twice
    assert average_precision(confidence, right, weights)[0] == pytest.approx((2 * 2 / 3) / 4)
    assert np.isnan(average_precision(confidence, right, weights)[1])


def test_what_is_kept_is_the_surest() -> None:
    confidence, right = np.array([0.9, 0.1, 0.8, 0.2]), np.array([True, False, False, True])
    kept = share_kept(confidence, right, ONES, (0.25, 0.5, 0.75, 1.0))
    np.testing.assert_allclose(kept, [[1, 1 / 2, 2 / 3, 1 / 2]])
    without_wrong = np.array([[1.0, 0, 0, 1]])
    np.testing.assert_allclose(share_kept(confidence, right, without_wrong, (0.5, 1.0)), [[1, 1]])


@pytest.mark.parametrize("right", [True, False])
def test_if_all_are_right_or_all_wrong_there_is_nothing_to_tell_apart(right: bool) -> None:
    found = reliability(np.linspace(0, 1, 20), np.full(20, right), np.repeat(np.arange(5), 4), samples=20)
    assert found.auroc is None
    assert {each.right for each in found.bins} == {(float(right),) * 3} and found.kept[0] == (float(right),) * 3


def test_one_confidence_for_all_is_a_guess() -> None:
    right = np.array([True, True, True, False])
    found = reliability(np.full(4, 0.3), right, np.arange(4), samples=20)
    assert found.auroc[0] == 0.5 and [each.points for each in found.bins] == [4]
    assert [kept[0] for kept in found.kept] == pytest.approx([0.75] * len(SHARES))


def test_intervals_are_of_whole_pairs() -> None:
    """Fifty times the same point in each of 4 pairs is known no better than one."""
    confidence, right = np.array([0.9, 0.7, 0.4, 0.2]), np.array([True, False, True, False])
    once = reliability(confidence, right, np.arange(4), samples=200)
    often = reliability(*(np.repeat(each, 50) for each in (confidence, right, np.arange(4))), samples=200)
    assert often.precision == pytest.approx(once.precision)
    assert often.auroc == once.auroc and often.auroc[1] < often.auroc[0] < often.auroc[2]
    assert [each.right for each in often.bins] == [each.right for each in once.bins]
    assert reliability(confidence, right, np.arange(4), samples=0).auroc == (once.auroc[0], None, None)


def test_the_calibration_error_by_hand() -> None:
    probability = np.array([0.05, 0.05, 0.72, 0.78, 0.75, 1.0])
    right = np.array([False, True, True, True, False, True])
    ones = np.ones((1, 6))
    # three tenths: 0.05 said of 1/2 right, 0.75 said of 2/3 right, 1 said of 1 right
    assert calibration_error(probability, right, ones)[0] == pytest.approx((2 * 0.45 + 3 * (0.75 - 2 / 3) + 0) / 6)
    weights = np.array([[0.0, 2, 0, 0, 0, 1], [0, 0, 1, 1, 0, 0]])
    found = calibration_error(probability, right, weights)
    assert found == pytest.approx([(2 * 0.95 + 0) / 3, 0.25])
    assert tenths(probability).tolist() == [0, 0, 1, 1, 1, 2]


def test_the_brier_score_by_hand() -> None:
    probability, right = np.array([0.5, 0.9, 0.2]), np.array([True, True, False])
    weights = np.array([[1.0, 1, 1], [0, 1, 2]])
    expected = [(0.25 + 0.01 + 0.04) / 3, (0.01 + 2 * 0.04) / 3]
    assert brier_score(probability, right, weights) == pytest.approx(expected)


def test_a_probability_is_judged_by_whole_pairs() -> None:
    probability, right = np.array([0.9, 0.6, 0.4, 0.2]), np.array([True, False, True, False])
    once = score_probability(probability, right, np.arange(4), samples=100)
    often = score_probability(*(np.repeat(each, 50) for each in (probability, right, np.arange(4))), samples=100)
    assert often.error == pytest.approx(once.error) and often.brier == pytest.approx(once.brier)
    assert once.error.value == pytest.approx((0.1 + 0.6 + 0.6 + 0.2) / 4) and once.without == 0.25
    assert score_probability(probability, right, np.arange(4), samples=0).error[1:] == (None, None)


def test_no_point_is_no_question() -> None:
    with pytest.raises(ValueError, match="no point"):
        reliability(np.empty(0), np.empty(0, bool), np.empty(0, int))
