"""What `sdcorr match` and `python train.py` do: optimize the points' prompt embeddings, find them in each target.

A Lightning Trainer optimizes. The folder `run_dir` gets embeddings.safetensors, points.json (pixels of the pictures as
one sees them) and matches.png.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lightning import Callback
from lightning.pytorch.callbacks import RichProgressBar
from omegaconf import DictConfig, ListConfig, OmegaConf
from rich.console import Console

from sdcorr import findings, pictures
from sdcorr.cli import build, paths
from sdcorr.cli.build import Entry
from sdcorr.cli.command import command
from sdcorr.datasets import Match
from sdcorr.errors import UserError
from sdcorr.scoring.calibration import THERE, Calibration
from sdcorr.scoring.calibration_file import read_calibration


def main(argv: Sequence[str] | None = None) -> int:
    """`python train.py`; returns its exit code.

    Args:
        argv: overrides of configs/train.yaml; by default those of this process.
    """
    return command("train", lambda cfg, overrides: transfer(cfg, request(cfg)), argv)


def request(cfg: DictConfig) -> pictures.MatchRequest:
    """What `source`, `points` and `target` of a configuration ask for.

    Raises:
        UserError: if a picture cannot be read or a point is not legal.
    """
    points = OmegaConf.to_container(cfg.points) if isinstance(cfg.points, ListConfig) else cfg.points
    targets = list(cfg.target) if isinstance(cfg.target, ListConfig) else [cfg.target]
    return pictures.read_request(cfg.source, points, targets)


def calibration_for(entry: Entry, file: str | None) -> Calibration | None:
    """The calibration of that file, which must be of the method; None without a file.

    Raises:
        UserError: if it cannot be read, or is of another method or other settings.
    """
    if not file:
        return None
    found = read_calibration(paths.folder(file))
    if why := found.unlike(entry.claim()):
        raise UserError(f"{file} does not fit: {why}.")
    return found


def likely(match: Match, by: Calibration) -> pictures.Likely | None:
    """What a calibration of the method says of a target's matches; None if these have not left what it asks."""
    right = by.of_match(match)
    return None if right is None else pictures.Likely(right, by.of_match(match, THERE), by.origin)


def transfer(cfg: DictConfig, asked: pictures.MatchRequest) -> None:
    """Find points in pictures, and write down what was found; see configs/train.yaml for what can be set.

    Raises:
        UserError: if a setting does not fit, the weights cannot be had or the folder cannot be written.
    """
    console = Console()
    entry, method = build.prompt_entry(cfg)
    by = calibration_for(entry, cfg.calibration)  # first: a file that is not there is told before a model is loaded
    method.prepare()
    folder = pictures.claim_folder(cfg.run_dir)
    watchers: list[Callback] = [RichProgressBar()]
    logger = None
    if cfg.logger.name:
        from sdcorr import tracking  # which needs W&B
        from sdcorr.callbacks import AttentionMapLogger

        logger = tracking.make_logger(cfg, folder, group="pictures", job_type="transfer", tags=[cfg.model.name])
        watchers.append(AttentionMapLogger(asked.targets[0].image, cfg.logger.every, logger=logger))
    result = pictures.match_pictures(method, asked, watchers)
    if by:
        result = replace(result, likely=tuple(likely(match, by) for match in result.matches))
    findings.write(folder, asked, result, model=cfg.model.path, settings=method.settings)
    if logger:
        logger.experiment.finish()
    for line in findings.lines(asked, result):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    print(folder)
