"""train.py task=student as processes: killed and begun again, or two in place of one, it ends with the same student."""

import os
import runpy
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from lightning.fabric.plugins.environments.lightning import find_free_network_port

from sdcorr.student.files import load_student
from tests.student.made import SIDE, write_labels
from tests.test_distributed import PROCESSES, ended, torchrun, until

TRAIN = Path(__file__).parents[2] / "train.py"
TINY = [
    *("task=student", "logger=none", "trainer.accelerator=cpu"),
    *(f"student.network.{each}" for each in (f"side={SIDE}", "widths=[8,8,8]", "channels=8")),
    *(f"student.learning.{each}" for each in ("epochs=5", "first_steps=2", "average=0.5")),
    *(f"student.sampling.{each}" for each in ("clusters=2", "targets=2", "tracks=6", "free=4", "queries=8", "val=0.2")),
]


def work(log: Path, words: list[str], environment: dict[str, str]) -> None:
    """`python train.py words`, in a process forked from one that has done the imports."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.environ |= environment | {"OMP_NUM_THREADS": "1"}
    torch.set_num_threads(1)
    sys.argv = [str(TRAIN), *words]
    runpy.run_path(str(TRAIN), run_name="__main__")


def start(folder: Path, data: Path, *words: str, environments: tuple[dict[str, str], ...] = ({},)) -> list[BaseProcess]:
    """Processes that train a student in `folder / "student"`; what each prints is in `folder`."""
    PROCESSES.set_forkserver_preload(["train", "tests.student.test_processes"])
    settings = [*TINY, f"data={data}", f"run_dir={folder / 'student'}", *words]
    logs = [folder / f"rank {rank}.txt" for rank in range(len(environments))]
    ranks = [
        PROCESSES.Process(target=work, args=(log, settings, each)) for log, each in zip(logs, environments, strict=True)
    ]
    for rank in ranks:
        rank.start()
    return ranks


def end(folder: Path) -> dict:
    """The last checkpoint, with the running mean of the weights, the weights and all that the optimizer knows."""
    return torch.load(folder / "student" / "checkpoints" / "last.ckpt", weights_only=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labels(tmp_path_factory.mktemp("labels"), sources=9, tracks=8)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    assert ended(start(folder, data)) == [0], (folder / "rank 0.txt").read_text()
    return folder


def test_killed_and_begun_again_it_ends_with_the_same_bits(data: Path, whole: Path, tmp_path: Path) -> None:
    log = tmp_path / "rank 0.txt"
    for epoch in (1, 3):
        (process,) = start(tmp_path, data)
        until(lambda told=f"epoch {epoch}/": log.exists() and told in log.read_text())
        process.kill()
        process.join()
    assert "epoch 5/" not in log.read_text()
    assert ended(start(tmp_path, data)) == [0], log.read_text()
    found, wanted = end(tmp_path), end(whole)
    for part in ("state_dict", "current_model_state"):
        assert all(torch.equal(value, found[part][name]) for name, value in wanted[part].items()), part
    told, of_whole = (load_student(folder / "student") for folder in (tmp_path, whole))
    assert told.identity == of_whole.identity and told.facts["best"] == of_whole.facts["best"]


def test_two_processes_share_the_batches_of_one(data: Path, whole: Path, tmp_path: Path) -> None:
    port = find_free_network_port()
    ranks = start(tmp_path, data, "trainer=ddp", environments=(torchrun(0, 2, port), torchrun(1, 2, port)))
    logs = [tmp_path / f"rank {rank}.txt" for rank in range(2)]
    assert ended(ranks) == [0, 0], [log.read_text() for log in logs]
    assert [line for line in logs[0].read_text().splitlines() if line.startswith("epoch")] == [
        line for line in (whole / "rank 0.txt").read_text().splitlines() if line.startswith("epoch")
    ]
    assert logs[1].read_text() == ""
    found, wanted = end(tmp_path), end(whole)
    assert found["global_step"] == wanted["global_step"]
    for name, value in wanted["state_dict"].items():
        assert torch.allclose(value, found["state_dict"][name], atol=1e-5), name
    best = [load_student(folder / "student").facts["best"] for folder in (tmp_path, whole)]
    assert best[0] == pytest.approx(best[1], rel=1e-4)


def test_processes_that_cannot_share_a_step_are_told_so(data: Path, tmp_path: Path) -> None:
    port = find_free_network_port()
    environments = (torchrun(0, 2, port), torchrun(1, 2, port))
    ranks = start(tmp_path, data, "trainer=ddp", "student.sampling.clusters=3", environments=environments)
    assert ended(ranks) == [2, 2]
    said = (tmp_path / "rank 0.txt").read_text()
    assert said.startswith("error: 2 processes cannot share the 3 clusters of a step: give ") and said.count("\n") == 1
