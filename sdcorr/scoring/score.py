"""Arrays to scores: means with intervals, of all points and of parts of the data, and differences between methods.

Two methods are compared on the pairs that both have, with the same draws, so what makes a pair hard for both cancels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from sdcorr.scoring.arrays import Arrays
from sdcorr.scoring.averages import AVERAGES, USUAL
from sdcorr.scoring.bootstrap import Bootstrap, Means
from sdcorr.scoring.counts import Counts, count
from sdcorr.scoring.metrics import METRICS, Metric
from sdcorr.scoring.parts import GROUPS, Part
from sdcorr.scoring.pck import ALPHAS
from sdcorr.scoring.protocols import PROTOCOLS, Protocol, protocol_named
from sdcorr.scoring.ranks import Ranks, rank_scores
from sdcorr.scoring.ranks import shared as shared_ranks
from sdcorr.scoring.scores import Measured, Score, Scores

EVERY = "all"  # every protocol that has a rule for the data set


def score(
    arrays: Mapping[str, Arrays],
    subject: str,
    protocol: Protocol,
    alphas: Sequence[float] = ALPHAS,
    *,
    metrics: Sequence[Metric] = METRICS,
    samples: int = 1000,
    seed: int = 0,
) -> Scores:
    """Scores one method beside others under one protocol.

    Args:
        arrays: what each method predicted, by its name, see `sdcorr.scoring.arrays.read`.
        subject: the method that the scores are about; the others are what it is compared with.
        protocol: what correct means.
        alphas: thresholds, fractions of the protocol's length.
        metrics: what is scored.
        samples: bootstrap resamples; 0 for no intervals.
        seed: of the bootstrap.

    Raises:
        UserError: if the protocol does not suit the data.
    """
    names = [subject, *(name for name in arrays if name != subject)]
    counts = {name: count(arrays[name], protocol, alphas, metrics) for name in names}
    methods, differences = score_counts(counts, Bootstrap(samples, seed))
    ours = arrays[subject]
    ranks = {name: found for name in names if (found := Ranks.of(arrays[name], protocol, alphas))}
    for name, each in ranks.items():
        methods[name] = with_ranks(methods[name], each, samples, seed)
        if name in differences and subject in ranks:
            mine, theirs = shared_ranks(ranks[subject], each)
            differences[name] = with_ranks(differences[name], mine, samples, seed, less=theirs)
    return Scores(
        protocol.name,
        protocol.on(ours.dataset).headline,
        ours.dataset,
        ours.split,
        subject,
        methods,
        differences,
        {name: arrays[name].seconds for name in names},
        ours.failures,
        ours.heeded,
    )


def with_ranks(measured: Measured, ranks: Ranks, samples: int, seed: int, *, less: Ranks | None = None) -> Measured:
    """Scores of visible points with those of all, see `sdcorr.scoring.ranks`."""
    scores = (*measured.scores, *rank_scores(ranks, samples, seed, less))
    return replace(measured, scores=scores, hidden=int(ranks.hidden.sum()))


def score_counts(counts: Mapping[str, Counts], bootstrap: Bootstrap) -> tuple[dict[str, Measured], dict[str, Measured]]:
    """The scores of methods, and the differences between the first and each other.

    Args:
        counts: by the method's name; the first method is the subject.
        bootstrap: draws the intervals.

    Returns:
        The scores of each method, with parts for the subject; the subject's less those of each other method with which
        it shares pairs.
    """
    subject = next(iter(counts))
    methods, differences = {}, {}
    for name, each in counts.items():
        methods[name] = Measured(*each.size, scores_of(each, bootstrap, parts=name == subject))
        if name != subject:
            mine, theirs = shared(counts[subject], each)
            if len(mine.ids):
                differences[name] = Measured(*mine.size, scores_of(mine, bootstrap, less=theirs))
    return methods, differences


def scores_of(
    counts: Counts, bootstrap: Bootstrap, *, less: Counts | None = None, parts: bool = False
) -> tuple[Score, ...]:
    """The scores of one method.

    Args:
        counts: of n pairs.
        bootstrap: draws the intervals.
        less: another method's, of the same pairs; its means are taken off.
        parts: whether categories and degrees of difficulty are told apart.
    """
    means = bootstrap.means(counts)
    found = list(_of_all(counts, means if less is None else means - bootstrap.means(less)))
    for part, rows in counts.parts() if parts else ():
        means = bootstrap.means_of_part(counts, rows)
        found += _of_part(counts, means if less is None else means - bootstrap.means_of_part(less, rows), part, rows)
    return tuple(found)


def shared(ours: Counts, theirs: Counts) -> tuple[Counts, Counts]:
    """The counts of the pairs that two methods both have, row by row."""
    if np.array_equal(ours.ids, theirs.ids):
        return ours, theirs
    _, mine, others = np.intersect1d(ours.ids, theirs.ids, assume_unique=True, return_indices=True)
    return ours.rows(mine), theirs.rows(others)


def protocols_for(names: Sequence[str], dataset: str) -> list[Protocol]:
    """The presets of those names, each once; for `all`, those that have a rule for the data set.

    Raises:
        UserError: if there is no such preset, or it has no rule for the data set.
    """
    if EVERY in names:
        return [protocol for protocol in PROTOCOLS.values() if protocol.knows(dataset)]
    return [protocol_named(name, dataset) for name in dict.fromkeys(names)]


def _of_all(counts: Counts, means: Means) -> Iterator[Score]:
    """Scores of all points, of those with a look-alike, and of the others."""
    groups = GROUPS[: counts.points.shape[1]]
    categories = len(counts.by_category) > 1  # of one category all averages are one of the usual two
    for index, measure in enumerate(counts.measures):
        for average in AVERAGES if categories else USUAL:
            for group, part in enumerate(groups if average in USUAL else groups[:1]):
                if (estimate := means.estimate(average, group, index)) is not None:
                    points = counts.points[:, group]
                    yield Score(measure, average, part, estimate, int((points > 0).sum()), int(points.sum()))


def _of_part(counts: Counts, means: Means, part: Part, rows: np.ndarray) -> Iterator[Score]:
    """Scores of all points of some pairs."""
    for average in USUAL:
        for index, measure in enumerate(counts.measures):
            if (estimate := means.estimate(average, 0, index)) is not None:
                yield Score(measure, average, part, estimate, int(rows.sum()), int(counts.points[rows, 0].sum()))
