"""What `python train.py task=student` does: train a student from a folder of pseudo-labels.

The folder `run_dir` gets the student, config.json and model.safetensors, which `methods=[student]` and
`sdcorr export-student` take, and checkpoints/ from which the same command goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightning import Callback
from lightning.pytorch.loggers import WandbLogger
from omegaconf import DictConfig

from sdcorr.cli.command import command
from sdcorr.configuration import plain, settings_of
from sdcorr.run.processes import is_first, processes_of
from sdcorr.student.clusters import Sampling
from sdcorr.student.labels import read_labels
from sdcorr.student.module import Learning
from sdcorr.student.training import EpochLines, train_student
from sdcorr.student.warps import Range


def main(argv: Sequence[str] | None = None) -> int:
    """`python train.py task=student`; returns its exit code.

    Args:
        argv: overrides of configs/student.yaml; by default those of this process.
    """
    return command("student", lambda cfg, overrides: train(cfg), argv)


def train(cfg: DictConfig) -> None:
    """Train, and say how it went; see configs/student.yaml for what can be set.

    Raises:
        UserError: if there are no labels, or a setting does not fit.
    """
    folder, student = Path(cfg.run_dir).expanduser(), plain(cfg.student)
    sampling = {**student["sampling"], "seed": cfg.seed}
    labels = read_labels(cfg.data, cfg.least_confidence)
    logger: WandbLogger | None = None
    watchers: list[Callback] = [EpochLines()]
    first = is_first()  # of several processes one logs and prints
    if cfg.logger.name and first:
        from sdcorr import tracking  # which needs W&B
        from sdcorr.callbacks import StudentMatchLogger

        facts = {"labels": labels.count, "pictures": len(labels.pictures), "label_files": labels.identity}
        tags = [student["name"]]
        logger = tracking.make_logger(cfg, folder, group="students", job_type="student", tags=tags, facts=facts)
        watchers.append(StudentMatchLogger())
    told = train_student(
        folder,
        labels,
        student["network"],
        learning=settings_of(Learning, student["learning"], "setting", "student.learning."),
        sampling=settings_of(Sampling, sampling, "setting", "student.sampling."),
        within=settings_of(Range, student["warps"], "setting", "student.warps."),
        workers=cfg.workers,
        trainer={**plain(cfg.trainer), **processes_of(cfg.trainer), "precision": cfg.precision},
        start=Path(cfg.start) if cfg.start else None,
        logger=logger,
        watchers=watchers,
    )
    if logger is not None:
        logger.experiment.finish()
    if not first:
        return
    best = told["best"]
    print(f"agrees with {best['val/agreement']:.1%} of the held labels after epoch {best['epoch']}")
    print(folder)
