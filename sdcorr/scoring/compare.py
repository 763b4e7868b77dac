"""Is one run better than another, on the pairs that both have?

A resample of the bootstrap draws the same pairs for both, so what makes a pair hard for both cancels, and the interval
of the difference is sharper than those of the runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sdcorr.datasets import Pair
from sdcorr.errors import UserError
from sdcorr.scoring.arrays import Arrays
from sdcorr.scoring.bootstrap import Bootstrap
from sdcorr.scoring.counts import count
from sdcorr.scoring.metrics import METRICS, Metric
from sdcorr.scoring.pck import ALPHAS
from sdcorr.scoring.protocols import Protocol
from sdcorr.scoring.ranks import Ranks
from sdcorr.scoring.ranks import shared as shared_ranks
from sdcorr.scoring.score import scores_of, shared, with_ranks
from sdcorr.scoring.scores import Comparison, Measured


def compare(
    first: Arrays,
    second: Arrays,
    protocol: Protocol,
    alphas: Sequence[float] = ALPHAS,
    *,
    metrics: Sequence[Metric] = METRICS,
    samples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compares the predictions of two methods, or of two runs of one.

    Args:
        first: what the one predicted.
        second: what the other predicted.
        protocol: what correct means.
        alphas: thresholds, fractions of the protocol's length.
        metrics: what is scored.
        samples: bootstrap resamples; 0 for no intervals.
        seed: of the bootstrap.

    Raises:
        UserError: if they are predictions on different data sets or annotations, or share no pair.
    """
    _check(first, second)
    a, b = shared(*(count(each, protocol, alphas, metrics) for each in (first, second)))
    bootstrap, size = Bootstrap(samples, seed), a.size
    measured = [
        Measured(*size, scores_of(a, bootstrap)),
        Measured(*size, scores_of(b, bootstrap)),
        Measured(*size, scores_of(a, bootstrap, less=b, parts=True)),
    ]
    ranks = [Ranks.of(each, protocol, alphas) for each in (first, second)]
    if ranks[0] and ranks[1]:
        mine, theirs = shared_ranks(ranks[0], ranks[1])
        of_each = ((mine, None), (theirs, None), (mine, theirs))
        measured = [
            with_ranks(each, of, samples, seed, less=less) for each, (of, less) in zip(measured, of_each, strict=True)
        ]
    return Comparison(
        protocol.name,
        protocol.on(first.dataset).headline,
        first.dataset,
        first.split,
        *measured,
        only_first=len(first.pairs) - size[0],
        only_second=len(second.pairs) - size[0],
    )


def _check(first: Arrays, second: Arrays) -> None:
    """Raises UserError unless both are predictions for the same points."""
    if (first.dataset, first.split) != (second.dataset, second.split):
        raise UserError(
            f"The first run is on {first.dataset} {first.split} and the second on {second.dataset} {second.split}: "
            "only runs on the same split of the same data set can be compared."
        )
    known = {pair.id: pair for pair in second.pairs}
    both = [(pair, known[pair.id]) for pair in first.pairs if pair.id in known]
    if not both:
        raise UserError("The two runs have no pair in common: wait until both have predicted more.")
    if changed := next((pair.id for pair, other in both if not _same(pair, other)), None):
        raise UserError(
            f"The annotations of pair {changed} differ between the two runs: they were made with different copies of "
            f"{first.dataset}, so predict one of them again."
        )


def _same(pair: Pair, other: Pair) -> bool:
    """Whether two pairs of one id ask for and score the same."""
    plain = ("source_size", "target_size", "source_box", "target_box")
    return all(getattr(pair, name) == getattr(other, name) for name in plain) and all(
        np.array_equal(getattr(pair, name), getattr(other, name)) for name in ("query_points", "true_points")
    )
