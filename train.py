"""Carry points from one picture to others: `python train.py source=a.jpg points='[[120,80],[40,200]]' target=b.jpg`.

Optimizes the prompt embeddings of all points with a Lightning Trainer, transfers them to each target, and writes to
`run_dir`: embeddings.safetensors, points.json (pixels of the pictures as you see them) and matches.png.
"""

from omegaconf import DictConfig
from rich.console import Console

from sdcorr import tracking
from sdcorr.cli import build, match_files
from sdcorr.cli.command import command


def main(cfg: DictConfig) -> None:
    """Run one transfer; see configs/train.yaml for what can be set."""
    console = Console()
    errand = match_files.read_errand(cfg.source, cfg.points, cfg.target)
    solve = tracking.Fit(errand.targets[0].image, cfg.logger)
    matcher = build.matcher(cfg, dataset="pictures", solve=solve)
    folder = match_files.claim_folder(cfg.run_dir)
    solve.logger = tracking.make_logger(cfg, folder, group="pictures", job_type="transfer", tags=[cfg.model.name])
    result = match_files.carry(matcher, errand)
    match_files.write(folder, errand, result, model=cfg.model.path, settings=matcher.settings)
    tracking.finish(solve.logger)
    for line in match_files.lines(errand, result):
        console.print(line, highlight=False)
    print(folder)


if __name__ == "__main__":
    command("train", main)
