"""Clocks, memory, counts and tables."""

import time
from pathlib import Path

import measure
import pytest
import torch
from measure import Work, command, markdown, measured, save, seconds_of, watched

from sdcorr.errors import UserError

CPU = torch.device("cpu")


def test_what_goes_through_the_model_is_counted(small_backbone):
    seen = []
    work = Work(lambda: seen.append(1))
    noisy, embeddings = torch.zeros(3, 4, 16, 16), torch.zeros(3, 24, 64, requires_grad=True)
    with watched(small_backbone, work):
        small_backbone.encode(torch.zeros(2, 3, 64, 64))
        small_backbone.attention_maps(noisy, 1, embeddings)
        with torch.no_grad():
            small_backbone.attention_maps(noisy[:1], 1, embeddings[:1])
    small_backbone.encode(torch.zeros(2, 3, 64, 64))  # nobody watches any more
    assert work == {"encodes": 2, "steps": 3, "crops": 1}
    assert work.passes == 4 and len(seen) == 3


def test_counting_ends_when_the_work_fails(small_backbone):
    with pytest.raises(ZeroDivisionError), watched(small_backbone, Work()):
        raise ZeroDivisionError
    assert "encode" not in vars(small_backbone)


def test_seconds_and_memory():
    with measured(CPU) as taken:
        large = torch.ones(64, 1024, 1024)  # 256 MB, written to
        time.sleep(0.05)
    assert taken.seconds > 0.05
    if Path("/proc/self/clear_refs").exists():
        assert taken.peak_bytes == pytest.approx(large.nbytes, rel=0.2)


def test_memory_is_that_of_the_work_alone():
    with measured(CPU):
        torch.ones(64, 1024, 1024)
    with measured(CPU) as little:
        torch.ones(1024)
    if little.peak_bytes is not None:
        assert little.peak_bytes < 2**25


def test_seconds_of_one_repeat(monkeypatch):
    clock, done = iter([10.0, 16.0]), []
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))
    assert seconds_of(lambda: done.append(1), CPU, repeats=3) == 2
    assert len(done) == 3


def test_a_mistake_is_one_sentence(capsys):
    def main():
        raise UserError("There is nothing here: look elsewhere.")

    with pytest.raises(SystemExit) as stop:
        command(main)
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: There is nothing here: look elsewhere.\n"


def test_a_table():
    assert markdown(["a", "b"], [["x", 1], ["y", 2]]) == "| a | b |\n|---|---:|\n| x | 1 |\n| y | 2 |"


def test_results_are_saved_as_numbers_and_as_a_page(tmp_path):
    save("name", tmp_path / "results", {"a": 1}, "page\n")
    assert (tmp_path / "results" / "name.json").read_text() == '{\n  "a": 1\n}\n'
    assert (tmp_path / "results" / "name.md").read_text() == "page\n"
