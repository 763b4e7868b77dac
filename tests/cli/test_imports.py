"""`sdcorr import` and `sdcorr export` as they are called, on drawings; and on another project's real file."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from sdcorr.cli.main import main
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.arrays import read
from sdcorr.scoring.protocols import PROTOCOLS, protocol_named
from sdcorr.scoring.score import score
from sdcorr.scoring.summary import flatten
from sdcorr.toybox.dataset import Toybox

REAL = Path(os.environ.get("SDCORR_REAL", ""))
PEER = REAL / "peer" / "pfwillow_dinov2_base_zero_shot.csv"


@pytest.fixture(scope="module")
def demo():
    return Toybox("demo")


def perfect(path: Path, benchmark) -> Path:
    """Predictions that are right everywhere, in a square of twice the size."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["idx", "kp", "u", "v"])
        for index, pair in enumerate(benchmark.pairs):
            names = [name for name, seen in zip(pair.names, pair.visible, strict=True) if seen]
            for name, (x, y) in zip(names, pair.true_points.tolist(), strict=True):
                writer.writerow([index, name, 2 * x, 2 * y])
    return path


def test_import_score_and_export(demo, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    size = demo.pairs[0].target_size[0]
    words = ["import", str(perfect(tmp_path / "mine.csv", demo)), "--dataset", "toybox", "--method", "mine"]
    assert main([*words, "--columns", "x=u", "y=v", "--frame", f"squashed:{2 * size}"]) == 0
    *told, run = capsys.readouterr().out.splitlines()
    assert run == "outputs/toybox-demo-imported" and "of 28 pairs" in told[0]
    assert told[1] == "read: index=idx, point=kp, x=u, y=v; key-points by their name"
    store = PredictionStore(run)
    summary = flatten(score(read(store, "mine"), "mine", PROTOCOLS["standard"], samples=0))
    assert summary["pck@0.01/per_point"] == 1 and summary["error_px/per_point"] < 1e-12
    assert main(["export", run, "--to", "again.json"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "again.json"
    assert main(["import", "again.json", "--dataset", "toybox", "--method", "again"]) == 0
    assert store.noted_methods() == ["mine", "again"]


@pytest.mark.slow
def test_an_evaluation_is_compared_with_what_was_imported_into_its_folder(demo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = perfect(tmp_path / "mine.csv", demo)
    words = ["--dataset", "toybox", "--method", "mine", "--run", "run", "--columns", "x=u", "y=v"]
    assert main(["import", str(path), *words, "--frame", f"squashed:{2 * demo.pairs[0].target_size[0]}"]) == 0
    few = ["bootstrap=20", "pictures=0", "report.pairs=0", "embeddings=null", "logger=none"]
    assert main(["eval", "dataset=toybox", "methods=[same_pixel]", "run_dir=run", *few]) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["baseline/mine/pck@0.10/per_point"] == 1 > summary["pck@0.10/per_point"]
    assert PredictionStore("run").noted_methods() == ["same_pixel", "mine"]


@pytest.mark.parametrize(
    "words, said",
    [
        (["--dataset", "toybox"], "required: --method"),
        (["--dataset", "nowhere", "--method", "mine"], "no data set 'nowhere': choose one of"),
        (["--dataset", "toybox", "--method", "../mine"], "cannot be called '../mine'"),
        (["--dataset", "toybox", "--method", "mine", "--frame", "round"], "no frame 'round'"),
        (["--dataset", "toybox", "--method", "mine", "--columns", "x"], "--columns x is no NAME=VALUE"),
        (["--dataset", "toybox", "--method", "mine", "dataset.splt=val"], "splt"),
        (["--dataset", "toybox", "--method", "mine"], "Cannot read mine.csv"),
    ],
)
def test_a_mistake_is_one_sentence(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["import", "mine.csv", *words]) == 2
    answer = capsys.readouterr().err
    assert said in answer and answer.startswith("error: ") and len(answer.splitlines()) == 1
    assert not (tmp_path / "outputs").exists()


def test_neither_command_waits_for_torch(tmp_path):
    """What takes seconds to import is not needed to read a file and a data set."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in "ab":
        Image.new("RGB", (40, 30)).save(folder / f"{name}.png")
    (folder / "pairs.csv").write_text("source,target,x,y,target_x,target_y\na.png,b.png,5,6,7,8\n")
    (tmp_path / "mine.csv").write_text("index,x,y\n0,9,8\n")
    words = ["import", "mine.csv", "--dataset", "folder", "--method", "mine", "--run", "run", f"dataset.root={folder}"]
    code = f"""
import sys
from sdcorr.cli.main import main
assert main({words}) == main(["export", "run", "--to", "again.csv"]) == 0
slow = {{"torch", "matplotlib", "wandb", "diffusers", "lightning"}} & set(sys.modules)
assert not slow, slow
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again.csv").read_text().splitlines()[1].endswith(",1,9.0,8.0,1.0,7.0,8.0")


@pytest.mark.skipif(not PEER.is_file(), reason="real data: set SDCORR_REAL to their folder")
def test_another_projects_numbers_on_pf_willow(tmp_path, monkeypatch):
    """Its stats.json has 54.13, 80.78 and 93.78 %, relative to the longer side of the picture."""
    monkeypatch.chdir(tmp_path)
    words = ["--dataset", "pfwillow", "--method", "dinov2", "--where", "threshold=0.1", "--run", "run"]
    assert main(["import", str(PEER), *words, f"dataset.root={REAL / 'PF-WILLOW'}"]) == 0
    arrays = read(PredictionStore("run"), "dinov2")
    protocol, alphas = protocol_named("image_side", "pfwillow"), ("0.05", "0.10", "0.20")
    summary = flatten(score(arrays, "dinov2", protocol, [float(alpha) for alpha in alphas], samples=0))
    for average in ("per_image", "per_point"):
        found = [100 * summary[f"pck@{alpha}/{average}"] for alpha in alphas]
        assert found == pytest.approx([54.13333333333333, 80.77777777777777, 93.77777777777777], abs=1e-9)
