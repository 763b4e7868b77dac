"""What a run says before it begins: its work, the time, and what is quicker where that is long."""

from pathlib import Path

import pytest
import torch
from transformers import Dinov2Config, Dinov2Model

from sdcorr.cli import build, origin
from sdcorr.cli.ahead import Ahead, ahead, notice
from sdcorr.cli.compose import compose
from sdcorr.cli.evaluate import main
from sdcorr.datasets import group_by_source
from sdcorr.diffusion.flops import map_flops
from sdcorr.prompt.randomness import Query
from sdcorr.run.predict import predict
from sdcorr.run.store import PredictionStore
from tests import models
from tests.datasets.trees import own_folder, write_csv

CPU, GPU = torch.device("cpu"), torch.device("cuda")
WORK = {"prompt": 1.2e15, "unet_features": 2.5e11}  # 1,200 and 0.25 TFLOP


def said(tmp_path: Path, *overrides: str, predicted: str | None = None) -> str | None:
    """The notice of a run; of one that a method has done already, if that is named."""
    cfg = compose("eval", *overrides)
    benchmark, store = origin.benchmark(cfg), PredictionStore(tmp_path / "run")
    entries = build.methods(cfg, benchmark)
    store.claim_run(origin.run_identity(cfg, benchmark), benchmark)
    for entry in entries:
        if entry.kind.reads_model or entry.name == predicted:
            store.claim(entry.name, entry.claim())
        if entry.name == predicted:
            predict(benchmark, lambda made=entry: made.method, store, entry.name)
    return notice(cfg, benchmark, store, entries)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model for photographs."""
    return models.save_family(tmp_path_factory.mktemp("model"), "tiny_sd")


def test_drawings_with_their_own_model(tmp_path: Path) -> None:
    assert said(tmp_path, "dataset.split=demo") is None


def test_rules_cost_nothing(tmp_path: Path) -> None:
    assert said(tmp_path, "model=sd14", "methods=[same_pixel]") is None


def test_pictures_of_ones_own_with_the_toyboxs_model(tmp_path: Path) -> None:
    write_csv(own_folder(tmp_path), "source,target,x,y\na.png,sub/b.png,1,2\n")
    found = said(tmp_path, "dataset=folder", "model=toybox", f"dataset.root={tmp_path}", "methods=[prompt]")
    assert found == "The toybox's model knows only drawings: photographs need model=sd14."


def test_every_method_that_costs_something_is_named(tmp_path: Path, folder: Path) -> None:
    methods = "methods=[prompt,unet_features,same_pixel]"
    found = said(tmp_path, f"model.path={folder}", "dataset.split=demo", "limit=3", methods)
    assert found and found.startswith("ahead: 3 pairs, ") and "(prompt " in found and "; unet_features " in found
    assert "same_pixel" not in found


def test_the_time_is_that_of_each_methods_own_network(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paces = {"prompt.step_rate": 1e6, "unet_features.feature_rate": 1e9}
    for name, pace in paces.items():
        monkeypatch.setattr(f"sdcorr.methods.{name}", lambda *_, pace=pace: pace)
    cfg = compose("eval", f"model.path={folder}", "limit=3", "methods=[prompt,unet_features,same_pixel]")
    benchmark, store = origin.benchmark(cfg), PredictionStore(tmp_path / "run")
    store.claim_run(origin.run_identity(cfg, benchmark), benchmark)
    found = ahead(benchmark, store, build.methods(cfg, benchmark))
    assert found and found.seconds == pytest.approx(found.flops["prompt"] / 1e6 + found.flops["unet_features"] / 1e9)


def test_what_is_done_is_not_ahead(tmp_path: Path, folder: Path) -> None:
    methods = ["dataset.split=demo", "limit=3", "methods=[unet_features]", "method.draws=1", f"model.path={folder}"]
    assert said(tmp_path, *methods) is not None
    assert said(tmp_path, *methods, "model.image_size=64", predicted="unet_features") is None


class TestSentence:
    def test_hours_on_a_cpu(self) -> None:
        assert str(Ahead(90, 1800, WORK, 3.5 * 3600, CPU)) == (
            "ahead: 90 pairs, 1,800 points, 1,200 TFLOP (prompt 1,200; unet_features 0.25): about 3.5 h on this CPU, "
            "by a trial of its speed; the first source image will tell better. On a CPU this takes long: quicker are "
            "limit=10, methods=[read_once], methods=[unet_features], or a GPU."
        )

    def test_minutes_on_a_cpu_need_no_advice(self) -> None:
        assert str(Ahead(9, 90, WORK, 600, CPU)).endswith("will tell better.")

    def test_nothing_is_quicker_than_itself(self) -> None:
        found = str(Ahead(9, 90, {"read_once": 1e15}, 7200, CPU))
        assert "limit=" not in found and "methods=[read_once]" not in found and "methods=[unet_features]" in found

    def test_processes_share_the_time(self) -> None:
        found = str(Ahead(9, 90, {"prompt": 1e15}, 8 * 7200, GPU, processes=8))
        assert "1,000 TFLOP: about 2.0 h on this GPU with 8 processes," in found and "On a CPU" not in found

    def test_a_gpu_in_full_precision_is_told_of_less(self) -> None:
        advice = "model.precision=bf16 was 7.5 times faster on an H100"
        assert advice in str(Ahead(9, 90, WORK, 7200, GPU, precision="fp32"))
        for others in ({"precision": "bf16"}, {"precision": "tf32"}, {"precision": None}):
            assert str(Ahead(9, 90, WORK, 7200, GPU, **others)).endswith("will tell better.")
        assert str(Ahead(9, 90, WORK, 600, GPU, precision="fp32")).endswith("will tell better.")


def test_what_the_model_lacks_is_said_with_what_the_data_lack(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["dataset=pfwillow", f"dataset.root={tmp_path}", "model=sd14", "model.path=./nowhere", "logger=none"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.index("PF-Willow") < said.index("There is no model ./nowhere")
    assert main([*words, "methods=[same_pixel]"]) == 2
    assert "nowhere" not in capsys.readouterr().err


def test_a_vision_network_costs_a_pass_of_every_picture(tmp_path: Path) -> None:
    network = Dinov2Model(Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2))
    network.save_pretrained(tmp_path)
    vision = f"{{method: vision, network: {tmp_path}, side: 56}}"
    cfg = compose("eval", "model=sd14", "dataset.split=demo", f"methods=[{vision}]")
    units = group_by_source(origin.benchmark(cfg).pairs)
    (entry,) = build.methods(cfg, origin.benchmark(cfg))
    pictures = {unit.source for unit in units} | {pair.target for unit in units for pair in unit.pairs}
    tokens, width = (56 // 14) ** 2 + 1, 32
    patches = 2 * 16 * width * 3 * 14 * 14
    layers = 2 * (2 * tokens * width * width * (4 + 8) + 2 * 2 * tokens * tokens * width)
    assert entry.method.flops(units) == len(pictures) * (patches + layers)


def test_stored_embeddings_are_not_ahead(tmp_path: Path, folder: Path) -> None:
    stored = f"embeddings={tmp_path / 'embeddings'}"
    cfg = compose("eval", f"model.path={folder}", "dataset.split=demo", "methods=[prompt]", stored)
    (entry,) = build.methods(cfg, origin.benchmark(cfg))
    units = group_by_source(origin.benchmark(cfg).pairs)[:2]
    before, settings = entry.method.flops(units), entry.method.settings
    store = entry.resources.embedding_store(settings.of_optimization())
    x, y = units[0].points[0].tolist()
    known = [Query(units[0].source, x, y, restart) for restart in range(settings.restarts)]
    store.save(units[0].source, "of its picture", known, torch.zeros(len(known), 2, 3))
    points = sum(len(unit.points) for unit in units)
    step = map_flops(entry.resources.blueprint()).step * settings.steps * settings.restarts
    assert before - entry.method.flops(units) == pytest.approx(step, rel=1e-6) and points > 1
