"""Attention maps and losses of watched source images, read back from an offline run."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from omegaconf import OmegaConf
from PIL import Image

from sdcorr.datasets.base import unit_name
from sdcorr.errors import UserError
from sdcorr.tracking import Watch
from tests.datasets.trees import own_folder, write_csv
from tests.run.fakes import make_pair
from tests.tracking.conftest import EVAL


def test_each_watched_source_has_its_own_axis(evaluated: SimpleNamespace) -> None:
    watched = [f"attention/{unit_name(f'2-{name}-0.png').replace('.', '_')}" for name in ("bird", "fish")]
    assert {key.rpartition("/")[0] for row in evaluated.run.history for key in row if "attention" in key} == set(
        watched
    )
    for prefix in watched:
        assert evaluated.run.logged(f"{prefix}/step") == [0, 1]
        assert all(0 < loss < 1 for loss in evaluated.run.logged(f"{prefix}/loss"))
        for name in ("loss", "crop", "target"):
            assert len(evaluated.run.logged(f"{prefix}/{name}")) == 2
            assert evaluated.run.axes[f"{prefix}/{name}"] == f"{prefix}/step"
        for name in ("crop", "target"):
            assert evaluated.run.picture(evaluated.run.logged(f"{prefix}/{name}")[-1]).exists()


def test_steps_only_grow_and_nothing_hides_an_axis(evaluated: SimpleNamespace) -> None:
    steps = evaluated.run.logged("_step")
    assert steps == sorted(set(steps))
    assert "*" not in evaluated.run.axes and not evaluated.run.logged("trainer/global_step")


COLORS = {"x": (255, 0, 0), "y": (0, 0, 255)}


class Few:
    """Three sources of two targets each, of which some pictures cannot be read."""

    name, split = "few", "test"
    pairs = tuple(make_pair(f"{source}-{target}") for source in "abc" for target in ("x", "y"))

    def __init__(self, *broken: str) -> None:
        self.broken = broken

    def image(self, key: str) -> Image.Image:
        if key in self.broken:
            raise UserError(f"{key} is broken")
        return Image.new("RGB", (4, 4), COLORS[key])


SETTINGS = OmegaConf.create({"name": "wandb", "watch": 2, "every": 3})


def watched(watch: Watch, source: str, *, optimized: bool) -> list[str]:
    """The prefixes of who looks on at a source image, whose embeddings may be known already."""
    callbacks = watch(source)
    for callback in callbacks:
        if optimized:
            callback.on_fit_end(Mock(), Mock())
    return [callback.prefix for callback in callbacks]


def test_as_many_are_watched_as_are_asked_for() -> None:
    watch = Watch(Few(), SETTINGS, Mock())
    assert watched(watch, "a", optimized=True) == [f"attention/{unit_name('a')}"]
    assert watched(watch, "a", optimized=True) == []  # a second time, of another method
    assert watched(watch, "b", optimized=True) and watched(watch, "c", optimized=True) == []


def test_one_with_nothing_to_watch_does_not_count() -> None:
    watch = Watch(Few(), SETTINGS, Mock())
    for source in "ab":
        watched(watch, source, optimized=False)
    assert all(watched(watch, source, optimized=True) for source in "ca")
    assert watched(watch, "b", optimized=True) == []


@pytest.mark.parametrize("broken, target", [([], "x"), (["x"], "y"), (["x", "y"], None)])
def test_the_first_target_that_can_be_read_is_drawn(broken: list[str], target: str | None) -> None:
    (callback,) = Watch(Few(*broken), SETTINGS, Mock())("b")
    assert (callback.target and callback.target.getpixel((0, 0))) == (target and COLORS[target])


@pytest.mark.slow
def test_without_a_logger_wandb_is_not_even_imported(tmp_path: Path) -> None:
    write_csv(own_folder(tmp_path / "own"), "source,target,x,y,target_x,target_y\na.png,sub/b.png,1,2,3,4\n")
    settings = ["method.steps=1", "method.restarts=1", "method.transfer_crops=1", "embeddings=null", "logger=none"]
    settings += ["methods=[prompt]", "bootstrap=0", "pictures=0", "dataset=folder", "dataset.root=own", "run_dir=run"]
    script = f"""
import runpy, sys
sys.argv = ["eval.py", *{settings!r}]
try:
    runpy.run_path({str(EVAL)!r}, run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
print(sorted(name for name in sys.modules if name == "wandb" or name.startswith("sdcorr.tracking")))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/summary.json").exists()
    assert done.stdout.splitlines()[-1] == "[]"
