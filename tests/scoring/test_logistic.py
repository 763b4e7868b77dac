"""The regression on numbers whose answer is known."""

import numpy as np
import pytest

from sdcorr.scoring.logistic import fit, held_out


def drawn(points: int, weight: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(m, 2) numbers, of which the second says nothing, and an outcome with log odds weight * first + 0.5."""
    draws = np.random.default_rng(seed)
    evidence = draws.normal(size=(points, 2)) * [1, 40]
    return evidence, draws.random(points) < 1 / (1 + np.exp(-(weight * evidence[:, 0] + 0.5)))


def test_finds_the_weights_that_made_the_outcome() -> None:
    evidence, label = drawn(20_000, 1.5)
    found = fit(["says", "idle"], evidence, label)
    assert found.names == ("says", "idle")
    assert found.weights[0] / found.scale[0] == pytest.approx(1.5, abs=0.06)
    assert abs(found.weights[1]) < 0.06 and found.intercept == pytest.approx(0.5, abs=0.06)


def test_without_a_penalty_the_mean_probability_is_the_share() -> None:
    evidence, label = drawn(400, 1.0)
    said = fit(["a", "b"], evidence, label, penalty=0).probability(evidence)
    yes, no = label.sum(), (~label).sum()
    platt = (yes * (yes + 1) / (yes + 2) + no / (no + 2)) / 400  # the mean of Platt's targets
    assert said.mean() == pytest.approx(platt, abs=1e-9)


@pytest.mark.parametrize("label", [np.ones(20, bool), np.zeros(20, bool), np.arange(20) > 9])
def test_stays_finite_where_nothing_is_left_open(label: np.ndarray) -> None:
    evidence = np.column_stack([np.arange(20.0), np.ones(20)])  # tells all, and says nothing
    found = fit(["place", "always"], evidence, label)
    said = found.probability(evidence)
    assert np.isfinite(said).all() and (np.round(said) == label).all() and abs(found.weights[1]) < 1e-9


def test_a_group_is_told_by_the_others_alone() -> None:
    evidence, label = drawn(60, 1.0)
    groups = np.repeat(np.arange(3), 20)
    said = held_out(evidence, label, groups)
    for group in range(3):
        alone = fit(["", ""], evidence[groups != group], label[groups != group]).probability(evidence[groups == group])
        np.testing.assert_allclose(said[groups == group], alone)
