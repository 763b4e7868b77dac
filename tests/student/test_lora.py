"""A frozen network with low-rank additions: it begins as the network, and the additions alone are trained and kept."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from transformers import Dinov2Config, Dinov2Model

from sdcorr.cli.compose import compose
from sdcorr.configuration import plain
from sdcorr.diffusion import FrozenDiffusion
from sdcorr.errors import UserError
from sdcorr.methods.finder import Finder
from sdcorr.student.clusters import Sampling
from sdcorr.student.files import WEIGHTS, load_student, make_network
from sdcorr.student.labels import read_labels
from sdcorr.student.lora import LoraStudent
from sdcorr.student.module import Learning
from sdcorr.student.training import train_student
from sdcorr.student.warps import Range
from sdcorr.toybox.anatomy import MODEL_FOLDER
from tests.student.made import SIDE, write_labels


def made_by(student: str, **changes: object) -> dict:
    words = [f"student.network.{name}={value}" for name, value in changes.items()]
    return plain(compose("student", "data=x", f"student={student}", *words).student)["network"]


@pytest.fixture(scope="module")
def dino(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with DINOv2's structure and random weights."""
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2}
    folder = tmp_path_factory.mktemp("dino")
    Dinov2Model(Dinov2Config(**size, image_size=SIDE, patch_size=4)).save_pretrained(folder)
    return str(folder)


def pixels(count: int = 2, side: int = SIDE) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(3))


def test_it_begins_as_the_vision_network_and_additions_to_attention_alone_learn(dino: str) -> None:
    student = make_network(made_by("vision_lora", network=dino, side=SIDE, grid=8, rank=2))
    assert len(student.added) == 4  # of two layers the queries and the values
    own = F.normalize(student.backbone(pixels(), [-1])[0], dim=1)  # 8 x 8 tokens
    torch.testing.assert_close(student(pixels()), own)
    wanted = F.normalize(torch.randn(own.shape, generator=torch.Generator().manual_seed(1)), dim=1)
    optimizer = torch.optim.Adam([each for each in student.parameters() if each.requires_grad], 0.01)
    likeness = []
    for _ in range(20):
        likeness.append((student(pixels()) * wanted).sum(1).mean())
        optimizer.zero_grad()
        (-likeness[-1]).backward()
        optimizer.step()
    assert likeness[-1] > likeness[0] + 0.02
    trained = [name for name, each in student.named_parameters() if each.requires_grad]
    assert trained and all(name.startswith("added.") for name in trained)


def test_it_begins_as_the_unets_clean_features() -> None:
    student = make_network(made_by("lora", grid=16))
    model = FrozenDiffusion.load(str(MODEL_FOLDER), truncate=False)
    prompt = torch.zeros(1, model.tokens, model.width)
    own = model.features(model.encode(pixels(1, 64)), 100, prompt, ["up_blocks.1"])["up_blocks.1"]
    torch.testing.assert_close(student(pixels(1, 64)), F.normalize(own, dim=1), atol=1e-5, rtol=0)
    kept = {name.partition(".")[0] for name in student.state_dict()} - {"backbone"}
    assert kept == {"added"}  # a second name of the backbone would be written to disk
    assert all(path.startswith("unet.") and ".attn1." in path for path in student.paths)
    student(pixels(1, 64))[:, 0].sum().backward()
    reached = {path for path, each in zip(student.paths, student.added, strict=True) if each.up.weight.grad is not None}
    assert reached == {path for path in student.paths if "up_blocks.2" not in path}  # which runs after the block


@pytest.mark.slow
def test_training_keeps_the_additions_alone(dino: str, tmp_path: Path) -> None:
    network = made_by("vision_lora", network=dino, side=SIDE, grid=8, rank=4, layers=[0, -1])
    train_student(
        tmp_path / "student",
        read_labels(write_labels(tmp_path / "labels", sources=6)),
        network,
        learning=Learning(epochs=2, patience=100, average=0.5, first_steps=2, rate=0.01),
        sampling=Sampling(clusters=2, targets=2, tracks=6, free=4, val=0.2),
        within=Range(turn=5, scale=1.05, shift=0.02, light=0.05),
        trainer={"accelerator": "cpu"},
    )
    student = load_student(tmp_path / "student")
    added = sum(each.numel() for each in student.network.added.parameters())
    assert (tmp_path / "student" / WEIGHTS).stat().st_size < 2 * added + 4000  # half precision, and names
    assert any(each.up.weight.abs().sum() > 0 for each in student.network.added)
    fresh = make_network(network)
    assert isinstance(fresh, LoraStudent)
    fresh.load_state_dict(student.network.state_dict())
    torch.testing.assert_close(fresh.eval()(pixels()), student.network(pixels()))
    assert {"config.json", "student"} <= set(student.identity)  # of the backbone's files, and its own
    finder = Finder(student)
    one, other = finder.read([(pixels()[each].permute(1, 2, 0).numpy() * 255).astype("uint8") for each in (0, 1)])
    assert finder.find(one, [[5, 5]], [other]).points.shape == (1, 1, 2)


def test_what_does_not_fit_is_refused(dino: str) -> None:
    with pytest.raises(UserError, match=r"No linear map of the network is named to_q \(there are run.model.encoder"):
        make_network(made_by("vision_lora", network=dino, modules="to_q"))
    with pytest.raises(UserError, match="rank=0 is not legal"):
        make_network(made_by("vision_lora", network=dino, rank=0))
    with pytest.raises(UserError, match="timestep=1000 is not in this model: give 0 to 999"):
        make_network(made_by("lora", timestep=1000))
    with pytest.raises(UserError, match="has no block 'up_blocks.7'"):
        make_network(made_by("lora", block="up_blocks.7"))
