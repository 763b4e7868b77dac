"""The configurations say what they should, and become the parts of a run."""

from dataclasses import asdict
from pathlib import Path

import pytest

from sdcorr.cli import build
from sdcorr.cli.command import CONFIGS, compose
from sdcorr.errors import UserError
from sdcorr.prompt import PromptSettings
from sdcorr.toybox.dataset import Toybox
from tests.datasets.trees import own_folder, write_csv

EXPERIMENTS = sorted(path.stem for path in (CONFIGS / "experiment").glob("*.yaml"))


def test_stable_diffusion_has_the_settings_of_the_released_code() -> None:
    assert build.settings(compose("eval", "model=sd14")) == PromptSettings()


def test_every_setting_is_in_the_config() -> None:
    assert set(compose("eval").method) == {"_target_", *asdict(PromptSettings())}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_adds_variants(name: str) -> None:
    cfg = compose("eval", f"experiment={name}")
    methods = build.methods(cfg, Toybox("demo"))
    variants = [method for method in methods if "=" in method]
    assert len(variants) == len(cfg.variants) > 0
    for variant in variants:
        methods[variant]()  # its layers exist


@pytest.mark.parametrize("name", ["layers", "transfer_layers"])
@pytest.mark.parametrize("model", ["toybox", "sd14"])
def test_single_layers_are_those_of_the_model_that_is_chosen(name: str, model: str) -> None:
    cfg = compose("eval", f"experiment={name}", f"model={model}")
    assert [list(changes[name]) for changes in cfg.variants] == [[layer] for layer in cfg.model.layers]


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ("{layers: [up_blocks.9.attentions.0]}", "no cross-attention layer up_blocks.9.attentions.0: .*up_blocks.2"),
        ("{transfer_layers: [up_blocks.3.attentions.0]}", "up_blocks.3.attentions.0: choose from down_blocks.0"),
        ("{layers: []}", "must name one layer or more"),
        ("{layers: up_blocks.2.attentions.1}", r"no list of layers: give {layers: \[up_blocks.2.attentions.1\]}"),
        ("{precision: fp8}", "fp8.*fp32"),
    ],
)
def test_what_a_variant_cannot_have_is_told_before_any_work(changes: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        build.methods(compose("eval", f"variants=[{changes}]"), Toybox("demo"))


def test_a_variant_may_read_a_layer_that_was_cut_off() -> None:
    layers = "model.layers=[down_blocks.1.attentions.0]"
    cfg = compose("eval", layers, "variants=[{layers: [up_blocks.2.attentions.1]}]")
    made = build.methods(cfg, Toybox("demo"))["layers=up_blocks.2.attentions.1"]()
    assert made.matcher.backbone.layers == ("up_blocks.2.attentions.1",)


def test_two_folders_of_one_s_own_are_two_runs(tmp_path: Path) -> None:
    names = set()
    for name in ("a", "b"):
        write_csv(own_folder(tmp_path / name), "source,target,x,y\na.png,sub/b.png,1,2\n")
        for root in (tmp_path / name, tmp_path / "a" / ".." / name):
            cfg = compose("eval", "dataset=folder", f"dataset.root={root}")
            names.add(build.run_folder(cfg, build.decisive(cfg, build.benchmark(cfg))))
    assert len(names) == 2


@pytest.mark.parametrize(
    "override", ["model.tokens=20", "model.image_size=128", "model.precision=bf16", "method.seed=1"]
)
def test_what_decides_embeddings_names_another_folder(override: str) -> None:
    folders = []
    for overrides in ([], [override]):
        cfg = compose("eval", *overrides)
        settings = build.settings(cfg).of_optimization()
        folders.append(build.embedding_store(cfg, build.backbone(cfg), settings, "toybox").folder)
    assert folders[0] != folders[1]


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
