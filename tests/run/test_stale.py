"""What makes a record stale is noticed by the next evaluation, which predicts anew what may be, refuses what may not,
and keeps the rest. Each test changes one thing of a run that is finished, the smallest that there is."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from sdcorr.datasets import spair
from sdcorr.datasets.folder import Folder
from sdcorr.datasets.spair import SPair
from sdcorr.diffusion.fingerprint import identity, identity_of
from sdcorr.errors import UserError
from sdcorr.methods.base import Claim
from sdcorr.run.predict import predict
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.arrays import read
from tests.datasets.fixtures import SPAIR_LINES, spair_file, spair_tree
from tests.diffusion.layout import FILE, write_json, write_model, write_snapshot
from tests.run.fakes import FakeMethod

POINTS = {"points": [[3, 4], [10, 12]], "target_points": [[5, 5], [9, 9]]}
PAIRS = [("a.png", "b.png"), ("a.png", "c.png"), ("b.png", "c.png")]
SETTINGS = {"steps": 129, "layers": ["up_blocks.1", "up_blocks.2"]}


def paint(path: Path, color: str) -> None:
    Image.new("RGB", (30, 20), color).save(path)


def write_table(folder: Path, pairs: list[tuple[str, str]] = PAIRS, **changes: Any) -> None:
    rows = [{"source": source, "target": target} | POINTS | changes for source, target in pairs]
    (folder / "pairs.json").write_text(json.dumps(rows))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, color in (("a", "red"), ("b", "green"), ("c", "blue")):
        paint(folder / f"{name}.png", color)
    write_table(folder)
    return folder


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return write_model(tmp_path / "model")


class Evaluation:
    """`eval.py` as far as records are concerned, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[str] = []

    def __call__(
        self, pictures: Path, model: dict[str, Any] | None, version: int = 1, settings: dict[str, Any] = SETTINGS
    ) -> list[str]:
        """The ids of the pairs that are predicted."""
        return self.run(Folder(pictures), Claim("tests.Method", version, settings, model))

    def run(self, benchmark: Any, claim: Claim) -> list[str]:
        method, store, console = (
            FakeMethod(),
            PredictionStore(self.folder),
            Console(width=200),
        )
        with console.capture() as printed:
            store.claim_run({"dataset": {"name": benchmark.name, "split": benchmark.split}}, benchmark)
            store.claim("fake", claim)
            predict(benchmark, lambda: method, store, "fake", console=console)
        self.told = [line for line in printed.get().splitlines() if "source images" not in line]
        assert method.prepared == bool(method.matched), "a model is loaded for nothing, or not at all"
        return method.matched


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    return Evaluation(tmp_path / "run")


def scored(folder: Path) -> list[str]:
    """The pairs of which a reader of the finished run hears."""
    return read(PredictionStore(folder), "fake")["fake"].ids.tolist()


def test_what_has_not_changed_is_not_predicted_and_loads_no_model(evaluation, pictures, model) -> None:
    assert len(evaluation(pictures, identity(model))) == 3
    before = {path: path.read_bytes() for path in evaluation.folder.rglob("*") if path.is_file()}
    for path in (*pictures.iterdir(), *model.rglob("*")):
        os.utime(path)  # another time, and the same content
    assert evaluation(pictures, identity(model)) == [] and evaluation.told == []
    assert {path: path.read_bytes() for path in evaluation.folder.rglob("*") if path.is_file()} == before


class TestPicturesArePredictedAnew:
    @pytest.mark.parametrize(
        "name, stale, told",
        [
            ("a", ["a.png -> b.png", "a.png -> c.png"], "fake: 2 pairs are predicted anew, for a picture has changed"),
            ("c", ["a.png -> c.png", "b.png -> c.png"], "fake: 2 pairs are predicted anew"),
            ("b", ["a.png -> b.png", "b.png -> c.png"], "all others stay"),
        ],
    )
    def test_a_replaced_picture_costs_its_pairs_alone(self, evaluation, pictures, name, stale, told) -> None:
        evaluation(pictures, None)
        paint(pictures / f"{name}.png", "white")
        assert evaluation(pictures, None) == stale
        assert len(evaluation.told) == 1 and told in evaluation.told[0]
        assert evaluation(pictures, None) == [] and len(scored(evaluation.folder)) == 3

    def test_a_pixel_is_enough(self, evaluation, pictures) -> None:
        evaluation(pictures, None)
        with Image.open(pictures / "c.png") as image:
            image.putpixel((0, 0), (0, 0, 254))
            image.save(pictures / "c.png")
        assert len(evaluation(pictures, None)) == 2

    def test_a_time_that_is_set_back_hides_nothing(self, evaluation, pictures) -> None:
        evaluation(pictures, None)
        before = (pictures / "c.png").stat()
        content = (pictures / "c.png").read_bytes()
        (pictures / "c.png").write_bytes(content[:-1] + b"\x00")
        os.utime(pictures / "c.png", ns=(before.st_atime_ns, before.st_mtime_ns))
        assert len(evaluation(pictures, None)) == 2

    def test_another_root_is_other_pictures(self, evaluation, pictures, tmp_path) -> None:
        """The same annotations with darker pictures, into the same run folder: A3."""
        evaluation(pictures, None)
        darker = tmp_path / "darker"
        darker.mkdir()
        for path in pictures.glob("*.png"):
            with Image.open(path) as image:
                image.point(lambda value: value // 2).save(darker / path.name)
        write_table(darker)
        assert len(evaluation(darker, None)) == 3
        assert len(evaluation(pictures, None)) == 3  # and back

    def test_a_copy_of_the_root_is_the_same(self, evaluation, pictures, tmp_path) -> None:
        evaluation(pictures, None)
        pictures.rename(tmp_path / "elsewhere")
        assert evaluation(tmp_path / "elsewhere", None) == []

    def test_until_then_nobody_hears_the_old_number(self, evaluation, pictures, tmp_path) -> None:
        """The evaluation that would predict anew is stopped before it has."""
        evaluation(pictures, None)
        paint(pictures / "c.png", "white")
        store = PredictionStore(evaluation.folder)
        store.claim_run({"dataset": {"name": "folder", "split": "all"}}, Folder(pictures))
        store.claim("fake", Claim("tests.Method", 1, SETTINGS))
        store.begin("fake")
        assert scored(evaluation.folder) == ["a.png -> b.png"]

    def test_a_picture_that_is_replaced_meanwhile_stops_the_evaluation(self, evaluation, pictures) -> None:
        class Slow(FakeMethod):
            def match(self, unit, image):
                yield from super().match(unit, image)
                paint(pictures / "c.png", "white")

        store = PredictionStore(evaluation.folder)
        store.claim_run({"dataset": {"name": "folder", "split": "all"}}, Folder(pictures))
        store.claim("fake", Claim("tests.Method", 1, SETTINGS))
        with pytest.raises(UserError, match="The picture c.png was replaced .* run the same command again"):
            predict(Folder(pictures), Slow, store, "fake")
        assert sorted(evaluation(pictures, None)) == ["a.png -> c.png", "b.png -> c.png"]


class TestOfWhichPairsTheRunIs:
    def test_a_deleted_row_is_no_pair_for_anybody(self, evaluation, pictures) -> None:
        """A6: evaluation, `score` and `compare` speak of the same pairs."""
        evaluation(pictures, None)
        write_table(pictures, PAIRS[1:])
        assert evaluation(pictures, None) == []
        assert scored(evaluation.folder) == ["a.png -> c.png", "b.png -> c.png"]
        assert PredictionStore(evaluation.folder).left_out() == {"a.png -> b.png"}
        write_table(pictures)  # and back: nothing was lost
        assert evaluation(pictures, None) == [] and len(scored(evaluation.folder)) == 3

    def test_a_moved_point_is_another_pair(self, evaluation, pictures) -> None:
        evaluation(pictures, None)
        write_table(pictures, target_points=[[5, 5], [9, 9.5]])
        assert len(evaluation(pictures, None)) == 3

    def test_an_annotation_that_is_rewritten_in_place_under_a_cache(self, evaluation, tmp_path, monkeypatch) -> None:
        """A5: the folder's own time stays."""
        monkeypatch.setattr(spair, "WORTH_A_CACHE", 0)
        root = spair_tree(tmp_path / "SPair-71k")
        claim = Claim("tests.Method", 1, {})
        with pytest.warns(UserWarning, match="lists 3 pairs"):
            assert len(evaluation.run(SPair(str(root)), claim)) == 3
            path = spair_file(root, SPAIR_LINES[1])
            path.write_text(path.read_text().replace("[20, 30]", "[21, 30]"))  # as long as before
            assert evaluation.run(SPair(str(root)), claim) == [SPAIR_LINES[1]]


def change_json(file: str, **changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        plain = json.loads((folder / file).read_text()) if (folder / file).exists() else {}
        write_json(folder / file, plain | changes)

    return change


def change_weights(part: str) -> Callable[[Path], None]:
    """Flips one bit, in the last of the numbers."""

    def change(folder: Path) -> None:
        content = bytearray((folder / part / FILE).read_bytes())
        content[-1] ^= 1
        (folder / part / FILE).write_bytes(bytes(content))

    return change


CHANGES = {  # part of the model's identity -> changes of it
    "unet/weights": change_weights("unet"),
    "vae/weights": change_weights("vae"),
    "unet/config.json": change_json("unet/config.json", attention_head_dim=4),  # heads
    "vae/config.json": change_json("vae/config.json", scaling_factor=0.2),
    "scheduler/scheduler_config.json": change_json("scheduler/scheduler_config.json", beta_end=0.02),
    "text_encoder/config.json": change_json("text_encoder/config.json", max_position_embeddings=20),  # tokens
    "tokenizer/tokenizer_config.json": change_json("tokenizer/tokenizer_config.json"),  # which was not there
}


class TestModelAndSettingsAreRefused:
    @pytest.mark.parametrize("part", CHANGES)
    def test_the_model_is_not_what_it_was(self, evaluation, pictures, model, part) -> None:
        """A1 and A4, in the same folder under the same name."""
        evaluation(pictures, identity(model))
        before = {path: path.read_bytes() for path in evaluation.folder.rglob("*") if path.is_file()}
        CHANGES[part](model)
        with pytest.raises(UserError) as refusal:
            evaluation(pictures, identity(model))
        for words in (f"model.{part} is", "there and", "sdcorr redo", "--method fake", "another run_dir"):
            assert words in str(refusal.value)
        assert {path: path.read_bytes() for path in evaluation.folder.rglob("*") if path.is_file()} == before

    def test_the_hub_has_moved(self, evaluation, pictures, tmp_path, monkeypatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        write_snapshot(tmp_path / "hub", "owner/model", "1" * 40)
        evaluation(pictures, identity_of("owner/model"))
        assert evaluation(pictures, identity_of("owner/model")) == []
        write_snapshot(tmp_path / "hub", "owner/model", "2" * 40)
        with pytest.raises(UserError, match=f"model.commit is {'1' * 40} there and {'2' * 40} here"):
            evaluation(pictures, identity_of("owner/model"))
        assert evaluation(pictures, identity_of("owner/model", revision="1" * 40)) == []  # the old one is still had

    def test_the_method_s_code_has_another_version(self, evaluation, pictures) -> None:
        evaluation(pictures, None)
        with pytest.raises(UserError, match="version is 1 there and 2 here"):
            evaluation(pictures, None, version=2)

    def test_a_setting(self, evaluation, pictures) -> None:
        evaluation(pictures, None)
        with pytest.raises(UserError, match="settings.steps is 129 there and 130 here"):
            evaluation(pictures, None, settings=SETTINGS | {"steps": 130})

    def test_a_layer(self, evaluation, pictures) -> None:
        evaluation(pictures, None)
        with pytest.raises(UserError, match="settings.layers is .* there"):
            evaluation(pictures, None, settings=SETTINGS | {"layers": ["up_blocks.1"]})

    def test_a_method_that_was_forgotten_is_predicted_anew(self, evaluation, pictures) -> None:
        evaluation(pictures, None)
        PredictionStore(evaluation.folder).forget_method("fake")
        assert len(evaluation(pictures, None, version=2)) == 3


def test_matches_are_those_of_the_pictures_of_now(tmp_path, pictures) -> None:
    """With a method that looks: what is scored after a change is what a run from nothing gives."""

    class Looks(FakeMethod):
        def match(self, unit, image):
            for pair, match in super().match(unit, image):
                shift = float(np.asarray(image(pair.target), dtype=float).mean() / 255)
                yield pair, type(match)(match.points + shift, match.confidence)

    def run(folder: Path) -> np.ndarray:
        store, benchmark = PredictionStore(folder), Folder(pictures)
        store.claim_run({}, benchmark)
        store.claim("fake", Claim("tests.Looks", 1, {}))
        predict(benchmark, Looks, store, "fake")
        return read(PredictionStore(folder), "fake")["fake"].predicted

    first = run(tmp_path / "run")
    paint(pictures / "b.png", "white")
    second = run(tmp_path / "run")
    assert not np.array_equal(first, second) and np.array_equal(second, run(tmp_path / "from nothing"))
