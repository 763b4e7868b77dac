"""The processes of an evaluation: started by torchrun, by SLURM, or here, and then told apart by a number.

Lightning Fabric finds out who started the processes, and gives each its rank and its device. Once all are there, the
process group is given up: ranks never talk to each other while they work, so none can hold up or take down another.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from lightning.fabric.strategies import DDPStrategy
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig

import sdcorr
from sdcorr.errors import UserError

STRATEGIES = ("auto", "ddp")
ALL_THERE_IN = timedelta(minutes=15)  # processes that start from a network disk may be minutes apart
_PARENT = "SDCORR_STARTED_BY"  # in the environment of a process that was started here: the id of who did
_ADDRESS = ("LOCAL_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")  # what Lightning reads of processes that are there


@dataclass(frozen=True)
class Ranks:
    """Which of the processes of an evaluation this one is."""

    rank: int = 0
    world_size: int = 1
    started: tuple[subprocess.Popen, ...] = ()  # the other ranks that this process has started

    @property
    def first(self) -> bool:
        """Whether this is the one that prints, logs and scores."""
        return self.rank == 0

    def alone(self) -> bool:
        """Whether all other ranks are known to have ended; those on other machines never are."""
        others = [process.poll() is not None for process in self.started]
        return len(others) == self.world_size - 1 and all(others)


@contextmanager
def launch(trainer: DictConfig, overrides: Sequence[str], command: str = "eval") -> Iterator[Ranks]:
    """The processes that `cfg.trainer` asks for; those started here end with the block.

    A CUDA device of its own becomes each rank's current one, so `cuda` means that.

    Args:
        trainer: accelerator, devices (on each machine), num_nodes and strategy.
        overrides: of the command's configuration; processes that are started here get the same.
        command: of `sdcorr`, which they run.

    Raises:
        UserError: if they cannot be had, or others were started from outside.
    """
    devices, nodes = processes_of(trainer).values()
    if devices * nodes == 1:
        _check_alone()
        yield Ranks()
        return
    started: list[subprocess.Popen] = []
    try:
        fabric = _launched(trainer, [command, *overrides], devices, nodes, started)
        if fabric.global_rank:
            warnings.simplefilter("ignore")  # the first rank says the same
        yield Ranks(fabric.global_rank, fabric.world_size, tuple(started))
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()


def _launched(
    trainer: DictConfig, words: Sequence[str], devices: int, nodes: int, started: list[subprocess.Popen]
) -> Fabric:
    """What Fabric has found out; `started` gets the processes that are started here, if any."""
    before = {name: os.environ.get(name) for name in _ADDRESS}
    try:
        ddp = DDPStrategy(timeout=ALL_THERE_IN)
        fabric = Fabric(accelerator=_accelerator(trainer), devices=devices, num_nodes=nodes, strategy=ddp)
        environment = ddp.cluster_environment
        assert environment is not None  # Fabric has chosen it
        if not environment.creates_processes_externally:
            os.environ |= _address(environment.main_address, environment.main_port, environment.node_rank())
            _start(devices, words, started)
        elif _PARENT in os.environ:
            _end_with(int(os.environ[_PARENT]))
        fabric.launch()
        fabric.barrier()  # until each has what it needs of the first one's store
        torch.distributed.destroy_process_group()
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        raise UserError(
            f"The {devices} x {nodes} processes of trainer.devices x trainer.num_nodes cannot be had: "
            f"{' '.join(str(error).split())}"
        ) from error
    finally:
        _restore(before)  # or another run in this process would take itself for one of those
    return fabric


def processes_of(trainer: DictConfig) -> dict[str, int]:
    """The number of processes on each machine, `devices`, and of machines, `num_nodes`.

    Args:
        trainer: as of `launch`; `auto` is what torchrun or SLURM has started, else one process for each GPU.

    Raises:
        UserError: if they are no numbers, or the strategy is not one of STRATEGIES.
    """
    if trainer.strategy not in STRATEGIES:
        raise UserError(f"There is no trainer.strategy={trainer.strategy} here: choose one of {', '.join(STRATEGIES)}.")
    if "auto" in (trainer.devices, trainer.num_nodes):
        found = dict(zip(("devices", "num_nodes"), _found(trainer), strict=True))
    else:
        found = {}
    numbers = {name: found[name] if trainer[name] == "auto" else trainer[name] for name in ("devices", "num_nodes")}
    for name, number in numbers.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise UserError(f"trainer.{name} must be a number from 1 or auto, not {number}.")
    return numbers


def is_first() -> bool:
    """Whether this is the first of the processes that torchrun, SLURM or Lightning has started, before they meet."""
    known = os.environ
    if "RANK" in known or "SLURM_PROCID" in known:
        return int(known.get("RANK") or known["SLURM_PROCID"]) == 0
    return all(int(known.get(name, 0)) == 0 for name in ("LOCAL_RANK", "NODE_RANK"))


def _found(trainer: DictConfig) -> tuple[int, int]:
    """What `auto` means: the processes on each machine and the machines that were started, else one for each GPU."""
    known = os.environ
    if TorchElasticEnvironment.detect():
        local = int(known["LOCAL_WORLD_SIZE"])
        return local, int(known["WORLD_SIZE"]) // local
    if SLURMEnvironment.detect():
        nodes = int(known.get("SLURM_NNODES", 1))
        return int(known.get("SLURM_NTASKS_PER_NODE") or int(known["SLURM_NTASKS"]) // nodes), nodes
    return max(1, torch.cuda.device_count() if _accelerator(trainer) in ("cuda", "gpu") else 1), 1


def _accelerator(trainer: DictConfig) -> str:
    if trainer.accelerator == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return trainer.accelerator


def _check_alone() -> None:
    """Raise UserError if this is one of several processes, each of which would do everything."""
    by_torchrun = os.environ.get("WORLD_SIZE", "1") if TorchElasticEnvironment.detect() else "1"
    processes = max(int(by_torchrun), int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)))
    if processes > 1:
        raise UserError(f"{processes} processes were started, and each would do all the work: give trainer=ddp.")


def _address(main_address: str, main_port: int, node: int) -> dict[str, str]:
    """The environment of the first process of a machine, in which Lightning finds the others started already."""
    return dict(zip(_ADDRESS, ("0", str(node), main_address, str(main_port)), strict=True))


def _restore(environment: dict[str, str | None]) -> None:
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _start(devices: int, words: Sequence[str], started: list[subprocess.Popen]) -> None:
    """Starts the other ranks on this machine.

    Lightning's own launcher kills all when one has died, and repeats a whole sweep (`--multirun`) in each process.
    """
    here = [str(Path(sdcorr.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]  # a clone need not be installed
    environment = os.environ | {
        _PARENT: str(os.getpid()),
        "PYTHONPATH": os.pathsep.join(filter(None, here)),
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-m", "sdcorr", *words]
    for rank in range(1, devices):
        started.append(subprocess.Popen(command, env=environment | {"LOCAL_RANK": str(rank)}))


def _end_with(parent: int) -> None:
    """End this process when the one that started it is gone; whatever is on disk is whole.

    Ctrl-C reaches all processes of a terminal: the first one answers, and ends this.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
