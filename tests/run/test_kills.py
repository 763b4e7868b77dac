"""Processes that are killed at any moment."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sdcorr.run.store import PredictionStore
from tests.run.fakes import FakeBenchmark, FakeMethod, evaluate
from tests.run.test_predict import contents


def work(folder: Path, rank: int, world_size: int) -> None:
    """What a rank does, in a process of its own."""
    store = PredictionStore(folder)
    evaluate(FakeBenchmark("abcdefgh"), FakeMethod(seconds=0.002), store, "fake", rank=rank, world_size=world_size)


@pytest.mark.parametrize("world_size", [1, 2])
def test_killed_at_random_moments(tmp_path, world_size):
    """Whatever the moments of 30 kill -9, nothing torn is left, nothing is lost, and the end is the same."""
    processes = multiprocessing.get_context("fork")  # starts in no time
    dice, kills, survived = random.Random(world_size), 0, 0
    whole = PredictionStore(tmp_path / "whole")
    evaluate(FakeBenchmark("abcdefgh"), FakeMethod(), whole, "fake")
    while kills < 30:  # a run lives through a few kills, then it is done, and another begins
        store = PredictionStore(tmp_path / f"run {survived}")
        before = kills
        while len(contents(store)) < 8:
            ranks = [
                processes.Process(target=work, args=(store.run_dir, rank, world_size)) for rank in range(world_size)
            ]
            for rank in ranks:
                rank.start()
            for rank in ranks:
                rank.join(dice.uniform(0.0, 0.06) * (1 + (kills - before) / 10))  # longer where the machine is busy
                rank.kill()
            for rank in ranks:
                rank.join()
                assert rank.exitcode in (0, -signal.SIGKILL)
                kills += rank.exitcode != 0
            assert kills - before < 100
            if store.recorded():
                PredictionStore(store.run_dir).records("fake")  # raises if anything is torn
        assert contents(store) == contents(whole)
        survived += 1
        assert len(PredictionStore(store.run_dir).records("fake")) == 8


WRITE = """
import sys
from pathlib import Path
from sdcorr.files import write_whole

print("ready", flush=True)
for number in range(10**6):
    write_whole(Path(sys.argv[1]), str(number % 10) * 2_000_000)
"""


def test_killed_while_writing(tmp_path):
    """A process that does nothing but write is killed in the middle of a write; the file is one of those written."""
    path, dice = tmp_path / "file.json", random.Random(2)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", WRITE, str(path)], stdout=subprocess.PIPE, env=environment)
        assert process.stdout.readline() == b"ready\n"
        time.sleep(dice.uniform(0.02, 0.06))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if path.exists():
            text = path.read_text()
            assert len(text) == 2_000_000 and len(set(text)) == 1
    assert path.exists()
    assert list(tmp_path.glob(".*.tmp"))  # some were killed in the middle, or this test would show nothing
