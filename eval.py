"""Predict, save, score: `python eval.py`, `python eval.py dataset.split=test`, `python eval.py model=sd14 trainer=ddp`.

The run folder holds config.yaml, predictions/ (one record a source image and method, in original pixels), maps/ (what
to look at), broken.json (pairs without a prediction), figures/, summary.json and report.html, a page that shows it all.
A run that was stopped goes on where it was, with as many processes as you like; a folder made with another
configuration is refused.

Exit code: 0, or 3 if a pair has no prediction because its image or its annotation is broken (all others are predicted
and scored), 2 for a mistake in what was asked for, 130 if it was interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from lightning import Callback
from omegaconf import DictConfig
from rich.console import Console

from sdcorr.cli import build
from sdcorr.cli.command import command
from sdcorr.datasets import Benchmark
from sdcorr.report.page import write_report
from sdcorr.report.pairs import best_and_worst
from sdcorr.report.terminal import print_summary
from sdcorr.run import missing
from sdcorr.run.finish import finish
from sdcorr.run.predict import predict
from sdcorr.run.processes import launch
from sdcorr.run.records import CurrentPredictions, PredictionStore
from sdcorr.scoring.protocols import Protocol, protocol_named
from sdcorr.scoring.score import score, write_summary

if TYPE_CHECKING:
    from lightning.pytorch.loggers import WandbLogger

INCOMPLETE = 3  # exit code


def main(cfg: DictConfig) -> int:
    """Run one evaluation and return its exit code; see configs/eval.yaml for what can be set."""
    benchmark = build.benchmark(cfg)
    protocol = protocol_named(cfg.protocol, benchmark.name)
    build.settings(cfg)  # a mistake is told here, before there are many processes
    with launch(cfg.trainer) as ranks:
        console = Console(quiet=not ranks.first)
        watchers: list[Callable[[str], list[Callback]]] = []  # of the optimization on a source image
        methods = build.methods(cfg, benchmark, lambda source: [each for watch in watchers for each in watch(source)])
        config = build.decisive(cfg, benchmark)
        store = PredictionStore(build.run_folder(cfg, config))
        store.claim(config)
        logger = None
        if ranks.first and cfg.logger.name:
            from sdcorr import tracking  # which needs W&B

            matcher = methods[build.METHOD]().matcher
            logger = tracking.evaluation_logger(cfg, store.run_dir, benchmark, matcher, ranks.world_size)
            watchers.append(tracking.Watch(benchmark, cfg.logger, logger))
        for name, make in methods.items():
            predict(benchmark, make(), store, name, rank=ranks.rank, world_size=ranks.world_size, console=console)
        if not ranks.first:
            return 0
        if ranks.world_size > 1:
            finish(benchmark, methods, store, alone=ranks.alone, console=console)
    return report(cfg, benchmark, protocol, store, methods, logger, console)


def report(
    cfg: DictConfig,
    benchmark: Benchmark,
    protocol: Protocol,
    store: PredictionStore,
    methods: Iterable[str],
    logger: WandbLogger | None,
    console: Console,
) -> int:
    """Score what the run folder holds for these pairs, say what is missing, and return the exit code."""
    current = CurrentPredictions(store, benchmark.pairs)
    gaps = missing.missing(benchmark, current, methods)
    missing.keep(store, gaps)
    if current.left_out:
        console.print(f"{len(current.left_out)} pairs in {store.run_dir} are not in the data set any more: left out.")
    summary = None
    if not any(pair.has_truth.any() for pair in benchmark.pairs):
        console.print("The truth of no point is known, so the matches are kept and not scored.")
    elif not any(record.predictions for record in current.records(build.METHOD)):
        console.print("No pair could be predicted, so nothing is scored.")
    else:
        summary = score(current, build.METHOD, protocol, cfg.alphas, samples=cfg.bootstrap)
        write_summary(store.run_dir, summary)
        figures = best_and_worst(benchmark, current, build.METHOD, protocol, cfg.pictures)
        if logger:
            from sdcorr import tracking

            tracking.log_scores(logger, current, build.METHOD, protocol, summary, figures, samples=cfg.bootstrap)
        print_summary(summary, build.METHOD, console)
    page = write_report(
        current,
        build.METHOD,
        protocol,
        summary,
        image=benchmark.image,
        pairs=cfg.report.pairs,
        samples=cfg.bootstrap,
        console=console,
    )
    if logger:
        from sdcorr import tracking

        tracking.log_pairs(logger, benchmark, current, build.METHOD, protocol, cfg.logger)
        tracking.finish(logger)
    missing.tell(console, store, gaps)
    console.print(f"report: {page}", markup=False, highlight=False, soft_wrap=True)
    print(store.run_dir)
    return INCOMPLETE if gaps else 0


if __name__ == "__main__":
    codes: list[int] = []  # more than one in a sweep
    command("eval", lambda cfg: codes.append(main(cfg)))
    sys.exit(max(codes, default=0))
