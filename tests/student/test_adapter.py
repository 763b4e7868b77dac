"""A student over a frozen network begins with its features; only what was trained is trained and kept."""

from pathlib import Path

import torch

from sdcorr.cli.compose import compose
from sdcorr.configuration import plain
from sdcorr.methods.vision import join
from sdcorr.student.adapter import Adapter
from sdcorr.student.clusters import Sampling
from sdcorr.student.files import WEIGHTS, load_student
from sdcorr.student.labels import read_labels
from sdcorr.student.module import Learning
from sdcorr.student.training import train_student
from sdcorr.student.warps import Range
from tests.student.made import SIDE, write_labels


class Backbone(torch.nn.Module):
    """A network of someone else, with weights that are far more than the adapter's."""

    stride, version = 4, "1"

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.layer = torch.nn.Conv2d(3, 400, 4, 4)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.layer(pixels)


def test_the_backbone_stays_and_is_not_kept(tmp_path: Path) -> None:
    changes = {"network": "tests.student.test_adapter:Backbone", "side": SIDE, "grid": 16, "channels": 16}
    words = [f"student.network.{name}={value}" for name, value in changes.items()]
    made_by = plain(compose("student", "data=x", "student=adapter", *words).student)["network"]
    labels = read_labels(write_labels(tmp_path / "labels", sources=6))
    told = train_student(
        tmp_path / "student",
        labels,
        made_by,
        learning=Learning(epochs=6, patience=100, average=0.5, first_steps=2, rate=0.01),
        sampling=Sampling(clusters=2, targets=2, tracks=6, free=4, val=0.2),
        within=Range(turn=5, scale=1.05, shift=0.02, light=0.05),
        trainer={"accelerator": "cpu"},
    )
    assert told["best"]["val/agreement"] > 0.3  # a place at random: 0.03
    student = load_student(tmp_path / "student")
    assert torch.equal(student.network.backbone.run.layer.weight, Backbone().layer.weight)
    assert (tmp_path / "student" / WEIGHTS).stat().st_size < 2 * 400 * 48  # bytes of the backbone in half precision
    assert student.identity["callable"] == "tests.student.test_adapter:Backbone"


def test_before_training_cosines_are_the_backbones_own() -> None:
    adapter = Adapter("tests.student.test_adapter:Backbone", [0], side=SIDE, grid=16, channels=400)
    pixels = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    own = join(adapter.backbone(pixels, [0]), (16, 16)).flatten(2)[0]
    found = adapter(pixels).flatten(2)[0]
    torch.testing.assert_close(found.T @ found, own.T @ own, atol=1e-5, rtol=0)
