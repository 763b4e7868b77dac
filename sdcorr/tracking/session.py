"""Starting a W&B run for a folder, with all that is known about it, and ending it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger
from omegaconf import DictConfig, OmegaConf
from wandb.errors import Error as WandbError

import sdcorr
from sdcorr.datasets import Benchmark
from sdcorr.errors import UserError
from sdcorr.prompt import PromptMatcher
from sdcorr.prompt.speed import ReadOnceMatcher

DATA_DIR = "WANDB_DATA_DIR"
MODES = ("auto", "online", "offline")
LIBRARIES = ("torch", "diffusers", "transformers", "lightning", "numpy", "wandb")
LONGEST_TAG, LONGEST_NAME = 64, 128  # characters that W&B takes


def make_logger(
    cfg: DictConfig, folder: Path, *, group: str, job_type: str, tags: Sequence[str] = (), facts: Mapping[str, Any] = {}
) -> WandbLogger | None:
    """The logger that `cfg.logger` asks for, writing below `folder`; None for `logger=none`.

    Never asks for an account: `mode: auto` is online only after `wandb login` (or with WANDB_API_KEY), else offline;
    the environment's WANDB_MODE wins. A folder that has had a run before goes on with that run: it has the same id, by
    which W&B resumes it, and by which `wandb sync` joins what was written offline. The run's configuration is all of
    `cfg` and, under `facts`, what else the results depend on.

    Args:
        cfg: composed, of `eval.py` or `train.py`.
        folder: of the run; its name is the run's.
        group: of the run, unless `cfg.logger.group` says another.
        job_type: what the run is, e.g. "evaluation".
        tags: of the run, before those of `cfg.logger.tags`.
        facts: plain values.

    Raises:
        UserError: if the mode is unknown, or online was asked for and W&B cannot be reached.
    """
    if not cfg.logger.name:
        return None
    if cfg.logger.mode not in MODES:
        raise UserError(f"There is no logger.mode={cfg.logger.mode}: choose one of {', '.join(MODES)}.")
    mode = os.environ.get("WANDB_MODE") or cfg.logger.mode
    if mode == "auto":
        mode = "online" if wandb.login(prompt=False, verify=False) else "offline"
    folder.mkdir(parents=True, exist_ok=True)
    every_tag = [str(tag)[:LONGEST_TAG] for tag in (*tags, *(cfg.logger.tags or ())) if tag]
    config = OmegaConf.to_container(cfg, resolve=True) | {"facts": {**facts, **_surroundings()}}
    try:
        run = wandb.init(
            project=cfg.logger.project,
            name=folder.resolve().name[:LONGEST_NAME],
            id=os.environ.get("WANDB_RUN_ID") or _last_id(folder),  # the agent of a sweep gives its own
            resume="allow",
            reinit="finish_previous",  # of a job of a Hydra sweep that has failed
            group=cfg.logger.group or group,
            job_type=job_type,
            tags=list(dict.fromkeys(every_tag)),
            dir=str(folder.resolve()),  # it is written by another process, which may have begun in another folder
            config=config,
            settings=wandb.Settings(mode=mode, console="off", x_disable_stats=True),
        )
    except WandbError as error:
        raise UserError(f"W&B cannot be used ({error}): give logger.mode=offline or logger=none.") from None
    # Lightning's logger would start the run itself, but make the Trainer's step the x axis of all that is logged.
    return WandbLogger(experiment=run, save_dir=folder, project=cfg.logger.project)


def evaluation_logger(
    cfg: DictConfig, folder: Path, benchmark: Benchmark, matcher: PromptMatcher, processes: int
) -> WandbLogger | None:
    """The logger of an evaluation, see `make_logger`.

    Args:
        cfg: composed, of `eval.py`.
        folder: of the run.
        benchmark: what is evaluated on.
        matcher: the method.
        processes: how many work on it.
    """
    if not cfg.logger.name:
        return None
    backbone = matcher.backbone
    facts = {
        "pairs": len(benchmark.pairs),
        "points": sum(int(pair.visible.sum()) for pair in benchmark.pairs),
        "source_images": len({pair.source for pair in benchmark.pairs}),
        "weights": backbone.fingerprint(),
        "image_size": backbone.image_size,
        "layers": list(backbone.layers),
        "device": str(backbone.device),
        "processes": processes,
    }
    kind = "read_once" if isinstance(matcher, ReadOnceMatcher) else "prompt"
    tags = [benchmark.name, benchmark.split, cfg.model.name, kind, "ablation" if cfg.variants else ""]
    group = f"{benchmark.name}-{benchmark.split}"
    return make_logger(cfg, folder, group=group, job_type="evaluation", tags=tags, facts=facts)


@contextmanager
def media_in(run: wandb.Run) -> Iterator[None]:
    """To log tables in: their pictures are put aside until they are uploaded, here in the run's own folder.

    By default that is below the home folder, where nothing takes them away again after an offline run.
    """
    before = os.environ.get(DATA_DIR)
    os.environ[DATA_DIR] = str(Path(run.dir).resolve().parent)
    try:
        yield
    finally:
        if before is None:
            del os.environ[DATA_DIR]
        else:
            os.environ[DATA_DIR] = before


def finish(logger: WandbLogger | None) -> None:
    """Ends the run, so that all of it is on disk (or at W&B)."""
    if logger is not None:
        logger.experiment.finish()


def _last_id(folder: Path) -> str | None:
    """The id of the latest W&B run in a folder; W&B's own folders are called [offline-]run-<date>-<id>."""
    names = [path.parent.name.removeprefix("offline-") for path in folder.glob("wandb/*run-*/run-*.wandb")]
    return max(names).rpartition("-")[2] if names else None


def _surroundings() -> dict[str, Any]:
    """Versions of what did the work."""
    return {"versions": {name: version(name) for name in LIBRARIES}, "commit": _commit()}


def _commit() -> str | None:
    """The commit of sdcorr's own repository, `-dirty` if files were changed since; None if it was installed without."""
    package = Path(sdcorr.__file__)
    for command in (["ls-files", "--error-unmatch", package.name], ["describe", "--always", "--dirty", "--abbrev=40"]):
        try:
            answer = subprocess.run(["git", *command], cwd=package.parent, capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        if answer.returncode:
            return None
    return answer.stdout.strip()
