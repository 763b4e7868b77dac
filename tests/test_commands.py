"""eval.py and train.py as a user meets them: the scripts themselves, real files, the shipped model."""

import json
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import wandb
from hydra.core.global_hydra import GlobalHydra
from PIL import Image
from safetensors import safe_open

from sdcorr.prompt import PromptMatcher
from sdcorr.toybox.dataset import drawing
from tests import wandb_service
from tests.datasets.trees import FOLDER_HEADER, FOLDER_ROWS, own_folder, write_csv

ROOT = Path(__file__).parent.parent
QUICK = ["method.steps=2", "method.restarts=1", "method.transfer_crops=2", "logger=none"]


Call = Callable[..., SimpleNamespace]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> Iterator[Call]:
    """Runs a script as `python script arguments` would in `tmp_path`, in this process: its imports take seconds."""
    wandb_service.start_afresh(monkeypatch)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)

    def run(script: str, *arguments: str) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        GlobalHydra.instance().clear()
        capfd.readouterr()
        code = 0
        try:
            runpy.run_path(str(ROOT / script), run_name="__main__")
        except SystemExit as end:
            code = end.code
        out, err = capfd.readouterr()
        return SimpleNamespace(returncode=code, stdout=out, stderr=err)

    yield run
    wandb.teardown()  # or later tests would meet its service, which began in this test's folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    drawing("2/cat/0").image.save(tmp_path / "a.png")
    drawing("2/cat/0/0").image.resize((96, 64)).save(tmp_path / "b.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:300])
    (tmp_path / "text.png").write_text("no picture")
    return tmp_path


def one_sentence(result: SimpleNamespace, *words: str) -> None:
    """Exit code 2, and nothing on stderr but one `error:` line that has these words."""
    assert result.returncode == 2, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    for word in words:
        assert word in lines[0], lines[0]


BAD_EVALUATIONS = {
    "dataset": (["dataset=pfwilow"], ["dataset", "pfwilow", "toybox"]),
    "split": (["dataset.split=tset"], ["tset", "demo"]),
    "model": (["model=sd99"], ["model", "sd99", "sd14"]),
    "layer": (["model.layers=[up_blocks.9.attentions.0]"], ["up_blocks.9.attentions.0", "up_blocks.2.attentions.1"]),
    "weights": (["model.path=nobody/nothing"], ["nobody/nothing"]),
    "folder without weights": (["model.path=."], ["model"]),
    "setting": (["method.restart=3"], ["method.restart", "restarts"]),
    "value": (["method.noise=pink"], ["noise", "uniform", "normal"]),
    "type": (["method.steps=many"], ["steps"]),
    "heads": (["method.heads=[7]"], ["7"]),
    "token": (["method.token=24"], ["24"]),
    "protocol": (["protocol=pascal"], ["pascal", "standard"]),
    "method": (["methods=[magic]"], ["magic", "same_pixel"]),
    "method's setting": (["method=same_pixel"], ["method.steps"]),
    "accelerator": (["trainer.accelerator=gpu"], ["gpu"]),
    "unwritable": (["run_dir=/proc/sdcorr"], ["/proc/sdcorr"]),
    "variant": (["methods=[prompt,{restart: 1}]"], ["restart", "restarts"]),
    "syntax": (["method.steps"], ["method.steps"]),
    "path": (["dataset=pfwillow", "dataset.root=2024"], ["dataset.root=2024", "./"]),
    "no path": (["dataset=spair", "dataset.root=null"], ["dataset.root=null", "path"]),
    "embeddings": (["embeddings=7"], ["embeddings=7", "null"]),
    "no list": (["methods=prompt"], ["methods=prompt", "[prompt,same_pixel]"]),
    "layer without list": (["model.layers=up_blocks.1.attentions.0"], ["model.layers", "[up_blocks.1.attentions.0]"]),
    "no layers": (["model.layers=null"], ["model.layers=null"]),
    "transfer layer": (["model.transfer_layers=up_blocks.1.attentions.0"], ["model.transfer_layers"]),
    "size": (["model.image_size=big"], ["model.image_size=big", "whole number"]),
    "tokens": (["model.tokens=0"], ["model.tokens=0", "from 1"]),
    "threshold": (["alphas=[0]"], ["alphas=[0]", "above 0"]),
    "no threshold": (["alphas=[]"], ["alphas=[]"]),
    "threshold in words": (["alphas=[tenth]"], ["tenth"]),
    "resamples": (["bootstrap=-1"], ["bootstrap=-1", "from 0"]),
    "pictures": (["pictures=many"], ["pictures=many"]),
    "cells of the maps": (["maps=500"], ["maps=500", "0 to 128"]),
    "pairs of the report": (["report.pairs=-1"], ["report.pairs=-1", "from 0"]),
    "methods": (["methods=3"], ["methods=3", "list"]),
    "variant in words": (["methods=[prompt,restarts]"], ["restarts", "read_once"]),
    "variant of nothing": (["methods=[prompt,{}]"], ["methods", "{restarts: 1}"]),
    "variant twice": (["methods=[prompt,{restarts: 3},{restarts: 3}]"], ["prompt_restarts_3", "name: NAME"]),
    "draws": (["methods=[prompt,{method: unet_features, draws: -1}]"], ["draws=-1", "from 0"]),
}


@pytest.mark.parametrize("name", BAD_EVALUATIONS)
def test_evaluation_answers_a_mistake_with_one_sentence(name: str, tmp_path: Path, call: Call) -> None:
    arguments, words = BAD_EVALUATIONS[name]
    result = call("eval.py", *QUICK, *arguments)
    one_sentence(result, *words)
    assert not list(tmp_path.rglob("*.json")), "something was written"


BAD_TRANSFERS = {
    "no source": (["points=[[1,2]]", "target=b.png"], ["source"]),
    "missing": (["source=none.png", "points=[[1,2]]", "target=b.png"], ["none.png"]),
    "corrupt": (["source=a.png", "points=[[1,2]]", "target=broken.png"], ["broken.png"]),
    "not a picture": (["source=text.png", "points=[[1,2]]", "target=b.png"], ["text.png"]),
    "folder": (["source=a.png", "points=[[1,2]]", "target=."], ["folder"]),
    "empty": (["source=a.png", "points=[]", "target=b.png"], ["empty"]),
    "no list": (["source=a.png", "points=7", "target=b.png"], ["7", "[[x,y],...]"]),
    "one number": (["source=a.png", "points=[[7]]", "target=b.png"], ["Point 1"]),
    "word": (["source=a.png", "points=[[1,2],[3,nose]]", "target=b.png"], ["Point 2", "nose"]),
    "outside": (["source=a.png", "points=[[1,2],[300,4]]", "target=b.png"], ["Point 2", "64 x 64"]),
    "no target": (["source=a.png", "points=[[1,2]]", "target=[]"], ["target"]),
    "null": (["source=null", "points=[[1,2]]", "target=b.png"], ["source=null"]),
    "number": (["source=7", "points=[[1,2]]", "target=b.png"], ["source=7", "./"]),
    "number in a list": (["source=a.png", "points=[[1,2]]", "target=[b.png,3]"], ["target=", "list"]),
    "mapping": (["source=a.png", "points=[[1,2]]", "target={b:1}"], ["target="]),
    "unwritable": (["source=a.png", "points=[[1,2]]", "target=b.png", "run_dir=/proc/sdcorr"], ["/proc/sdcorr"]),
}


@pytest.mark.parametrize("name", BAD_TRANSFERS)
def test_transfer_answers_a_mistake_with_one_sentence(name: str, pictures: Path, call: Call) -> None:
    arguments, words = BAD_TRANSFERS[name]
    one_sentence(call("train.py", *QUICK, *arguments), *words)
    assert not (pictures / "outputs").exists() or not list((pictures / "outputs").rglob("*.*"))


def test_own_pictures(pictures: Path, call: Call) -> None:
    arguments = ["source=a.png", "points=[[20,20],[40.5,30]]", "target=[b.png,a.png]", "run_dir=out"]
    result = call("train.py", *QUICK, *arguments)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "out"
    record = json.loads((pictures / "out/points.json").read_text())
    assert [Path(target["image"]).name for target in record["targets"]] == ["b.png", "a.png"]
    for target, (width, height) in zip(record["targets"], ((96, 64), (64, 64)), strict=True):
        points = np.array(target["points"])
        assert points.shape == (2, 2) and (points >= 0).all() and (points <= (width, height)).all()
        assert all(0 <= sure <= 1 for sure in target["confidence"])
    with safe_open(pictures / "out/embeddings.safetensors", "pt") as file:
        assert tuple(file.get_slice("embeddings").get_shape()[:2]) == (2, 1)
        assert json.loads(file.metadata()["points"]) == [[20, 20], [40.5, 30]]
    assert Image.open(pictures / "out/matches.png").size[0] > 300


def test_evaluation_leaves_a_whole_run(tmp_path: Path, call: Call) -> None:
    quick = [argument for argument in QUICK if argument != "logger=none"]
    arguments = [*quick, "methods=[prompt,same_pixel,unet_features]", "pictures=1", "run_dir=run", "bootstrap=50"]
    first = call("eval.py", *arguments)
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[-2:] == ["report: run/report.html", "run"]
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    for key in ("pck@0.10/per_point", "pck@0.10/per_point/low", "pck@0.05/per_image", "pairs", "points", "seconds"):
        assert isinstance(summary[key], int | float), key
    assert summary["pck@0.10/per_point/low"] <= summary["pck@0.10/per_point"] <= summary["pck@0.10/per_point/high"]
    assert "baseline/unet_features/pck@0.10/per_point/high" in summary
    assert "difference/same_pixel/pck@0.10/per_point/low" in summary
    assert {path.name for path in (tmp_path / "run/figures").iterdir()} == {"best-1.png", "worst-1.png"}
    assert list((tmp_path / "run/wandb").glob("offline-run-*/*.wandb"))
    page = (tmp_path / "run/report.html").read_text()
    assert f"{100 * summary['pck@0.10/per_point']:.1f} %" in page and "data:image/webp" in page

    again = call("eval.py", *arguments)  # nothing is left to predict: the same numbers
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "run/summary.json").read_text()) == summary

    other = call("eval.py", *arguments, "method.seed=1")
    one_sentence(other, "run", "seed")


def test_other_ways_to_transfer_optimize_nothing_again(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(own_folder(tmp_path / "own"), FOLDER_HEADER + FOLDER_ROWS)
    arguments = [*QUICK, "dataset=folder", "dataset.root=own", "methods=[prompt]", "pictures=0", "method.restarts=2"]
    first = call("eval.py", *arguments)  # embeddings go where they go by default
    assert first.returncode == 0, first.stderr
    monkeypatch.setattr(PromptMatcher, "_problem", None)  # what optimizes would trip over it
    ways = ["method.restarts=1", "method.transfer_crops=1", "method.localization=argmax", "experiment=transfer_layers"]
    for way in ways:
        again = call("eval.py", *arguments, way)
        assert again.returncode == 0, again.stderr
    with pytest.raises(TypeError):
        call("eval.py", *arguments, "method.steps=3")
