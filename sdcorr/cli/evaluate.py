"""Predict, save, score: what `sdcorr eval` and `python eval.py` do.

The run folder holds config.yaml, predictions/ (one record a source image and method, in original pixels), maps/ (what
to look at), broken.json (pairs without a prediction), figures/, summary.json and report.html, a page that shows it all.
A run that was stopped goes on where it was, with as many processes as you like; a folder made with another
configuration is refused.

Exit code: 0, or 3 if a pair has no prediction because its image or its annotation is broken, or a network makes NaN of
it (all others are predicted and scored), 2 for a mistake in what was asked for, 130 if it was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from lightning import Callback
from omegaconf import DictConfig
from rich.console import Console

from sdcorr.cli import build, origin
from sdcorr.cli.ahead import notice
from sdcorr.cli.command import command
from sdcorr.cli.paths import folder
from sdcorr.datasets import Benchmark
from sdcorr.errors import UserError
from sdcorr.files import write_whole
from sdcorr.report import tables
from sdcorr.report.markdown import markdown
from sdcorr.report.page import write_report
from sdcorr.report.pairs import best_and_worst
from sdcorr.report.results import gather
from sdcorr.report.survey import survey
from sdcorr.report.terminal import show
from sdcorr.run import missing
from sdcorr.run.counterparts import find_sides
from sdcorr.run.found_sides import write_sides
from sdcorr.run.predict import finish, predict
from sdcorr.run.processes import launch
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.protocols import Protocol, protocol_named
from sdcorr.scoring.running import RunningPCK
from sdcorr.scoring.summary import write_summary

if TYPE_CHECKING:
    from lightning.pytorch.loggers import WandbLogger

INCOMPLETE = 3  # exit code
TABLE = "table.md"  # of a survey


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code.

    Args:
        argv: overrides of configs/eval.yaml; by default those of this process.
    """
    return command("eval", evaluate, argv)


def evaluate(cfg: DictConfig, overrides: Sequence[str]) -> int:
    """Run one evaluation; see configs/eval.yaml for what can be set.

    Args:
        cfg: the configuration.
        overrides: what it was composed of, for the other processes.

    Returns:
        The exit code.

    Raises:
        UserError: if something is wrong with what was asked for.
    """
    benchmark = opened(cfg)
    protocol = protocol_named(cfg.protocol, benchmark.name)
    with launch(cfg.trainer, overrides) as ranks:
        console = Console(quiet=not ranks.first)
        watchers: list[Callable[[str], list[Callback]]] = []  # of the optimization on a source image
        entries = build.methods(cfg, benchmark, lambda source: [each for watch in watchers for each in watch(source)])
        if cfg.survey:
            entries = build.at_hand(entries)
        subject = entries[0]
        # Before the claims, for which all weights and pictures are read.
        readers = [entry for entry in entries if entry.kind.reads_model]
        if readers and (what := readers[0].resources.describe_model()):
            console.print(what, markup=False, highlight=False, soft_wrap=True)
        store = PredictionStore(build.run_folder(cfg, benchmark, subject))
        store.claim_run(origin.run_identity(cfg, benchmark), benchmark)
        for entry in entries:
            store.claim(entry.name, entry.claim())
        share = {"rank": ranks.rank, "world_size": ranks.world_size}
        missing.try_again(benchmark, store, [entry.name for entry in entries], **share)
        if ranks.first and (said := notice(cfg, benchmark, store, entries, ranks.world_size)):
            console.print(said, markup=False, highlight=False, soft_wrap=True)
        logger = None
        if ranks.first and cfg.logger.name:
            from sdcorr import tracking  # which needs W&B

            logger = tracking.make_logger(cfg, store.run_dir, **build.logged(cfg, benchmark, entries, ranks.world_size))
            watchers.append(tracking.Watch(benchmark, cfg.logger, logger))
        methods = {entry.name: partial(getattr, entry, "method") for entry in entries}
        for name, make in methods.items():
            so_far = RunningPCK(protocol, benchmark.name) if ranks.first else None
            predict(benchmark, make, store, name, **share, console=console, describe=so_far)
        if not ranks.first:
            return 0
        compared = [*methods, *(name for name in store.imported() if name not in methods)]
        store.note_methods(compared)
        if ranks.world_size > 1:
            finish(benchmark, methods, store, alone=ranks.alone, console=console)
        if cfg.counterparts:
            subject.method.prepare()
            write_sides(store.run_dir, find_sides(benchmark, subject.method), subject.name)
    return report(cfg, benchmark, protocol, store, subject.name, compared, logger, console)


def opened(cfg: DictConfig) -> Benchmark:
    """The data set; if it is not there, what is wrong with the model is said as well.

    Raises:
        UserError: if either is not there.
    """
    try:
        return origin.benchmark(cfg)
    except UserError as error:
        if also := build.model_lacking(cfg):
            raise UserError(f"{error}\nAnd there is more: {also}") from error
        raise


def report(
    cfg: DictConfig,
    benchmark: Benchmark,
    protocol: Protocol,
    store: PredictionStore,
    subject: str,
    methods: Sequence[str],
    logger: WandbLogger | None,
    console: Console,
) -> int:
    """Score what the run folder holds for these pairs, say what is missing, and return the exit code."""
    say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    gaps = missing.missing(benchmark, store, methods)
    missing.keep(store, gaps)
    left_out = store.left_out()
    given = folder(cfg.calibration) if cfg.calibration else None
    results = gather(store, subject, protocol, cfg.alphas, samples=cfg.bootstrap, methods=methods, calibration=given)
    whole = survey(results.scores, results.costs, results.variants) if cfg.survey and results.scores else None
    if results.scores is not None:
        write_summary(store.run_dir, results.scores, calibrated=results.calibrated)
    if whole:
        write_whole(store.run_dir / TABLE, markdown(whole))
    page = write_report(results, image=benchmark.image, pairs=cfg.report.pairs, console=console)
    figures = best_and_worst(results.pairs, benchmark, store.run_dir, cfg.pictures) if results.scores else {}
    if logger:
        from sdcorr.report.wandb import log_scores  # which needs W&B
        from sdcorr.report.wandb_pairs import log_pairs

        log_scores(logger, results, figures)
        log_pairs(logger, results, benchmark, cfg.logger)
        logger.experiment.finish()
    if left_out:  # all is written by now, whatever becomes of the console
        number, verb = ("1 pair", "is") if len(left_out) == 1 else (f"{len(left_out):,} pairs", "are")
        say(f"{number} in {store.run_dir} {verb} not in the data set any more: left out.")
    if results.scores is None:
        say(results.unscored)
    else:
        show([whole] if whole else tables.overview(results.scores, results.variants, results.unlike), console)
        say(results.trust)
        if results.scores.found:
            say(results.scores.found_said)
    missing.tell(console, store, gaps)
    say(f"report: {page}")
    print(store.run_dir)
    return INCOMPLETE if gaps else 0
