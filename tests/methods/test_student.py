"""The student as a method: it reads a picture once, and its claim says what network it is."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdcorr.datasets import group_by_source
from sdcorr.errors import UserError
from sdcorr.methods.finder import Finder
from sdcorr.methods.resources import Resources
from sdcorr.methods.student import StudentMethod
from sdcorr.run.meter import Meter
from sdcorr.student.files import load_student, make_network, save_student
from sdcorr.toybox.anatomy import STUDENT_FOLDER
from tests.run.fakes import make_pair

SIDE = 32
MADE_BY = {"_target_": "tests.student.surroundings.Surroundings", "side": SIDE}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student that knows colors."""
    path = tmp_path_factory.mktemp("student")
    save_student(path, make_network(MADE_BY).eval(), MADE_BY, 0.02, {})
    return path


def picture(seed: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    cells = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC)


def test_points_are_found_in_the_same_picture(folder: Path) -> None:
    finder = Finder.load(folder)
    source, same, other = finder.read([picture(1), picture(1), picture(2, (96, 96))])
    points = np.array([[20.0, 10], [40, 30], [10.5, 41]])
    found = finder.find(source, points, [same, other])
    assert found.points.shape == (2, 3, 2) and found.confidence.shape == (2, 3)
    assert np.abs(found.points[0] - points).max() < 64 / SIDE * 2  # a cell
    assert (found.confidence[0] > 0.9).all() and found.points[1].max() <= 96
    alone = finder.find(source, points[1:2], [other])
    assert np.allclose(alone.points[0, 0], found.points[1, 1], atol=1e-4)


def test_the_method_and_the_finder_agree_and_a_picture_is_read_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = {"source_size": (64, 48), "target_size": (64, 48)}
    pairs = [make_pair(f"a-{target}", 2, **size, source_points=[(20, 10), (40, 30)]) for target in "bc"]
    pictures = {"a": picture(1), "b": picture(2), "c": picture(3)}
    finder = Finder.load(folder)
    method = StudentMethod(Resources({"path": "toybox"}, dataset="x"), str(folder), temperature=0.02)
    method.prepare()
    reads = []
    read = method.finder.read_rgb
    monkeypatch.setattr(method.finder, "read_rgb", lambda images: reads.append(len(images)) or read(images))
    (unit,) = group_by_source(pairs)
    for _ in range(2):
        matches = {pair.target: match for pair, match in method.match(unit, pictures.__getitem__)}
    assert reads == [1, 1, 1]
    source, *targets = finder.read([pictures[key] for key in "abc"])
    found = finder.find(source, unit.points, targets)
    for key, points in zip("bc", found.points, strict=True):
        assert np.allclose(matches[key].points, points, atol=1e-3)


def test_what_reading_costs_is_counted(folder: Path) -> None:
    """Convolutions of the toybox's student, which torch's inference mode would hide."""
    with Meter(count=True) as meter:
        Finder.load(STUDENT_FOLDER).read([picture(1)])
    flops = meter.cost(1, 0).flops
    assert flops is not None and flops > 1e8


def test_the_claim_is_of_the_weights_not_of_the_folder(folder: Path, tmp_path: Path) -> None:
    def identity(where: Path) -> dict:
        return dict(StudentMethod(Resources({"path": "toybox"}, dataset="x"), str(where)).model_identity())

    student = load_student(folder)
    assert StudentMethod.claimed({"student": "here", "window": 2, "consensus": "none"}) == {"window": 2}
    save_student(tmp_path / "copy", student.network, MADE_BY, 0.02, {"labels": 3})
    assert identity(tmp_path / "copy") == identity(folder)
    student.network.gain.weight.add_(1.0)
    save_student(tmp_path / "other", student.network, MADE_BY, 0.02, {})
    assert identity(tmp_path / "other") != identity(folder)


def test_what_is_no_student_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no student: give a folder with config.json"):
        load_student(tmp_path)
    for file in ("config.json", "model.safetensors"):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(UserError, match="cannot be read .*: train or fetch it again"):
        load_student(tmp_path)
    with pytest.raises(UserError, match="needs method.student=FOLDER"):
        StudentMethod(Resources({"path": "toybox"}, dataset="x"), "")
    with pytest.raises(UserError, match="is not in the picture"):
        finder = Finder.load(folder)
        source = finder.read([picture(1)])[0]
        finder.find(source, [[100.0, 10]], [source])


@pytest.mark.slow
def test_torch_hub_needs_neither_diffusers_nor_lightning(folder: Path) -> None:
    code = f"""
import sys
for name in ("diffusers", "transformers", "lightning", "hydra", "omegaconf", "wandb", "huggingface_hub", "pyarrow"):
    sys.modules[name] = None  # importing it is an error
import torch
finder = torch.hub.load({str(Path(__file__).parents[2])!r}, "student", folder={str(folder)!r}, source="local")
source, = finder.read([{str(folder / "a.png")!r}])
print(finder.find(source, [[20, 10]], [source]).points.tolist())
"""
    picture(1).save(folder / "a.png")
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder)
    assert np.abs(np.array(json.loads(told.stdout)) - [20, 10]).max() <= 4
