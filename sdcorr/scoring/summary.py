"""Tallies to a flat summary: PCK with intervals, per category and difficulty, and against other methods.

Two methods are compared on the pairs that both have, with the same draws, so what makes a pair hard for both cancels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from sdcorr.scoring.bootstrap import draws, estimate, interval, resampled, weighted
from sdcorr.scoring.counts import GROUPS, Tally
from sdcorr.scoring.pck import ALPHAS, AVERAGES, pck_name

Summary = dict[str, str | int | float]


def summarize(
    tallies: Mapping[str, Tally],
    method: str,
    alphas: Sequence[float] = ALPHAS,
    *,
    samples: int = 1000,
    seed: int = 0,
) -> Summary:
    """The flat summary of one method beside others; PCKs are fractions in [0, 1], differences too.

    Args:
        tallies: what each method got right, by its name.
        method: the method that the summary is about; the others are what it is compared with.
        alphas: the thresholds that the tallies were made with.
        samples: bootstrap resamples; 0 for no intervals.
        seed: of the bootstrap.

    Returns:
        `pairs`, `points`; `pck@0.10/per_point` with `/low` and `/high`, the same for `/ambiguous` and
        `/distinct` points where the data set tells them apart, `/category/<name>` and
        `/difficulty/<flag>=<value>`; all of it for `per_image` too; the other averages of
        `sdcorr.scoring.pck.AVERAGES` where there are categories; for every other method `baseline/<name>/...`
        (without categories and difficulties), and `difference/<name>/...`, the method's PCK less the other's on the
        pairs that both have.
    """
    counts = tallies[method]
    summary: Summary = {"pairs": len(counts.ids), "points": int(counts.points[:, 0].sum())}
    names = names_of(counts, alphas)
    summary |= named(names, estimate(counts), resampled(counts, samples, seed))
    summary |= details(counts, alphas, samples=samples, seed=seed)
    for name, other in tallies.items():
        if name == method:
            continue
        summary[f"baseline/{name}/pairs"] = len(other.ids)
        summary[f"baseline/{name}/points"] = int(other.points[:, 0].sum())
        values = named(names_of(other, alphas), estimate(other), resampled(other, samples, seed))
        summary |= prefixed(f"baseline/{name}/", values)
        ours, theirs = shared(counts, other)
        if len(ours.ids):
            summary[f"difference/{name}/pairs"] = len(ours.ids)
            summary |= prefixed(f"difference/{name}/", difference(ours, theirs, alphas, samples=samples, seed=seed))
    return summary


def shared(ours: Tally, theirs: Tally) -> tuple[Tally, Tally]:
    """The tallies of the pairs that both have, row by row."""
    _, mine, others = np.intersect1d(ours.ids, theirs.ids, assume_unique=True, return_indices=True)
    return ours.rows(mine), theirs.rows(others)


def difference(ours: Tally, theirs: Tally, alphas: Sequence[float], *, samples: int, seed: int) -> Summary:
    """The one's PCK less the other's, with intervals; both are of the same pairs, see `shared`."""
    resamples = resampled(ours, samples, seed) - resampled(theirs, samples, seed)
    return named(names_of(ours, alphas), estimate(ours) - estimate(theirs), resamples)


def details(counts: Tally, alphas: Sequence[float], *, samples: int, seed: int, less: Tally | None = None) -> Summary:
    """PCK of each category and difficulty, per point and per image, with intervals.

    The draws are those of all pairs, so the number of pairs in a part varies as it would if pairs were chosen anew.

    Args:
        counts: of n pairs.
        alphas: the thresholds that it was made with.
        samples: bootstrap resamples.
        seed: of the bootstrap.
        less: another method's, of the same pairs; its PCK is taken off.
    """
    summary: Summary = {}
    weights = draws(len(counts.ids), samples, seed)
    for part, rows in counts.parts():
        values, resamples = estimate(counts.rows(rows)), weighted(counts.rows(rows), weights[rows])
        if less is not None:
            values = values - estimate(less.rows(rows))
            resamples = resamples - weighted(less.rows(rows), weights[rows])
        names = [
            (f"{pck_name(alpha)}/{name}/{part}", (average, 0, index))
            for average, name in enumerate(AVERAGES[:2])
            for index, alpha in enumerate(alphas)
        ]
        summary |= named(names, values, resamples)
    return summary


def names_of(counts: Tally, alphas: Sequence[float]) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """What is reported of all pairs: a name, and where it is in an estimate (averages, G, A)."""
    categories = len(np.unique(counts.categories)) > 1  # of one category all averages are one of the first two
    for index, alpha in enumerate(alphas):
        for average, name in enumerate(AVERAGES if categories else AVERAGES[:2]):
            for group, kind in enumerate(GROUPS if average < 2 else GROUPS[:1]):
                yield f"{pck_name(alpha)}/{name}{kind}", (average, group, index)


def named(names: Iterable[tuple[str, tuple[int, int, int]]], values: np.ndarray, resamples: np.ndarray) -> Summary:
    """Names values (averages, G, A) and the ends of their intervals, from resamples (samples, averages, G, A)."""
    summary: Summary = {}
    for name, index in names:
        if np.isfinite(values[index]):
            summary[name] = float(values[index])
            if ends := interval(resamples[(slice(None), *index)]):
                summary[f"{name}/low"], summary[f"{name}/high"] = ends
    return summary


def prefixed(prefix: str, summary: Summary) -> Summary:
    """The same summary under longer names."""
    return {prefix + name: value for name, value in summary.items()}
