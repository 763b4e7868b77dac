"""The recipes of CONTRIBUTING.md, done as they are written: its code goes to where the text says, and is run."""

import json
import re
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra

import sdcorr.datasets
import sdcorr.methods
import sdcorr.scoring.metrics
from sdcorr.cli import compose as composing
from sdcorr.cli import configs
from sdcorr.cli.main import main
from sdcorr.diffusion.families import FAMILIES
from sdcorr.errors import UserError
from sdcorr.scoring.arrays import Arrays
from sdcorr.scoring.protocols import PROTOCOLS
from tests.datasets.fixtures import save_image
from tests.run.fakes import make_pair

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
CODE = re.compile(r"Write `(?P<path>[\w/.]+)`(?:(?!Write `).)*?```(?:python|yaml)\n(?P<code>.*?)```", re.S)
FILES = {found["path"]: textwrap.dedent(found["code"]) for found in CODE.finditer(TEXT)}


@pytest.fixture
def written(tmp_path, monkeypatch):
    """The files of the recipes, as if they lay in the repository."""
    for path in configs.CONFIGS.rglob("*.yaml"):
        copy = tmp_path / "configs" / path.relative_to(configs.CONFIGS)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    for path, code in FILES.items():
        assert not (Path(__file__).parents[1] / path).exists(), f"{path} is there now: the recipe needs another example"
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(code)
    monkeypatch.setattr(configs, "CONFIGS", tmp_path / "configs")
    for package in (sdcorr.datasets, sdcorr.methods, sdcorr.scoring.metrics):
        folder = tmp_path.joinpath(*package.__name__.split("."))
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    for name in ("datasets.doors", "methods.mirrored_pixel", "scoring.metrics.near"):
        monkeypatch.delitem(sys.modules, f"sdcorr.{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    GlobalHydra.instance().clear()
    return tmp_path


@pytest.fixture
def doors(written):
    save_image(written / "data/Doors/images/a.png", (40, 20))
    save_image(written / "data/Doors/images/b.png", (80, 60))
    lines = ["a.png b.png 10 5 20 15 40 20 0 60", "b.png a.png 0 30 40 10"]
    (written / "data/Doors/test.txt").write_text("\n".join(lines))
    return written


def test_every_recipe_has_its_code():
    assert list(FILES) == [
        *("sdcorr/datasets/doors.py", "configs/dataset/doors.yaml"),
        *("sdcorr/methods/mirrored_pixel.py", "configs/method/mirrored_pixel.yaml"),
        *("sdcorr/scoring/metrics/near.py", "configs/model/dreamshaper.yaml"),
    ]


def test_a_data_set_and_a_method(doors, capfd):
    assert main(["inspect", "dataset=doors"]) == 0
    assert "2, as published" in capfd.readouterr().out
    settings = ["methods=[mirrored_pixel,same_pixel]", "logger=none", "bootstrap=20", "run_dir=run"]
    assert main(["eval", "dataset=doors", *settings]) == 0, capfd.readouterr().err
    summary = json.loads((doors / "run/summary.json").read_text())
    assert (summary["pairs"], summary["points"]) == (2, 3)
    assert summary["pck@0.10/per_point"] == 2 / 3  # a's second point and b's: (40, 20) of 40 x 20 is (0, 60) of 80 x 60
    assert summary["baseline/same_pixel/pck@0.10/per_point"] == 1 / 3  # a's first: (10, 5) is (20, 15)


def test_a_damaged_line_of_the_data_set_is_left_out(doors):
    from sdcorr.datasets.doors import Doors  # type: ignore[import-not-found]

    with (doors / "data/Doors/test.txt").open("a") as file:
        file.write("\na.png b.png 1 2 three 4")
    found = Doors("data")
    assert found.pairs[0].target_points.tolist() == [[20, 15], [0, 60]] and found.image("b.png").size == (80, 60)
    ((_, why),) = found.broken
    assert "is not two images and four numbers a point: get it with `sdcorr prepare doors`" in why
    with pytest.raises(UserError, match="no Doors in nowhere"):
        Doors("nowhere")


def test_a_metric(written):
    from sdcorr.scoring.metrics.near import METRIC  # type: ignore[import-not-found]

    pair = make_pair(points=3, target_points=[[10, 10], [20, 20], [30, 30]])
    arrays = Arrays.of("spair", [(pair, np.array([[10, 10], [23, 24], [30, 35.5]]))])
    assert METRIC.of_points(arrays, PROTOCOLS["standard"], [0.1]).tolist() == [[1], [1], [0]]
    assert METRIC.name == "near"


def test_a_model(written):
    found = composing.compose("eval", "model=dreamshaper")
    assert (found.model.name, found.model.path) == ("dreamshaper", "Lykon/dreamshaper-8")
    assert tuple(found.model.layers) == FAMILIES["sd15"].layers
    assert found.method.sigma == yaml.safe_load((configs.CONFIGS / "method/prompt.yaml").read_text())["sigma"]
