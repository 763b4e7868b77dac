"""The pairs that went best and worst, drawn into the run folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sdcorr import visualize
from sdcorr.datasets import Benchmark, Match, Pair, scorable
from sdcorr.errors import UserError
from sdcorr.evaluation.predictions import PredictionStore
from sdcorr.evaluation.protocols import Protocol

ALPHA = 0.10  # what counts as right in the pictures


def best_and_worst(
    benchmark: Benchmark, store: PredictionStore, method: str, protocol: Protocol, count: int
) -> dict[str, Figure]:
    """Draw the `count` best and the `count` worst pairs of a method, by the share of points right at 0.1.

    Written to `<run_dir>/figures/best-1.png` and so on; of equally good pairs the surer ones come first.

    Returns:
        Name -> figure.
    """
    scored = []
    for record in store.records(method):
        for pair, match in (scorable(*prediction) for prediction in record.predictions):
            if pair.visible.any():
                correct = protocol.correct(record.dataset, pair, match.points, [ALPHA])[:, 0]  # (V,)
                scored.append((-correct.mean(), -match.confidence.mean(), pair.id, pair, match, correct))
    scored.sort(key=lambda row: row[:3])
    count = min(count, len(scored) // 2)
    chosen = [(f"best-{i + 1}", row) for i, row in enumerate(scored[:count])]
    chosen += [(f"worst-{i + 1}", row) for i, row in enumerate(scored[::-1][:count])]
    folder = Path(store.run_dir) / "figures"
    figures = {name: _draw(benchmark, *row[3:]) for name, row in chosen}
    try:
        folder.mkdir(exist_ok=True)
        for name, figure in figures.items():
            figure.savefig(folder / f"{name}.png", dpi=120)
    except OSError as error:
        raise UserError(
            f"cannot write {folder}: {error.strerror}; free some space or choose another run_dir"
        ) from error
    return figures


def _draw(benchmark: Benchmark, pair: Pair, match: Match, correct: np.ndarray) -> Figure:
    return visualize.matches(
        benchmark.image(pair.source),
        benchmark.image(pair.target),
        pair.query_points,
        match.points,
        truth=pair.true_points,
        correct=correct,
        confidence=match.confidence,
        names=[name for name, seen in zip(pair.names, pair.visible, strict=True) if seen],
        title=f"{pair.category}: {correct.sum()} of {len(correct)} within 0.1 ({pair.id})",
    )
