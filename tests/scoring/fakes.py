"""Counts, records and runs whose scores are known, for the tests of the scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sdcorr.datasets import Match, Pair
from sdcorr.methods.base import Claim
from sdcorr.run.records import Failure, UnitRecord
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.bootstrap import Bootstrap, Estimate
from sdcorr.scoring.counts import Counts
from sdcorr.scoring.metrics import Measure
from sdcorr.scoring.metrics.pck import METRIC as PCK
from sdcorr.scoring.parts import ALL, Part
from sdcorr.scoring.score import score_counts
from sdcorr.scoring.scores import Measured, Scores
from tests.run.fakes import CLAIM, CONFIG, Pictureless, claimed, make_pair

ALPHAS = (0.05, 0.1)

# make_pair: the target's box is 40 x 100 pixels, so the standard thresholds are 5 and 10 pixels


def missed(pair: Pair, errors: Sequence[float]) -> tuple[Pair, Match]:
    """A match that misses each visible point by so many pixels, along x."""
    return pair, Match(pair.true_points + np.stack([errors, np.zeros(len(errors))], axis=1), np.ones(len(errors)))


def record(
    predictions: Sequence[tuple[Pair, Match]],
    method: str = "prompt",
    failures: Sequence[Failure] = (),
    seconds: float = 2.0,
    dataset: str = "spair",
    split: str = "test",
) -> UnitRecord:
    """A record of the first pair's source."""
    source = predictions[0][0].source
    return UnitRecord(dataset, split, method, source, seconds, tuple(predictions), tuple(failures))


def random_counts(
    pairs: int = 50, seed: int = 0, chance: float = 0.5, ambiguous: bool = True, alphas: Sequence[float] = ALPHAS
) -> Counts:
    """Points of two kinds in two categories, correct with `chance` at the last threshold, half of it at the others."""
    draws = np.random.default_rng(seed)
    kinds = draws.integers(0, 6, (pairs, 2)) + [[1, 0]]
    points = np.stack([kinds.sum(1), kinds[:, 0], kinds[:, 1]], axis=1) * [1, ambiguous, ambiguous]
    correct = draws.binomial(kinds[..., None], [*[chance / 2] * (len(alphas) - 1), chance])  # (n, 2, A)
    correct = np.stack([correct.sum(1), correct[:, 0], correct[:, 1]], axis=1)
    ids = np.array([f"{index:05d}" for index in range(pairs)])
    return Counts(PCK.measures(alphas), ids, np.where(np.arange(pairs) % 3, "cat", "bus"), points, correct)


def scored(counts: Mapping[str, Counts], samples: int = 1000, **about: str) -> Scores:
    """The scores of counts by the method's name, the subject's first."""
    methods, differences = score_counts(counts, Bootstrap(samples))
    plain = {"protocol": "standard", "headline": "per_point", "dataset": "toybox", "split": "test"} | about
    seconds = dict.fromkeys(counts, 0.0)
    return Scores(
        **plain, subject=next(iter(counts)), methods=methods, differences=differences, seconds=seconds, failures=0
    )


def pck(measured: Measured, average: str = "per_point", part: Part = ALL, alpha: float = 0.1) -> Estimate:
    """One of the scores, which must be there."""
    found = measured.find(Measure(PCK, alpha), average, part)
    assert found is not None, (average, part, alpha)
    return found.estimate


def write_run(folder: Path, errors: Mapping[str, Sequence[float]], method: str = "prompt", **about: str) -> Path:
    """A run folder in which a method missed the points of each pair, by its id, by so many pixels."""
    predictions = []
    for id, by in errors.items():
        category = "cat" if id < "c" else "bus"
        predictions.append(missed(make_pair(id, points=len(by), category=category), by))
    write_records(folder, [record([each], method, **about) for each in predictions])
    return folder


def write_records(
    folder: Path, records: Sequence[UnitRecord], claim: Claim = CLAIM, config: Mapping[str, Any] = CONFIG
) -> PredictionStore:
    """A run folder with these records; those of all methods together say which pairs it is of."""
    pairs = {pair.id: pair for each in records for pair, _ in each.predictions}
    failed = {failure.pair: make_pair(failure.pair) for each in records for failure in each.failures}
    about = {"name": records[0].dataset, "split": records[0].split} if records else {}
    benchmark = Pictureless([*(failed | pairs).values()], **about)
    store = claimed(folder, benchmark, *{each.method for each in records}, claim=claim, config=config)
    for each in records:
        store.save(each)
    return store
