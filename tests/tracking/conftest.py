"""A small evaluation, and what it left for W&B."""

import json
import os
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import wandb
from hydra.core.global_hydra import GlobalHydra

from sdcorr.toybox.dataset import Toybox
from tests import offline, wandb_service

EVAL = Path(__file__).parent.parent.parent / "eval.py"
PICKED = ("2/bird/0-0", "2/bird/0-1", "2/fish/0-0", "2/fish/0-1", "2/lamp/0-0")
SETTINGS = [
    *("dataset=folder", "dataset.root=world", "run_dir=out/a-run", "embeddings=null", "bootstrap=20", "pictures=1"),
    *("method.steps=2", "method.restarts=1", "method.transfer_crops=2", "maps=8", "logger.tags=[mine]"),
    *("methods=[prompt,{transfer_crops: 1},same_pixel]", "logger.every=1"),
    *("logger.mode=offline", "logger.watch=2", "logger.pairs=4", "trainer.accelerator=cpu"),
]


def evaluate(folder: Path, *more: str) -> None:
    """`python eval.py` in this process, in that folder."""
    with pytest.MonkeyPatch.context() as patch:
        wandb_service.start_afresh(patch)
        patch.setattr(sys, "argv", ["eval.py", *SETTINGS, *more])
        patch.chdir(folder)
        GlobalHydra.instance().clear()
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(EVAL), run_name="__main__")
        assert not end.value.code
        wandb.teardown()  # which else waits for the end of the process, and writes the last records then
        assert not {"WANDB_MODE", "WANDB_DATA_DIR"} & set(os.environ), "it would decide about the next run"


def runs(folder: Path) -> list[offline.OfflineRun]:
    """The W&B runs of that evaluation, the oldest first."""
    return [offline.read(path) for path in sorted(folder.glob("out/a-run/wandb/offline-run-*"))]


@pytest.fixture(scope="package")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """`folder`, its W&B `run`, and the `summary` that it should have."""
    folder = tmp_path_factory.mktemp("evaluated")
    world, pairs = Toybox("demo"), []
    for pair in (pair for pair in world.pairs if pair.id in PICKED):
        names = {key: f"{key.replace('/', '-')}.png" for key in (pair.source, pair.target)}
        for key, name in names.items():
            (folder / "world").mkdir(exist_ok=True)
            world.image(key).save(folder / "world" / name)
        named = {"source": names[pair.source], "target": names[pair.target], "category": pair.category}
        points = {"points": pair.query_points[:3].tolist(), "target_points": pair.true_points[:3].tolist()}
        pairs.append(named | points | {"target_box": pair.target_box})
    pairs[-1]["target_points"][0] = None
    (folder / "world" / "pairs.json").write_text(json.dumps(pairs))
    evaluate(folder)
    (run,) = runs(folder)
    summary = json.loads((folder / "out/a-run/summary.json").read_text())
    return SimpleNamespace(folder=folder, run=run, summary=summary)
