"""A student is trained from labels, goes on where it was stopped, and sees no keypoint."""

from pathlib import Path

import pytest
import torch

from sdcorr.errors import UserError
from sdcorr.student.clusters import Sampling
from sdcorr.student.files import load_student
from sdcorr.student.labels import read_labels
from sdcorr.student.module import Learning
from sdcorr.student.training import train_student
from sdcorr.student.warps import Range
from tests.student.made import SIDE, write_labels

TINY = {"_target_": "sdcorr.student.small.SmallStudent", "side": SIDE, "widths": [8, 8, 8], "channels": 8}
SAMPLING = Sampling(clusters=2, targets=2, tracks=6, free=4, queries=8, val=0.2)
QUICK = Range(turn=5, scale=1.05, shift=0.02, light=0.05)


def train(folder: Path, data: Path, epochs: int, **changes: float) -> dict:
    learning = Learning(epochs=epochs, patience=100, first_steps=2, average=0.5, **changes)
    given = {"sampling": SAMPLING, "within": QUICK, "trainer": {"accelerator": "cpu"}}
    return train_student(folder, read_labels(data), TINY, learning=learning, **given)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labels(tmp_path_factory.mktemp("labels"), sources=6, tracks=8)


def test_it_learns(data: Path, tmp_path: Path) -> None:
    first = train(tmp_path / "short", data, 1)["best"]
    later = train(tmp_path / "long", data, 25, rate=0.01)["best"]
    assert later["val/agreement"] > max(0.6, first["val/agreement"])  # a place at random: 0.03
    student = load_student(tmp_path / "long")
    assert student.facts["best"] == later and student.facts["labels"] == 96
    features = student.network(torch.rand(2, 3, SIDE, SIDE))
    assert torch.allclose(features.norm(dim=1), torch.ones(2, SIDE // 2, SIDE // 2), atol=1e-5)


def test_one_that_was_stopped_ends_as_one_that_was_not(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(tmp_path / "whole", data, 4)

    class Stopped(Exception):
        pass

    def stop(*args: object) -> None:
        raise Stopped

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        from sdcorr.student.module import StudentTraining

        step = StudentTraining.training_step

        def step_or_stop(self: StudentTraining, *args: object) -> torch.Tensor:
            return stop() if self.current_epoch == 2 else step(self, *args)

        patch.setattr(StudentTraining, "training_step", step_or_stop)
        train(tmp_path / "parts", data, 4)
    parts = train(tmp_path / "parts", data, 4)
    assert parts["best"] == whole["best"]
    ends = [
        torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=False) for name in ("whole", "parts")
    ]
    for name, value in ends[0]["state_dict"].items():
        assert torch.equal(value, ends[1]["state_dict"][name]), name


def test_other_labels_need_another_folder(data: Path, tmp_path: Path) -> None:
    train(tmp_path / "student", data, 1)
    other = write_labels(tmp_path / "other", sources=3)
    with pytest.raises(UserError, match="begun on other labels: give another run_dir"):
        train(tmp_path / "student", other, 1)


def test_it_begins_from_another_student(data: Path, tmp_path: Path) -> None:
    train(tmp_path / "first", data, 1)
    learning = Learning(epochs=1, rate=0.0, average=0.5)
    given = {"learning": learning, "sampling": SAMPLING, "within": QUICK, "trainer": {"accelerator": "cpu"}}
    train_student(tmp_path / "next", read_labels(data), TINY, start=tmp_path / "first", **given)
    first, then = (load_student(tmp_path / name).network.head.weight for name in ("first", "next"))
    assert torch.equal(first, then)


def test_no_keypoint_is_seen(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sdcorr.datasets import base
    from sdcorr.toybox import dataset, world

    def seen(*args: object, **kwargs: object) -> None:
        raise AssertionError("a keypoint was read")

    monkeypatch.setattr(base.Pair, "__post_init__", seen)  # no pair of a benchmark can be made
    monkeypatch.setattr(world, "draw", seen)  # and no drawing
    monkeypatch.setattr(dataset, "draw", seen)
    assert train(tmp_path, data, 1)["best"]["epoch"] == 1
