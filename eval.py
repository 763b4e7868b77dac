"""Predict, save, score: `python eval.py`, `python eval.py dataset.split=test`, `python eval.py model=sd14 trainer=ddp`.

The run folder holds config.yaml, predictions/ (one record a source image and method, in original pixels), maps/ (what
to look at), broken.json (pairs without a prediction), figures/, summary.json and report.html, a page that shows it all.
A run that was stopped goes on where it was, with as many processes as you like; a folder made with another
configuration is refused.

Exit code: 0, or 3 if a pair has no prediction because its image or its annotation is broken (all others are predicted
and scored), 2 for a mistake in what was asked for, 130 if it was interrupted.
"""

import sys
from collections.abc import Iterable

from omegaconf import DictConfig
from rich.console import Console

from sdcorr import tracking
from sdcorr.cli import build
from sdcorr.cli.command import command
from sdcorr.datasets import Benchmark
from sdcorr.report import tables
from sdcorr.report.page import write_report
from sdcorr.report.pairs import best_and_worst
from sdcorr.report.results import gather
from sdcorr.report.terminal import show
from sdcorr.report.wandb import log_scores
from sdcorr.report.wandb_pairs import log_pairs
from sdcorr.run import missing
from sdcorr.run.finish import finish
from sdcorr.run.predict import predict
from sdcorr.run.processes import launch
from sdcorr.run.records import CurrentPredictions, PredictionStore
from sdcorr.scoring.protocols import Protocol, protocol_named
from sdcorr.scoring.running import RunningPCK
from sdcorr.scoring.summary import write_summary

INCOMPLETE = 3  # exit code


def main(cfg: DictConfig) -> int:
    """Run one evaluation and return its exit code; see configs/eval.yaml for what can be set."""
    benchmark = build.benchmark(cfg)
    protocol = protocol_named(cfg.protocol, benchmark.name)
    build.settings(cfg)  # a mistake is told here, before there are many processes
    with launch(cfg.trainer) as ranks:
        console = Console(quiet=not ranks.first)
        watch = tracking.Watch(benchmark, cfg.logger if ranks.first else None)
        methods = build.methods(cfg, benchmark, watch)
        config = build.decisive(cfg, benchmark)
        store = PredictionStore(build.run_folder(cfg, config))
        store.claim(config)
        if ranks.first:
            matcher = methods[build.METHOD]()
            watch.logger = tracking.evaluation_logger(cfg, store.run_dir, benchmark, matcher, ranks.world_size)
        for name, make in methods.items():
            predict(
                benchmark,
                make(),
                store,
                name,
                rank=ranks.rank,
                world_size=ranks.world_size,
                console=console,
                describe=RunningPCK(protocol, benchmark.name) if ranks.first else None,
            )
        if not ranks.first:
            return 0
        if ranks.world_size > 1:
            finish(benchmark, methods, store, alone=ranks.alone, console=console)
    return report(cfg, benchmark, protocol, store, methods, watch, console)


def report(
    cfg: DictConfig,
    benchmark: Benchmark,
    protocol: Protocol,
    store: PredictionStore,
    methods: Iterable[str],
    watch: tracking.Watch,
    console: Console,
) -> int:
    """Score what the run folder holds for these pairs, say what is missing, and return the exit code."""
    current = CurrentPredictions(store, benchmark.pairs)
    gaps = missing.missing(benchmark, current, methods)
    missing.keep(store, gaps)
    if current.left_out:
        console.print(f"{len(current.left_out)} pairs in {store.run_dir} are not in the data set any more: left out.")
    results = gather(current, build.METHOD, protocol, cfg.alphas, samples=cfg.bootstrap)
    if results.scores is None:
        console.print(results.unscored)
    else:
        write_summary(store.run_dir, results.scores)
        figures = best_and_worst(results.pairs, benchmark, store.run_dir, cfg.pictures)
        log_scores(watch.logger, results, figures)
        show(tables.overview(results.scores, results.variants), console)
    page = write_report(results, image=benchmark.image, pairs=cfg.report.pairs, console=console)
    log_pairs(watch.logger, results, benchmark, cfg.logger)
    tracking.finish(watch.logger)
    missing.tell(console, store, gaps)
    console.print(f"report: {page}", markup=False, highlight=False, soft_wrap=True)
    print(store.run_dir)
    return INCOMPLETE if gaps else 0


if __name__ == "__main__":
    codes: list[int] = []  # more than one in a sweep
    command("eval", lambda cfg: codes.append(main(cfg)))
    sys.exit(max(codes, default=0))
