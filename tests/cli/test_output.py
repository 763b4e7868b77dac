"""A console that cannot show a letter, or that nobody reads any more, ends no work."""

import os
import sys
from io import TextIOWrapper
from pathlib import Path

import pytest
from rich.console import Console

from sdcorr.cli.output import CLOSED, lasting


def piped(monkeypatch: pytest.MonkeyPatch) -> int:
    """Makes standard output a pipe, and returns the end from which it is read; pytest's own comes after fixtures."""
    read, write = os.pipe()
    stream = os.fdopen(write, "w", encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    return read


def test_a_letter_that_the_console_lacks_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = piped(monkeypatch)

    def task() -> int:
        print("a 猫 b")
        Console().print("[/bold] é", markup=False)
        return 0

    assert lasting(task) == 0
    assert os.read(reader, 100) == b"a ? b\n[/bold] ?\n"


def test_the_work_goes_on_when_the_reader_goes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reader = piped(monkeypatch)

    def task() -> int:
        console = Console()
        console.print("first")
        os.close(reader)
        for number in range(3):
            console.print("nobody hears this", number)
            print("nor this", flush=True)
        (tmp_path / "result").touch()
        return 0

    assert lasting(task) == CLOSED == 141
    assert (tmp_path / "result").exists()
    sys.stdout.flush()  # which Python does at the end; nothing waits there that could fail


def test_the_task_s_own_code_matters_more(monkeypatch: pytest.MonkeyPatch) -> None:
    os.close(piped(monkeypatch))
    assert lasting(lambda: print("x") or 3) == 3


def test_what_is_written_at_the_very_end_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    os.close(piped(monkeypatch))
    assert lasting(lambda: print("in the buffer until the task is over") or 0) == CLOSED


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert lasting(lambda: print("x") or 0) == 2
        assert isinstance(full, TextIOWrapper)
    said = capsys.readouterr().err
    assert (
        said.startswith("error: What this command prints could not be written (No space left") and said.count("\n") == 1
    )


def test_streams_are_put_back_and_wrapped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before, inside = sys.stdout, []
    assert lasting(lambda: inside.append(sys.stdout) or lasting(lambda: inside.append(sys.stdout) or 0)) == 0
    assert sys.stdout is before and inside[0] is inside[1] is not before


def test_without_a_console_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert lasting(lambda: print("x") or 0) == 0
