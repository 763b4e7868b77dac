"""Predict, save, score: `python eval.py`, `python eval.py dataset.split=test`, `python eval.py model=sd14`.

The run folder holds config.yaml, predictions/ (one record a source image and method, in original pixels), figures/
and summary.json. A run that was stopped goes on where it was; a folder made with another configuration is refused.
"""

from omegaconf import DictConfig
from rich.console import Console

from sdcorr import build, tracking
from sdcorr.cli import command
from sdcorr.evaluation.pictures import best_and_worst
from sdcorr.evaluation.predict import predict
from sdcorr.evaluation.predictions import PredictionStore
from sdcorr.evaluation.protocols import protocol_named
from sdcorr.evaluation.score import score, write_summary
from sdcorr.evaluation.table import print_summary


def main(cfg: DictConfig) -> None:
    """Run one evaluation; see configs/eval.yaml for what can be set."""
    console = Console()
    benchmark, protocol = build.benchmark(cfg), protocol_named(cfg.protocol)
    watch = tracking.Watch(benchmark, cfg.logger)
    methods = build.methods(cfg, benchmark, watch)
    config = build.decisive(cfg, benchmark)
    store = PredictionStore(build.run_folder(cfg, config))
    store.claim(config)
    watch.logger = tracking.make_logger(cfg, store.run_dir, group=f"{benchmark.name}-{benchmark.split}")
    for name, make in methods.items():
        predict(benchmark, make(), store, name, console=console)

    summary = score(store, build.METHOD, protocol, cfg.alphas, samples=cfg.bootstrap)
    write_summary(store.run_dir, summary)
    figures = best_and_worst(benchmark, store, build.METHOD, protocol, cfg.pictures)
    tracking.log_evaluation(watch.logger, summary, figures)
    print_summary(summary, build.METHOD, console)
    print(store.run_dir)


if __name__ == "__main__":
    command("eval", main)
