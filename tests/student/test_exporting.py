"""The exported graphs find the same points as the finder."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sdcorr.errors import UserError
from sdcorr.images import to_tensor
from sdcorr.methods.finder import Finder
from sdcorr.student.exporting import export_student
from sdcorr.student.files import Student, make_network
from tests.methods.test_student import SIDE, picture

MADE_BY = {"_target_": "sdcorr.student.small.SmallStudent", "side": SIDE, "widths": [8, 8, 8], "channels": 16}
POINTS = np.array([[20.0, 10], [40, 30], [10.5, 41], [63, 47]])


@pytest.fixture(scope="module")
def student() -> Student:
    torch.manual_seed(1)
    return Student(make_network(MADE_BY).eval().requires_grad_(False), SIDE, 0.02, {}, {})


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    squashed = torch.stack([to_tensor(picture(seed).resize((SIDE, SIDE), 2)) for seed in (1, 2, 3, 4)])
    return squashed[:1], squashed[1:], torch.from_numpy(POINTS / (64, 48)).float()


def expected(student: Student) -> tuple[np.ndarray, np.ndarray]:
    finder = Finder(student)
    source, *targets = finder.read([picture(seed) for seed in (1, 2, 3, 4)])
    found = finder.find(source, POINTS, targets)
    return found.points / (64, 48), found.confidence


@pytest.mark.slow
def test_a_program_of_torch_export_finds_the_same(student: Student, tmp_path: Path) -> None:
    export_student(student, tmp_path / "student.pt2")
    places, cosines = torch.export.load(tmp_path / "student.pt2").module()(*inputs())
    points, confidence = expected(student)
    assert np.allclose(places, points, atol=1e-4) and np.allclose(cosines.clip(0, 1), confidence, atol=1e-4)


@pytest.mark.slow
def test_onnx_finds_the_same(student: Student, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    export_student(student, tmp_path / "student.onnx")
    session = runtime.InferenceSession(tmp_path / "student.onnx")
    given = dict(zip(("source", "targets", "points"), (each.numpy() for each in inputs()), strict=True))
    places, cosines = session.run(["places", "cosines"], given)
    points, confidence = expected(student)
    assert np.allclose(places, points, atol=1e-4) and np.allclose(cosines.clip(0, 1), confidence, atol=1e-4)


def test_a_file_says_its_kind(student: Student, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ends with \.onnx or \.pt2"):
        export_student(student, tmp_path / "student.bin")
