"""From numbers to a probability: a logistic regression, whatever the numbers and the outcome mean.

It is small (one weight a number), held back by a penalty on standardized weights, and fitted to Platt's targets, so
that it stays finite where the outcome is the same for all (Platt 1999, "Probabilistic Outputs for Support Vector
Machines").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PENALTY = 10.0  # half of it times the squared standardized weights joins the loss; chosen on the toybox's val split
FOLDS = 10
ITERATIONS = 50  # of Newton's method, which needs about six


@dataclass(frozen=True)
class Logistic:
    """A probability from K numbers by name."""

    names: tuple[str, ...]
    mean: tuple[float, ...]  # of each number where it was fitted
    scale: tuple[float, ...]  # standard deviation
    weights: tuple[float, ...]  # of the standardized numbers
    intercept: float

    def probability(self, evidence: np.ndarray) -> np.ndarray:
        """Probabilities in (0, 1), (m,), from (m, K) numbers in the order of `names`."""
        standard = (evidence - np.array(self.mean)) / np.array(self.scale)
        return _sigmoid(standard @ np.array(self.weights) + self.intercept)


def fit(names: Sequence[str], evidence: np.ndarray, label: np.ndarray, penalty: float = PENALTY) -> Logistic:
    """The penalized logistic regression of an outcome on some numbers, by Newton's method.

    Args:
        names: K, of the numbers.
        evidence: (m, K).
        label: (m,) bool, what came out.
        penalty: on the squares of the standardized weights.
    """
    mean, scale = evidence.mean(0), evidence.std(0)
    scale = np.where(scale > 0, scale, 1.0)  # what is always the same gets no weight
    columns = np.column_stack([np.ones(len(label)), (evidence - mean) / scale])  # (m, 1 + K)
    yes, no = label.sum(), (~label).sum()
    wanted = np.where(label, (yes + 1) / (yes + 2), 1 / (no + 2))
    held = np.diag([0.0] + [penalty] * len(names))
    found = np.zeros(1 + len(names))
    for _ in range(ITERATIONS):
        said = _sigmoid(columns @ found)
        slope = columns.T @ (said - wanted) + held @ found
        step = np.linalg.solve(columns.T @ (columns * (said * (1 - said))[:, None]) + held, slope)
        found = found - step
        if np.abs(step).max() < 1e-9:
            break
    return Logistic(
        tuple(names), tuple(mean.tolist()), tuple(scale.tolist()), tuple(found[1:].tolist()), float(found[0])
    )


def held_out(evidence: np.ndarray, label: np.ndarray, groups: np.ndarray, penalty: float = PENALTY) -> np.ndarray:
    """What each point is told by a regression that has seen nothing of its group, (m,).

    Args:
        evidence: (m, K).
        label: (m,) bool.
        groups: (m,), what stands or falls together; two groups or more.
        penalty: as of `fit`.
    """
    kinds, found = np.unique(groups), np.empty(len(label))
    names = [""] * evidence.shape[1]
    for number in range(min(FOLDS, len(kinds))):
        out = np.isin(groups, kinds[number::FOLDS])
        found[out] = fit(names, evidence[~out], label[~out], penalty).probability(evidence[out])
    return found


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(values, -500, 500)))
