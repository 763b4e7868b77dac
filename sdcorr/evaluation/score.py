"""Records to numbers: PCK per point and per image with intervals, per category, and against other methods.

Scoring reads records only, no data set and no model, so one run is scored under every protocol in seconds.

Intervals come from a bootstrap over pairs, 95 % between the percentiles. Points of one pair stand or fall
together, so a resample draws whole pairs; `per_point` then pools the points of the pairs drawn. Two methods
are compared on the pairs that both have, with the same draws, so what makes a pair hard for both cancels.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sdcorr.errors import UserError
from sdcorr.evaluation.pck import ALPHAS, pck_name
from sdcorr.evaluation.predictions import PredictionStore, UnitRecord, write_whole
from sdcorr.evaluation.protocols import Protocol

AVERAGES = ("per_point", "per_image")
GROUPS = ("", "/ambiguous", "/distinct")  # all points, those of parts with a look-alike, and the others
RESAMPLES_AT_ONCE = 100  # bounds the memory: 10 MB of weights for 12,000 pairs

Summary = dict[str, str | int | float]


@dataclass(frozen=True, eq=False)
class Tally:
    """What one method got right, a row for each of n scored pairs, sorted by the pair's id."""

    ids: np.ndarray  # (n,) str
    categories: np.ndarray  # (n,) str
    points: np.ndarray  # (n, G) int: visible points of each group in GROUPS
    correct: np.ndarray  # (n, G, A) int: how many of them are right at each threshold

    def rows(self, chosen: np.ndarray) -> "Tally":
        """The tally of some of the pairs, chosen by a mask (n,) or by indices."""
        return Tally(*(field[chosen] for field in vars(self).values()))

    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """What PCK is a ratio of: sum over pairs of the first by sum over pairs of the second.

        Returns:
            Two (n, 2, G, A) float64, the second axis being per point and per image.
        """
        points = np.broadcast_to(self.points[..., None], self.correct.shape)
        per_image = self.correct / np.maximum(points, 1)
        above, below = np.stack([self.correct, per_image], axis=1), np.stack([points, points > 0], axis=1)
        return above.astype(np.float64), below.astype(np.float64)


def tally(records: Iterable[UnitRecord], protocol: Protocol, alphas: Sequence[float] = ALPHAS) -> Tally:
    """Counts what is right, in every pair with a visible point.

    Args:
        records: the records of one method.
        protocol: what right means.
        alphas: A thresholds, fractions of the protocol's length.

    Raises:
        UserError: if no pair has a visible point, or the protocol asks for a box that a pair lacks.
    """
    rows = []
    for record in records:
        for pair, match in record.predictions:
            if not pair.visible.any():
                continue
            correct = protocol.correct(record.dataset, pair, match.points, alphas)  # (V, A)
            everything = np.ones(len(correct), dtype=bool)
            alike = ~everything if pair.ambiguous is None else pair.ambiguous[pair.visible]
            distinct = ~everything if pair.ambiguous is None else ~alike
            groups = np.stack([everything, alike, distinct]).astype(int)  # (G, V)
            rows.append((pair.id, pair.category, groups.sum(1), groups @ correct.astype(int)))
    if not rows:
        raise UserError("There is nothing to score: no predicted pair has a visible point, so look at the data set.")
    ids, categories, points, correct = zip(*sorted(rows, key=lambda row: row[0]), strict=True)
    return Tally(np.array(ids), np.array(categories), np.array(points), np.array(correct))


def estimate(counts: Tally) -> np.ndarray:
    """PCK in [0, 1] as (2, G, A): per point and per image, each group, each threshold; NaN without points."""
    above, below = counts.sums()
    return _ratio(above.sum(0), below.sum(0))


def resampled(counts: Tally, samples: int, seed: int) -> np.ndarray:
    """PCK of `samples` bootstrap resamples of the pairs, (samples, 2, G, A).

    The draws depend on the number of pairs and the seed alone, so that two tallies of the same pairs can be
    subtracted from each other.
    """
    above, below = counts.sums()
    pairs, generator = len(above), np.random.default_rng(seed)
    flat = np.concatenate([above.reshape(pairs, -1), below.reshape(pairs, -1)], axis=1)  # (n, 2 * 2GA)
    chunks = []
    for start in range(0, samples, RESAMPLES_AT_ONCE):
        count = min(RESAMPLES_AT_ONCE, samples - start)
        drawn = generator.integers(pairs, size=(count, pairs)) + pairs * np.arange(count)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=count * pairs).reshape(count, pairs)
        chunks.append(weights.astype(np.float64) @ flat)
    sums = np.concatenate(chunks).reshape(samples, 2, *above.shape[1:])  # (samples, above or below, 2, G, A)
    return _ratio(sums[:, 0], sums[:, 1])


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
        samples: bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        `pairs`, `points`; `pck@0.10/per_point` with `/low` and `/high`, the same for `/ambiguous` and
        `/distinct` points where the data set tells them apart, and `/category/<name>`; all of it for
        `per_image` too; for every other method `baseline/<name>/...` likewise, and `difference/<name>/...`,
        the method's PCK less the other's on the pairs that both have.
    """
    counts = tallies[method]
    summary: Summary = {"pairs": len(counts.ids), "points": int(counts.points[:, 0].sum())}
    thresholds = [pck_name(alpha) for alpha in alphas]
    summary |= _with_intervals("", thresholds, estimate(counts), resampled(counts, samples, seed))
    for category in np.unique(counts.categories):
        values = estimate(counts.rows(counts.categories == category))[:, 0]  # (2, A), of all points
        for (average, alpha), value in np.ndenumerate(values):
            summary[f"{thresholds[alpha]}/{AVERAGES[average]}/category/{category}"] = float(value)
    for name, other in tallies.items():
        if name == method:
            continue
        summary[f"baseline/{name}/pairs"] = len(other.ids)
        summary[f"baseline/{name}/points"] = int(other.points[:, 0].sum())
        draws = resampled(other, samples, seed)
        summary |= _with_intervals(f"baseline/{name}/", thresholds, estimate(other), draws)
        _, ours, theirs = np.intersect1d(counts.ids, other.ids, assume_unique=True, return_indices=True)
        if len(ours):
            ours, theirs = counts.rows(ours), other.rows(theirs)
            difference = estimate(ours) - estimate(theirs)
            draws = resampled(ours, samples, seed) - resampled(theirs, samples, seed)
            summary[f"difference/{name}/pairs"] = len(ours.ids)
            summary |= _with_intervals(f"difference/{name}/", thresholds, difference, draws)
    return summary


def score(
    store: PredictionStore,
    method: str,
    protocol: Protocol,
    alphas: Sequence[float] = ALPHAS,
    *,
    samples: int = 1000,
    seed: int = 0,
) -> Summary:
    """Scores a method of a run beside all the others in its folder, under one protocol.

    Returns:
        The flat summary of `summarize` after `protocol` (its name), `failures` (pairs without a prediction
        because of an image) and `seconds` (time that the method took, over all ranks);
        `baseline/<name>/seconds` likewise.

    Raises:
        UserError: if there are no records of the method, a record is torn, or the protocol does not suit the
        data.
    """
    names = [method, *(name for name in store.methods() if name != method)]
    records = {name: store.records(name) for name in names}
    seconds = {name: sum(record.seconds for record in records[name]) for name in names}
    tallies = {name: tally(records[name], protocol, alphas) for name in names}
    summary: Summary = {"protocol": protocol.name}
    summary["failures"] = sum(len(record.failures) for record in records[method])
    summary["seconds"] = seconds[method]
    summary |= summarize(tallies, method, alphas, samples=samples, seed=seed)
    return summary | {f"baseline/{name}/seconds": seconds[name] for name in names[1:]}


def write_summary(run_dir: str | Path, summary: Summary, name: str = "summary.json") -> Path:
    """Writes a summary into the run folder, in one piece, and returns its path.

    Raises:
        UserError: if the disk is full or the folder cannot be written.
    """
    path = Path(run_dir) / name
    write_whole(path, json.dumps(summary, indent=1) + "\n")
    return path


def _with_intervals(prefix: str, thresholds: Sequence[str], values: np.ndarray, draws: np.ndarray) -> Summary:
    """Names values (2, G, A) and the ends of their intervals, from draws (samples, 2, G, A)."""
    summary: Summary = {}
    for index in zip(*np.nonzero(np.isfinite(values)), strict=True):
        average, group, alpha = index
        name = f"{prefix}{thresholds[alpha]}/{AVERAGES[average]}{GROUPS[group]}"
        summary[name] = float(values[index])
        summary[f"{name}/low"], summary[f"{name}/high"] = _interval(draws[(slice(None), *index)])
    return summary


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def _interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of resampled values (samples,), of those that had any points."""
    values = values[np.isfinite(values)]
    low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (np.nan, np.nan)
    return float(low), float(high)
