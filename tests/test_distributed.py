"""eval.py with several processes: whoever starts them, whoever dies, the predictions are those of one process."""

import json
import multiprocessing
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from lightning import Callback
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from omegaconf import OmegaConf

from sdcorr.diffusion import FrozenDiffusion
from sdcorr.errors import UserError
from sdcorr.prompt.module import fit, run
from sdcorr.run.processes import launch
from sdcorr.toybox.dataset import drawing
from tests import offline
from tests.prompt.test_module import problem

EVAL = Path(__file__).parent.parent / "eval.py"
WILLOW = Path(__file__).parent / "golden/data/fake_datasets/PF-WILLOW"
QUICK = [
    *("method.steps=2", "method.restarts=1", "method.transfer_crops=1"),
    *("methods=[prompt,same_pixel]", "embeddings=null", "logger=none", "pictures=0", "bootstrap=0"),
    *("trainer.accelerator=cpu",),
]
PICTURES = ["dataset=folder", "dataset.root=."]  # of the fixture
SOURCES = 5
COST = ("seconds", "peak_bytes", "cost")
PROCESSES = multiprocessing.get_context("forkserver")


def torchrun(rank: int, world_size: int, port: int) -> dict[str, str]:
    """What torchrun tells its processes."""
    local = {"LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": world_size, "GROUP_RANK": 0, "TORCHELASTIC_RUN_ID": "none"}
    world = {"RANK": rank, "WORLD_SIZE": world_size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {name: str(value) for name, value in (local | world).items()}


def slurm(rank: int, world_size: int, port: int) -> dict[str, str]:
    """What srun tells its processes, here on as many machines as there are processes."""
    job = {"JOB_ID": 12345, "JOB_NAME": "eval", "NTASKS": world_size, "NTASKS_PER_NODE": 1, "NNODES": world_size}
    task = {"PROCID": rank, "LOCALID": 0, "NODEID": rank, "NODELIST": "node[1-3]", "STEP_NUM_TASKS": world_size}
    known = {f"SLURM_{name}": str(value) for name, value in (job | task).items()}
    return known | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a few pairs of drawings, the sources of unequal work."""
    folder = tmp_path_factory.mktemp("pictures")
    pairs = []
    for index in range(SOURCES):
        for name, key in ((f"{index}.png", f"2/cat/{index}"), (f"{index}t.png", f"2/cat/{index}/0")):
            drawing(key).image.save(folder / name)
        points = [[10 + 4 * number, 20 + 3 * index] for number in range(1 + index % 3)]
        pairs.append({"source": f"{index}.png", "target": f"{index}t.png", "points": points, "target_points": points})
    (folder / "pairs.json").write_text(json.dumps(pairs))
    (folder / "one.json").write_text(json.dumps(pairs[:1]))
    return folder


def work(folder: Path, log: Path, arguments: list[str], environment: dict[str, str]) -> None:
    """`python eval.py arguments`, in a process forked from one that has done the imports, which take longest."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    # One thread: with another number sums are rounded otherwise. Lightning sets it itself unless the variable is there.
    os.environ |= environment | {"OMP_NUM_THREADS": "1"}
    os.chdir(folder)
    torch.set_num_threads(1)
    given = {argument.partition("=")[0] for argument in arguments}
    sys.argv = [str(EVAL), *(each for each in QUICK if each.partition("=")[0] not in given), *arguments]
    runpy.run_path(str(EVAL), run_name="__main__")


@pytest.fixture
def start(pictures: Path, tmp_path: Path):
    """Starts ranks of an evaluation into `tmp_path / "run"`; their output is in `tmp_path`."""
    PROCESSES.set_forkserver_preload(["eval", "tests.test_distributed"])
    ranks: list[BaseProcess] = []

    def starter(environments: list[dict[str, str]], *arguments: str) -> list[BaseProcess]:
        settings = [f"run_dir={tmp_path / 'run'}", *arguments]
        for rank, environment in enumerate(environments):
            log = tmp_path / f"rank {rank}.txt"
            ranks.append(PROCESSES.Process(target=work, args=(pictures, log, settings, environment)))
            ranks[-1].start()
        return ranks[-len(environments) :]

    yield starter
    for rank in ranks:
        rank.kill()


def contents(run: Path) -> dict[str, dict]:
    """Every record as it lies on disk, less the time and the memory that it took."""
    files = {
        path.relative_to(run).as_posix(): json.loads(path.read_text()) for path in run.glob("predictions/*/*.json")
    }
    return {name: {key: value for key, value in plain.items() if key not in COST} for name, plain in files.items()}


def ended(ranks: list[BaseProcess]) -> list[int]:
    for rank in ranks:
        rank.join(120)
    return [rank.exitcode for rank in ranks]


@pytest.fixture(scope="module")
def alone(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """What one process predicts."""
    PROCESSES.set_forkserver_preload(["eval", "tests.test_distributed"])
    folder = tmp_path_factory.mktemp("alone")
    settings = [*PICTURES, f"run_dir={folder / 'run'}"]
    only = PROCESSES.Process(target=work, args=(pictures, folder / "log", settings, {}))
    only.start()
    assert ended([only]) == [0], (folder / "log").read_text()
    found = contents(folder / "run")
    assert len(found) == 2 * SOURCES
    return found


@pytest.mark.parametrize("started_by, world_size", [(torchrun, 2), (slurm, 3)])
def test_several_processes_predict_what_one_does(started_by, world_size, start, alone, tmp_path) -> None:
    port = find_free_network_port()
    ranks = start([started_by(rank, world_size, port) for rank in range(world_size)], *PICTURES, "trainer=ddp")
    outputs = [tmp_path / f"rank {rank}.txt" for rank in range(world_size)]
    assert ended(ranks) == [0] * world_size, [output.read_text() for output in outputs]
    assert contents(tmp_path / "run") == alone
    assert f"share 1 of {world_size}" in outputs[0].read_text()
    assert [output.read_text() for output in outputs[1:]] == [""] * (world_size - 1)
    assert (tmp_path / "run/summary.json").exists()


def test_several_processes_are_one_run_of_wandb(start, tmp_path) -> None:
    port = find_free_network_port()
    settings = [*PICTURES, "trainer=ddp", "logger=wandb", "logger.mode=offline"]
    ranks = start([torchrun(rank, 2, port) for rank in range(2)], *settings)
    assert ended(ranks) == [0, 0], [(tmp_path / f"rank {rank}.txt").read_text() for rank in range(2)]
    (folder,) = (tmp_path / "run/wandb").glob("offline-run-*")
    run, summary = offline.read(folder), json.loads((tmp_path / "run/summary.json").read_text())
    assert run.ended and run.config["facts"]["processes"] == 2
    assert {key: run.summary[key] for key in summary} == summary
    assert len(run.table("tables/pairs")) == SOURCES
    assert "wandb" not in (tmp_path / "rank 0.txt").read_text().lower()


def test_one_source_image_for_two_processes(start, alone, tmp_path) -> None:
    port = find_free_network_port()
    ranks = start([torchrun(rank, 2, port) for rank in range(2)], *PICTURES, "dataset.pairs=one.json", "trainer=ddp")
    assert ended(ranks) == [0, 0]
    found = contents(tmp_path / "run")
    assert len(found) == 2 and found.items() <= alone.items()


def test_killed_with_three_processes_and_finished_with_one(start, alone, tmp_path) -> None:
    port = find_free_network_port()
    ranks = start([slurm(rank, 3, port) for rank in range(3)], *PICTURES, "trainer=ddp")
    until(lambda: contents(tmp_path / "run"))
    for rank in ranks:
        rank.kill()
    ended(ranks)
    assert ended(start([{}], *PICTURES)) == [0]
    assert contents(tmp_path / "run") == alone


@pytest.mark.skipif(sys.platform != "linux", reason="the second process is found in /proc")
def test_a_rank_that_dies_is_done_without(start, alone, pictures, tmp_path) -> None:
    """`python eval.py trainer=ddp trainer.devices=2` itself, whose second process is killed at its first step."""
    settings = [*QUICK, *PICTURES, "trainer=ddp", "trainer.devices=2", f"run_dir={tmp_path / 'run'}"]
    environment = {name: value for name, value in os.environ.items() if name not in torchrun(0, 1, 0)}
    with subprocess.Popen(
        [sys.executable, str(EVAL), *settings],
        cwd=pictures,
        env=environment | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as first:
        until(lambda: (tmp_path / "run/config.yaml").exists())
        (second,) = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
        os.kill(int(second), signal.SIGKILL)
        output = first.communicate(timeout=120)[0]
    assert first.returncode == 0, output
    assert contents(tmp_path / "run") == alone


def test_a_broken_picture_costs_its_pair_alone_and_the_exit_code_says_so(start, tmp_path) -> None:
    folder = tmp_path / "willow"
    shutil.copytree(WILLOW, folder)
    picture = folder / "car(G)" / "im2.png"
    picture.write_bytes(picture.read_bytes()[:600])
    port = find_free_network_port()
    settings = ["trainer=ddp", "dataset=pfwillow", f"dataset.root={folder}", "model=toybox"]
    assert ended(start([torchrun(rank, 2, port) for rank in range(2)], *settings)) == [3, 0]
    (broken,) = json.loads((tmp_path / "run/broken.json").read_text())
    assert broken["pair"] == "0004-im2-im1:car(G)" and "im2.png is damaged" in broken["reason"]
    lines = (tmp_path / "rank 0.txt").read_text().splitlines()
    assert any(line.startswith("1 pair has no prediction") for line in lines) and lines[-1] == str(tmp_path / "run")
    assert json.loads((tmp_path / "run/summary.json").read_text())["pairs"] == 3


def until(condition) -> None:
    give_up = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def trainer(**changes: object):
    plain = {"accelerator": "cpu", "devices": "auto", "num_nodes": "auto", "strategy": "ddp"}
    return OmegaConf.create(plain | changes)


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"strategy": "fsdp"}, "no trainer.strategy=fsdp"),
        ({"devices": 0}, "trainer.devices must be a number from 1"),
        ({"num_nodes": "two"}, "trainer.num_nodes must be a number from 1"),
        ({"devices": 3}, r"The 3 x 1 processes .* does not match the world size \(2\)"),
        ({"devices": 1, "num_nodes": 1}, "2 processes were started, and each would do all the work: give trainer=ddp"),
    ],
)
def test_processes_that_cannot_be_had(changes, complaint, monkeypatch) -> None:
    for name, value in torchrun(0, 2, 1).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=complaint), launch(trainer(**changes), []):
        pass


def test_the_other_processes_of_a_sweep_do_their_own_job_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = ["trainer=ddp", "method.seed=1"]
    monkeypatch.setattr(sys, "argv", ["eval.py", "--multirun", "trainer=ddp", "method.seed=0,1"])
    popen, environment = Mock(), dict(os.environ)
    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setattr("lightning.fabric.Fabric.launch", Mock(side_effect=RuntimeError("enough")))
    with pytest.raises(UserError, match="enough"), launch(trainer(devices=3), overrides):
        pass
    assert [call.args for call in popen.call_args_list] == 2 * [([sys.executable, "-m", "sdcorr", "eval", *overrides],)]
    assert [call.kwargs["env"]["LOCAL_RANK"] for call in popen.call_args_list] == ["1", "2"]
    assert popen.return_value.terminate.call_count == 2  # they do not outlive the first
    assert dict(os.environ) == environment


def test_a_trainer_inside_works_alone_whoever_started_the_process(
    small_backbone: FrozenDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "2")  # without SLURM_NTASKS_PER_NODE, of which Lightning would complain
    for name, value in (torchrun(1, 2, 1) | slurm(1, 2, 1)).items():
        if name != "SLURM_NTASKS_PER_NODE":
            monkeypatch.setenv(name, value)
    before, handler = dict(os.environ), signal.getsignal(signal.SIGUSR1)
    found = fit(*problem(small_backbone), [Callback()])
    assert torch.equal(found, run(*problem(small_backbone)))
    assert dict(os.environ) == before and signal.getsignal(signal.SIGUSR1) == handler
