"""What the callback logs, read back from an offline run."""

from collections.abc import Callable
from pathlib import Path

import pytest
import wandb
from lightning.pytorch.loggers import WandbLogger

from sdcorr import tracking
from sdcorr.callbacks import AttentionMapLogger
from sdcorr.cli.compose import compose
from sdcorr.diffusion import FrozenDiffusion
from sdcorr.prompt import PromptMatcher, PromptSettings
from sdcorr.prompt.module import fit
from sdcorr.prompt.speed import FastMatcher, ReadOnceMatcher, ReadOnceSettings
from sdcorr.toybox.dataset import drawing
from tests import offline

SOURCE, TARGET = drawing("2/cat/0"), drawing("2/cat/0/0")


SETTINGS = {"steps": 6, "sigma": 4.0, "restarts": 2, "learning_rate": 0.01}


def logged(folder: Path, work: Callable[[WandbLogger], object]) -> list[dict]:
    """What some work with a logger leaves in W&B's history for the keys below `seen`."""
    logger = tracking.make_logger(compose("eval", "logger.mode=offline"), folder, group="test", job_type="test")
    work(logger)
    logger.experiment.finish()
    wandb.teardown()
    (run,) = folder.glob("wandb/offline-run-*")
    return [row for row in offline.read(run).history if "seen/step" in row]


def matcher(backbone: FrozenDiffusion, once: bool = False, **changes: int) -> PromptMatcher:
    if once:
        return ReadOnceMatcher(backbone, ReadOnceSettings(**SETTINGS | {"crop_pool": 2}), "test")
    return FastMatcher(backbone, PromptSettings(**SETTINGS | changes), "test")


@pytest.mark.parametrize("once", [False, True])
def test_pictures_every_few_steps_and_at_the_last(once: bool, small_backbone: FrozenDiffusion, tmp_path: Path) -> None:
    """Under a user's own Trainer, whose logger it is."""
    problem = matcher(small_backbone, once).problem(SOURCE.image, SOURCE.points[:2], "source")
    watcher = AttentionMapLogger(TARGET.image, every=4, query=1, prefix="seen")
    rows = logged(tmp_path, lambda logger: fit(*problem, callbacks=[watcher], logger=logger))
    assert [row["seen/step"] for row in rows] == list(range(6))
    losses = [row["seen/loss"] for row in rows]
    assert min(losses) > 0 and len(set(losses)) == 6
    assert [row["seen/step"] for row in rows if "seen/crop" in row] == [0, 4, 5]
    assert [row["seen/step"] for row in rows if "seen/target" in row] == ([] if once else [0, 4, 5])


def test_of_several_batches_the_first_is_watched(small_backbone: FrozenDiffusion, tmp_path: Path) -> None:
    """Handed to `optimize` with a logger of its own."""
    in_batches = matcher(small_backbone, queries_per_batch=2)

    def optimize(logger: WandbLogger) -> None:
        watcher = AttentionMapLogger(None, every=4, prefix="seen", logger=logger)
        in_batches.optimize(SOURCE.image, SOURCE.points[:2], "source", callbacks=[watcher])
        assert watcher.done

    rows = logged(tmp_path, optimize)
    assert [row["seen/step"] for row in rows] == list(range(6))
    assert [row["seen/step"] for row in rows if "seen/crop" in row] == [0, 4, 5]
    assert not any("seen/target" in row for row in rows)
