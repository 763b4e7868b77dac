"""A configuration becomes the parts of a run: its methods, what they claim, its folder."""

from dataclasses import asdict
from functools import cache
from pathlib import Path

import pytest

from sdcorr.cli import build, origin
from sdcorr.cli.compose import compose
from sdcorr.cli.configs import choices
from sdcorr.errors import UserError
from sdcorr.methods.position import SamePixel
from sdcorr.methods.prompt import Prompt
from sdcorr.prompt import PromptSettings
from sdcorr.toybox.dataset import Toybox
from tests.datasets.trees import own_folder, write_csv

DEMO = Toybox("demo")


def entries(*overrides: str) -> list[build.Entry]:
    return build.methods(compose("eval", *overrides), DEMO)


@cache
def folder(*overrides: str) -> Path:
    cfg = compose("eval", *overrides)
    benchmark = origin.benchmark(cfg)
    return build.run_folder(cfg, benchmark, build.methods(cfg, benchmark)[0])


def test_stable_diffusion_has_the_settings_of_the_released_code() -> None:
    (entry,) = entries("model=sd14", "methods=[prompt]")
    assert entry.method.settings == PromptSettings()


def test_every_setting_is_in_the_config() -> None:
    assert set(compose("eval").method) - {"_target_"} == {*asdict(PromptSettings()), *Prompt.beside_paper}


@pytest.mark.parametrize("name", choices("experiment", "eval"))
def test_every_experiments_methods_can_be_made(name: str) -> None:
    made = entries(f"experiment={name}")
    assert len(made) > 1 and all(entry.method for entry in made)


def test_a_survey_leaves_out_what_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = entries("methods=[same_pixel,{method: vision, network: ./nothing},cleandift,unet_features]")
    with pytest.warns(UserWarning, match="is left out") as told:
        found = build.at_hand(given)
    assert [entry.name for entry in found] == ["same_pixel", "unet_features"]
    first, second = (str(each.message) for each in told)
    assert "There is no folder" in first and "cleandift is left out. There is no cleandift_sd21_unet" in second


def test_a_survey_of_nothing() -> None:
    given = entries("methods=[{method: vision, network: ./nothing}]")
    with pytest.warns(UserWarning), pytest.raises(UserError, match="None of the methods can be run here"):
        build.at_hand(given)


@pytest.mark.parametrize("name", ["transfer_layers", "layers"])
def test_a_variants_layers_are_there(name: str) -> None:
    for entry in entries(f"experiment={name}")[1:]:
        entry.method.prepare()


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ("{model: {layers: [up_blocks.9.attentions.0]}}", "no cross-attention layer up_blocks.9.attentions.0"),
        ("{model: {transfer_layers: [up_blocks.9.attentions.0]}}", "up_blocks.9.attentions.0"),
        ("{model: {precision: fp8}}", "fp8.*fp32"),
    ],
)
def test_what_a_variant_cannot_have_is_said_when_it_is_prepared(changes: str, complaint: str) -> None:
    *_, variant = entries(f"methods=[prompt,{changes}]")
    with pytest.raises(UserError, match=complaint):
        variant.method.prepare()


def test_a_variant_may_read_a_layer_that_the_subject_cut_off() -> None:
    layers = "model.layers=[down_blocks.1.attentions.0]"
    *_, variant = entries(layers, "methods=[prompt,{model: {layers: [up_blocks.2.attentions.1]}}]")
    assert variant.resources.backbone().layers == ("up_blocks.2.attentions.1",)


def test_methods_of_one_model_share_it() -> None:
    ours, other = entries("methods=[prompt,{restarts: 1}]")
    assert ours.resources.backbone() is other.resources.backbone()


def test_a_method_without_a_model_loads_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*args, **kwargs):
        raise AssertionError("a model is loaded")

    monkeypatch.setattr("sdcorr.diffusion.FrozenDiffusion.load", load)
    (entry,) = entries("methods=[same_pixel]", "model=sd14", "model.path=nobody/nothing")
    entry.method.prepare()
    assert entry.claim().model is None and entry.kind is SamePixel


class TestClaim:
    def claim(self, *overrides: str, number: int = 0) -> dict:
        return asdict(entries(*overrides)[number].claim())

    @pytest.mark.parametrize("override", ["method.seed=1", "model.precision=bf16", "model.image_size=128"])
    def test_has_what_decides_a_result(self, override: str) -> None:
        assert self.claim("methods=[prompt]") != self.claim("methods=[prompt]", override)

    @pytest.mark.parametrize(
        "overrides",
        [["method.queries_per_batch=3"], ["model.channels_last=false"], ["trainer.accelerator=cpu"], ["maps=0"]],
    )
    def test_has_nothing_else(self, overrides: list[str]) -> None:
        assert self.claim("methods=[prompt]") == self.claim("methods=[prompt]", *overrides)

    def test_is_the_same_whatever_it_is_compared_with(self) -> None:
        assert self.claim("methods=[prompt]") == self.claim("methods=[prompt,same_pixel]")
        alone = self.claim("methods=[same_pixel]")
        assert alone == self.claim("methods=[prompt,same_pixel]", "method.steps=3", number=1)


class TestFolder:
    def test_of_two_folders_of_ones_own_are_two(self, tmp_path: Path) -> None:
        names = set()
        for name in ("a", "b"):
            write_csv(own_folder(tmp_path / name), "source,target,x,y\na.png,sub/b.png,1,2\n")
            for root in (tmp_path / name, tmp_path / "a" / ".." / name):
                names.add(folder("dataset=folder", f"dataset.root={root}"))
        assert len(names) == 2

    def test_is_called_as_what_the_run_is_of(self, tmp_path: Path) -> None:
        root = own_folder(tmp_path / "my cats")
        for name in ("pairs.csv", "val.csv"):
            write_csv(root, "source,target,x,y\na.png,sub/b.png,1,2\n", name)
        own = ["dataset=folder", f"dataset.root={root}", "methods=[prompt,same_pixel]"]
        model = ["model=sd14", f"model.path={tmp_path / 'my-model'}"]
        assert folder(*own, "dataset.pairs=pairs.csv", *model).name.startswith("folder-my_cats-my-model-")
        assert folder(*own, "dataset.pairs=val.csv").name.startswith("folder-my_cats-val-toybox-")
        assert folder("limit=3").name.startswith("toybox-demo-toybox-")
        cfg = compose("eval", "dataset=folder", f"dataset.root={root}", "dataset.pairs=val.csv", "methods=[same_pixel]")
        of = origin.benchmark(cfg)
        assert build.logged(cfg, of, build.methods(cfg, of), 1)["group"] == "folder-my_cats-val"

    @pytest.mark.parametrize("override", ["method.seed=1", "model.precision=bf16", "dataset.split=test"])
    def test_is_another_for_what_the_subject_is(self, override: str) -> None:
        assert folder() != folder(override)

    @pytest.mark.parametrize("override", ["method.queries_per_batch=3", "methods=[prompt]", "trainer.accelerator=cpu"])
    def test_is_the_same_for_everything_else(self, override: str) -> None:
        assert folder() == folder(override)

    @pytest.mark.parametrize("name", choices("experiment", "eval"))
    def test_of_an_experiment_is_the_subjects(self, name: str) -> None:
        assert folder(f"experiment={name}") == folder()


@pytest.mark.parametrize(
    "override", ["model.tokens=20", "model.image_size=128", "model.precision=bf16", "method.seed=1"]
)
def test_what_decides_embeddings_names_another_folder(override: str) -> None:
    folders = []
    for overrides in ([], [override]):
        (entry,) = entries("methods=[prompt]", *overrides)
        folders.append(entry.resources.embedding_store(entry.method.settings.of_optimization()).folder)
    assert folders[0] != folders[1]


@pytest.mark.parametrize(
    "target, complaint",
    [
        (
            "nonsense",
            r"prompt._target_=nonsense names no class \(No module named 'nonsense'\): .*base.Method",
        ),
        ("sdcorr.methods.prompt_units.match_unit", "names no class .*type 'function'"),
        ("json.JSONDecoder", "names a class of another kind"),
        ("sdcorr.methods.base.Method", "names a class of another kind"),
        ("3", "prompt._target_=3 names no class"),
    ],
)
def test_a_class_that_is_no_method(target: str, complaint: str) -> None:
    cfg = compose("eval", f"method._target_={target}")
    for ask in (lambda: build.methods(cfg, DEMO), lambda: build.model_lacking(cfg)):
        with pytest.raises(UserError, match=complaint):
            ask()
    with pytest.raises(UserError, match=complaint.removeprefix("prompt")):
        build.matcher(cfg)


def test_a_method_that_does_not_suit_the_pairs(tmp_path: Path) -> None:
    write_csv(own_folder(tmp_path / "own"), "source,target,x,y\na.png,sub/b.png,1,2\n")
    cfg = compose(
        "eval", "dataset=folder", f"dataset.root={tmp_path / 'own'}", "methods=[same_pixel,same_box_position]"
    )
    with pytest.warns(UserWarning, match="same_box_position is left out, for 1 of 1 pairs have no boxes in folder"):
        assert [entry.name for entry in build.methods(cfg, origin.benchmark(cfg))] == ["same_pixel"]
    cfg = compose("eval", "dataset=folder", f"dataset.root={tmp_path / 'own'}", "methods=[same_box_position]")
    with pytest.raises(UserError, match="same_box_position cannot be used on folder"):
        build.methods(cfg, origin.benchmark(cfg))


class TestLimit:
    def test_is_an_even_spread_with_a_folder_of_its_own(self) -> None:
        cfg = compose("eval", "limit=7")
        part = origin.benchmark(cfg)
        assert len(part.pairs) == 7 == len({pair.category for pair in part.pairs})
        assert part.digest(part.pairs[0].source) == DEMO.digest(part.pairs[0].source)
        assert origin.run_identity(cfg, part)["dataset"]["limit"] == 7 and folder("limit=7") != folder()

    def test_none_is_all(self) -> None:
        assert [pair.id for pair in origin.benchmark(compose("eval")).pairs] == [pair.id for pair in DEMO.pairs]


class TestAsk:
    def test_hidden_points_make_another_run_and_visible_ones_the_run_that_it_always_was(self) -> None:
        cfg = compose("eval")
        assert "ask" not in origin.run_identity(cfg, DEMO)["dataset"]  # as before there was a choice
        every = compose("eval", "dataset.ask=all")
        assert origin.run_identity(every, DEMO)["dataset"]["ask"] == "all"
        assert sum(int(pair.asked.sum()) for pair in origin.benchmark(every).pairs) == 165 + 3
        assert folder("dataset.ask=all") != folder() == folder("dataset.ask=visible")
