"""The configurations say what they should, and become the parts of a run."""

from dataclasses import asdict

import pytest

from sdcorr import build
from sdcorr.cli import CONFIGS, compose
from sdcorr.errors import UserError
from sdcorr.prompt import PromptSettings
from sdcorr.toybox.dataset import Toybox

EXPERIMENTS = sorted(path.stem for path in (CONFIGS / "experiment").glob("*.yaml"))


def test_stable_diffusion_has_the_settings_of_the_released_code() -> None:
    assert build.settings(compose("eval", "model=sd14")) == PromptSettings()


def test_every_setting_is_in_the_config() -> None:
    assert set(compose("eval").method) == set(asdict(PromptSettings()))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_adds_variants(name: str) -> None:
    cfg = compose("eval", f"experiment={name}")
    methods = build.methods(cfg, Toybox("demo"))
    variants = [method for method in methods if "=" in method]
    assert len(variants) == len(cfg.variants) > 0
    for variant in variants:
        methods[variant]()  # its layers exist


def test_an_experiment_leaves_the_method_and_its_folder_as_they_are() -> None:
    plain, benchmark = compose("eval"), Toybox("demo")
    for name in EXPERIMENTS:
        cfg = compose("eval", f"experiment={name}")
        assert build.decisive(cfg, benchmark) == build.decisive(plain, benchmark)
        folder = build.run_folder(cfg, build.decisive(cfg, benchmark))
        assert folder == build.run_folder(plain, build.decisive(plain, benchmark))


@pytest.mark.parametrize("override", ["method.seed=1", "model.precision=bf16", "dataset.split=test"])
def test_what_decides_predictions_names_another_folder(override: str) -> None:
    plain, other = compose("eval"), compose("eval", override)
    first = build.run_folder(plain, build.decisive(plain, build.benchmark(plain)))
    assert build.run_folder(other, build.decisive(other, build.benchmark(other))) != first


def test_what_changes_no_result_does_not() -> None:
    plain, other = compose("eval"), compose("eval", "method.queries_per_batch=3", "trainer.accelerator=cpu")
    first = build.run_folder(plain, build.decisive(plain, build.benchmark(plain)))
    assert build.run_folder(other, build.decisive(other, build.benchmark(other))) == first


def test_an_override_that_does_not_fit() -> None:
    with pytest.raises(UserError, match="method.restart"):
        compose("eval", "method.restart=3")
