"""Carry points from one picture to others: `python train.py source=a.jpg points='[[120,80],[40,200]]' target=b.jpg`.

Optimizes the prompt embeddings of all points with a Lightning Trainer, transfers them to each target, and writes to
`run_dir`: embeddings.safetensors, points.json (pixels of the pictures as you see them) and matches.png.
"""

from lightning import Callback
from lightning.pytorch.callbacks import RichProgressBar
from omegaconf import DictConfig
from rich.console import Console

from sdcorr.cli import build, match_files
from sdcorr.cli.command import command


def main(cfg: DictConfig) -> None:
    """Run one transfer; see configs/train.yaml for what can be set."""
    console = Console()
    errand = match_files.read_errand(cfg.source, cfg.points, cfg.target)
    matcher = build.matcher(cfg, dataset="pictures")
    folder = match_files.claim_folder(cfg.run_dir)
    watchers: list[Callback] = [RichProgressBar()]
    logger = None
    if cfg.logger.name:
        from sdcorr import tracking
        from sdcorr.callbacks import AttentionMapLogger

        logger = tracking.make_logger(cfg, folder, group="pictures", job_type="transfer", tags=[cfg.model.name])
        watchers.append(AttentionMapLogger(errand.targets[0].image, cfg.logger.every, logger=logger))
    result = match_files.carry(matcher, errand, watchers)
    match_files.write(folder, errand, result, model=cfg.model.path, settings=matcher.settings)
    if logger:
        tracking.finish(logger)
    for line in match_files.lines(errand, result):
        console.print(line, highlight=False)
    print(folder)


if __name__ == "__main__":
    command("train", main)
