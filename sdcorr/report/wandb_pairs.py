"""The pairs of an evaluation as a table of its W&B run: to sort, to filter, to look at."""

from __future__ import annotations

from typing import Any

import numpy as np
import wandb
from lightning.pytorch.loggers import WandbLogger
from omegaconf import DictConfig

from sdcorr import visualize
from sdcorr.datasets import AttentionMaps, Benchmark
from sdcorr.report.pairs import ALPHA, Judged, chosen
from sdcorr.report.results import Results
from sdcorr.tracking.session import media_in

KEY = "tables/pairs"  # `pairs` is their number in the summary
SCORE = f"PCK@{ALPHA:.2f}"
COLUMNS = ("pair", "category", SCORE, "confidence", "points", "seconds of source", "source", "target", "attention")


def log_pairs(logger: WandbLogger | None, results: Results, benchmark: Benchmark, settings: DictConfig) -> None:
    """Logs a table with one row per pair.

    It has the pair's id and category, the fraction of its points that are correct, its mean confidence, the number of
    points, the seconds that its source image took, both pictures with their points (a cross: the truth, a line to it
    from its match), the combined attention map of each point on both, and for every other method its own fraction of
    correct points. Where there are more pairs than rows, those of a category are chosen from its worst to its best.

    Args:
        logger: of the run; nothing is done without one.
        results: what the run has to show.
        benchmark: where the pictures are.
        settings: `cfg.logger`; its `pairs` is the number of rows at most.
    """
    if logger is None or not settings.pairs or not results.pairs:
        return
    store, subject = results.store, results.subject
    seconds = {record.source: record.seconds for record in store.records(subject)}
    table = wandb.Table([*COLUMNS, *(f"{SCORE} {name}" for name in results.fractions)])
    for each in chosen(results.pairs, settings.pairs):
        pair = each.pair
        maps = store.maps(subject, pair.source).get(pair.id)
        table.add_data(
            pair.id,
            pair.category,
            each.fraction,
            float(each.match.confidence.mean()),
            len(each.right),
            seconds[pair.source],
            *_pictures(benchmark, each, maps),
            *(fractions.get(pair.id) for fractions in results.fractions.values()),
        )
    with media_in(logger.experiment):
        logger.experiment.log({KEY: table})


def _pictures(benchmark: Benchmark, each: Judged, maps: AttentionMaps | None) -> list[Any]:
    """Source, target and attention maps as W&B's images; JPEG, which takes a tenth of the room."""
    pair, found = each.pair, each.match.points
    source, target = benchmark.image(pair.source), benchmark.image(pair.target)
    pictures: list[np.ndarray | None] = [
        visualize.dotted(source, pair.query_points),
        visualize.dotted(target, found, truth=pair.true_points, right=each.right),
    ]
    if maps is None or len(maps.target) != len(found):  # another version of the pair's annotation
        pictures.append(None)
    else:
        seen = [(source, maps.source, pair.query_points), (target, maps.target, found)]
        pictures.append(visualize.attention([(image, maps[:, -1], points) for image, maps, points in seen]))
    return [picture if picture is None else wandb.Image(np.asarray(picture), file_type="jpg") for picture in pictures]
