"""What the callback logs, read back from an offline run."""

from dataclasses import replace
from pathlib import Path

import pytest
import wandb

from sdcorr import tracking
from sdcorr.callbacks import AttentionMapLogger
from sdcorr.cli.compose import compose
from sdcorr.diffusion import FrozenDiffusion
from sdcorr.prompt import PromptMatcher
from sdcorr.prompt.module import fit
from sdcorr.toybox.dataset import drawing
from tests import offline
from tests.prompt.test_module import SETTINGS

SOURCE, TARGET = drawing("2/cat/0"), drawing("2/cat/0/0")


@pytest.mark.parametrize("probe", [False, True])
def test_pictures_every_few_steps_and_at_the_last(probe: bool, small_backbone: FrozenDiffusion, tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=6, flip=0.0, probe=probe, crop_pool=2)
    problem = PromptMatcher(small_backbone, settings, "test").problem(SOURCE.image, SOURCE.points[:2], "source")
    logger = tracking.make_logger(compose("eval", "logger.mode=offline"), tmp_path, group="test", job_type="test")
    watcher = AttentionMapLogger(TARGET.image, every=4, query=1, prefix="seen")
    fit(*problem, logger=logger, callbacks=[watcher])
    tracking.finish(logger)
    wandb.teardown()
    (folder,) = tmp_path.glob("wandb/offline-run-*")
    rows = [row for row in offline.read(folder).history if "seen/step" in row]
    assert [row["seen/step"] for row in rows] == list(range(6))
    losses = [row["seen/loss"] for row in rows]
    assert min(losses) > 0 and len(set(losses)) == 6
    assert [row["seen/step"] for row in rows if "seen/crop" in row] == [0, 4, 5]
    assert [row["seen/step"] for row in rows if "seen/target" in row] == ([] if probe else [0, 4, 5])
