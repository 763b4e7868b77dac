"""The pairs of a run to look at: which points are correct, which are shown, and the best and worst as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sdcorr import visualize
from sdcorr.datasets import Benchmark, Match, Pair, scorable
from sdcorr.errors import UserError
from sdcorr.run.records import UnitRecord
from sdcorr.scoring.arrays import Arrays
from sdcorr.scoring.protocols import Protocol

ALPHA = 0.10  # what counts as right in the pictures


@dataclass(frozen=True, eq=False)
class Judged:
    """A pair with a point to look at, its match, and what is known of its V points."""

    pair: Pair
    match: Match
    right: tuple[bool | None, ...]  # V; None where the truth is not known, or there is none

    @property
    def fraction(self) -> float | None:
        """Of the points whose truth is known, the fraction that is correct; None if it is known of none."""
        known = [right for right in self.right if right is not None]
        return sum(known) / len(known) if known else None


def judged(records: Sequence[UnitRecord], protocol: Protocol) -> list[Judged]:
    """All pairs of some records with an asked point, and which of their points are correct at ALPHA."""
    found = [each for record in records for each in record.predictions if len(each[1].points)]
    scored = [scorable(pair, match) for pair, match in found if pair.has_truth.any()]
    correct: list[bool] = []
    if scored:
        arrays = Arrays.of(records[0].dataset, [(pair, match.points) for pair, match in scored])
        correct = protocol.correct_points(arrays, [ALPHA])[:, 0].tolist()
    known = iter(correct)
    return [
        Judged(pair, match, tuple(next(known) if truth else None for truth in pair.has_truth)) for pair, match in found
    ]


def chosen(pairs: Sequence[Judged], most: int) -> list[Judged]:
    """Some of the pairs, in their order: as many of each category as may be, from its worst to its best."""
    if len(pairs) <= most:
        return list(pairs)
    members: dict[str, list[int]] = {}
    for index, each in enumerate(pairs):
        members.setdefault(each.pair.category, []).append(index)
    quotas = dict.fromkeys(members, 0)
    for _ in range(most):  # dealt one by one, so that what a small category leaves goes to the others
        open_ones = [name for name in members if quotas[name] < len(members[name])]
        quotas[min(open_ones, key=quotas.__getitem__)] += 1
    kept = []
    for name, indices in members.items():
        ranked = sorted(indices, key=lambda index: _rank(pairs[index]))
        kept += [ranked[place] for place in np.linspace(0, len(ranked) - 1, quotas[name]).round().astype(int)]
    return [pairs[index] for index in sorted(kept)]


def best_and_worst(pairs: Sequence[Judged], benchmark: Benchmark, run_dir: Path, count: int) -> dict[str, Figure]:
    """Draws the best and the worst pairs, by the fraction of their points that are correct at ALPHA.

    Written to `<run_dir>/figures/best-1.png` and so on; of equally good pairs the surer ones come first.

    Args:
        pairs: those to choose from.
        benchmark: reads their pictures.
        run_dir: the run folder.
        count: how many of the best and of the worst, at most.

    Returns:
        Name -> figure.

    Raises:
        UserError: if the disk is full or the folder cannot be written.
    """
    scored = [each for each in pairs if each.fraction is not None]
    scored.sort(key=lambda each: (-(each.fraction or 0), -each.match.confidence.mean(), each.pair.id))
    count = min(count, len(scored) // 2)
    picked = [(f"best-{i + 1}", each) for i, each in enumerate(scored[:count])]
    picked += [(f"worst-{i + 1}", each) for i, each in enumerate(scored[::-1][:count])]
    folder = run_dir / "figures"
    figures = {name: _draw(benchmark, each) for name, each in picked}
    try:
        folder.mkdir(exist_ok=True)
        for name, figure in figures.items():
            figure.savefig(folder / f"{name}.png", dpi=120)
    except OSError as error:
        raise UserError(
            f"cannot write {folder}: {error.strerror}; free some space or choose another run_dir"
        ) from error
    return figures


def _rank(each: Judged) -> tuple[float, float, str]:
    return (each.fraction or 0.0, float(each.match.confidence.mean()), each.pair.id)


def _draw(benchmark: Benchmark, each: Judged) -> Figure:
    pair, match = scorable(each.pair, each.match)
    correct = np.array([right for right in each.right if right is not None])
    return visualize.matches(
        benchmark.image(pair.source),
        benchmark.image(pair.target),
        pair.query_points,
        match.points,
        truth=pair.true_points,
        correct=correct,
        confidence=match.confidence,
        names=pair.asked_names,
        title=f"{pair.category}: {correct.sum()} of {len(correct)} within 0.1 ({pair.id})",
    )
