"""Attention maps and losses of watched source images, read back from an offline run."""

import torch
from omegaconf import OmegaConf

from sdcorr.datasets.base import unit_name
from sdcorr.diffusion import FrozenDiffusion
from sdcorr.prompt.module import run
from sdcorr.toybox.dataset import Toybox
from sdcorr.tracking import Watch
from tests.prompt.test_module import problem


def test_each_watched_source_has_its_own_axis(evaluated) -> None:
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


def test_steps_only_grow_and_nothing_hides_an_axis(evaluated) -> None:
    steps = evaluated.run.logged("_step")
    assert steps == sorted(set(steps))
    assert "*" not in evaluated.run.axes and not evaluated.run.logged("trainer/global_step")


def test_a_source_in_several_batches_is_watched_in_the_first(small_backbone: FrozenDiffusion, monkeypatch) -> None:
    module, crops = problem(small_backbone)
    crops.queries = [query._replace(image="2/cat/0") for query in crops.queries]
    fitted = []
    monkeypatch.setattr("sdcorr.tracking.watch.fit", lambda *which, **trainer: fitted.append(trainer) or run(*which))
    watch = Watch(Toybox("demo"), OmegaConf.create({"name": "wandb", "watch": 2, "every": 1}))
    assert torch.equal(watch(module, crops), watch(*problem(small_backbone)[:1], crops))
    assert len(fitted) == 1 and watch.watched == {"2/cat/0"}
    assert fitted[0]["log_every_n_steps"] == 0, "the Trainer would log its own steps, anew for every source image"
