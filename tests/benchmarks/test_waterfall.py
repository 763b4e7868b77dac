"""The waterfall: bars that are measured one by one, kept, and shown."""

import json
import subprocess

import pytest
import torch
import waterfall
from bars import AS_RELEASED, LIBRARY, ladder
from flops import PartFlops
from rich.console import Console

from sdcorr.errors import UserError

SMALL = ["--model", "toybox", "--points", "1", "--restarts", "1", "--targets", "1", "--steps", "1", "--crops", "1"]
AGREEMENT = {"embeddings": 1e-5, "maps": 1e-7, "farthest": 0.0, "equal": 0.5, "right": 1.0, "compared": 4}
PARTS = PartFlops(whole=100, forward=60, backward=40, prelude=5, encode=200)


def result(name, seconds, **changes):
    """What a bar's file holds."""
    plain = {
        "name": name,
        "seconds": seconds,
        "measured_share": 1.0,
        "peak_bytes": 2**30,
        "work": {"steps": 10, "crops": 5, "encodes": 1},
        "truncate": True,
        "agreement": AGREEMENT,
        "machine": {"torch": "2", "threads": 1, "device": "one"},
    }
    return plain | changes


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(waterfall, "code_digest", lambda: "the same")
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)  # a bar sets its own


@pytest.fixture
def children(monkeypatch):
    """Processes of bars that write a result at once; the numbers of those that were started."""
    started = []

    def run(command, check):
        arguments = waterfall.parse(command[2:])
        bar = ladder()[arguments.bar]
        started.append(bar.name)
        path = waterfall.path_of(bar, arguments.folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result(bar.name, 2.0)))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(waterfall.subprocess, "run", run)
    monkeypatch.setattr(waterfall.sys, "argv", ["waterfall.py", *SMALL])
    return started


def run_bars(*more):
    return waterfall.run_bars(ladder(), waterfall.parse([*SMALL, *more]), Console(quiet=True))


def test_a_bar_is_measured_and_compared_with_the_library(in_folder):
    args = waterfall.parse(SMALL)
    library = waterfall.measure_bar(LIBRARY, args, in_folder)
    assert library["agreement"] == {
        "embeddings": 0, "maps": 0, "farthest": 0, "equal": 1, "right": 1, "compared": 1
    }  # fmt: skip
    released = waterfall.measure_bar(AS_RELEASED, args, in_folder)
    assert 0 < released["agreement"]["embeddings"] < 1e-3 and released["agreement"]["right"] == 1
    assert released["work"] == {"steps": 1, "crops": 1, "encodes": 2}
    assert released["seconds"] > 0 and not released["truncate"]
    json.dumps([library, released])


def test_a_sample_is_multiplied(in_folder):
    args = waterfall.parse(
        [*SMALL[:-8], "--points", "2", "--targets", "2", "--restarts", "1", "--steps", "1", "--crops", "2"]
    )
    args.sample = 1
    waterfall.measure_bar(LIBRARY, args, in_folder)
    released = waterfall.measure_bar(AS_RELEASED, args, in_folder)
    assert released["measured_share"] == 0.25
    assert released["work"] == {"steps": 4, "crops": 8, "encodes": 12}
    assert released["agreement"]["compared"] == 1


def test_the_library_runs_first_and_the_bars_come_in_order(in_folder, children):
    results = run_bars()
    assert children[0] == LIBRARY.name and len(children) == len(ladder())
    assert [each["name"] for each in results] == [bar.name for bar in ladder()]


def test_bars_that_are_done_are_kept(in_folder, children):
    run_bars()
    done = len(children)
    run_bars()
    assert len(children) == done


def test_a_killed_run_goes_on(in_folder, children):
    run_bars()
    waterfall.path_of(AS_RELEASED, waterfall.scratch_folder(waterfall.parse(SMALL))).unlink()
    children.clear()
    run_bars()
    assert children == [AS_RELEASED.name]


def test_fresh_forgets_them(in_folder, children):
    run_bars()
    children.clear()
    run_bars("--fresh")
    assert len(children) == len(ladder())


@pytest.mark.parametrize("change", [["--steps", "2"], ["--threads", "2"], ["--image-size", "128"]])
def test_other_arguments_start_anew(in_folder, change):
    assert waterfall.scratch_folder(waterfall.parse([*SMALL, *change])) != waterfall.scratch_folder(
        waterfall.parse(SMALL)
    )


def test_what_changes_no_number_does_not(in_folder):
    same = waterfall.parse([*SMALL, "--out", "elsewhere", "--precision", "bf16"])
    assert waterfall.scratch_folder(same) == waterfall.scratch_folder(waterfall.parse(SMALL))


def test_a_bar_that_fails_is_named(in_folder, monkeypatch):
    monkeypatch.setattr(waterfall.subprocess, "run", lambda command, check: subprocess.CompletedProcess(command, 1))
    with pytest.raises(UserError, match="'the library' failed"):
        run_bars()


def test_code_that_changes_meanwhile_is_noticed(in_folder, children, monkeypatch):
    digests = iter("ab")
    monkeypatch.setattr(waterfall, "code_digest", lambda: next(digests))
    with pytest.raises(UserError, match="changed while"):
        run_bars()


def test_rows():
    slow = result("as released", 30.0, truncate=False, measured_share=0.5)
    fast = result("the library", 2.0, peak_bytes=None)
    first, last = waterfall.rows_of([slow, fast], PARTS)
    assert first[:5] == ["as released *", "30.0", "1.0", "0.00", "1.0"]
    assert waterfall.flops_of(slow, PARTS) == 10 * 140 + 5 * 100 + 200
    ratio = (10 * 140 + 5 * 100 + 200) / (10 * 100 + 5 * 60 + 200)
    assert last == [
        "the library",
        "2.0",
        "15.0",
        "0.00",
        f"{ratio:.1f}",
        "?",
        "1.0e-05",
        "1.0e-07",
        "50% (100%)",
        "0.00",
    ]


def test_the_report_is_a_page_a_plot_and_numbers(tmp_path):
    args = waterfall.parse([*SMALL, "--out", str(tmp_path)])
    waterfall.report([result("as released", 30.0), result("the library", 2.0)], args)
    assert "| the library | 2.0 | 15.0 |" in (tmp_path / "waterfall-toybox.md").read_text()
    plain = json.loads((tmp_path / "waterfall-toybox.json").read_text())
    assert plain["settings"]["steps"] == 1 and len(plain["bars"]) == 2
    assert (tmp_path / "waterfall-toybox.png").read_bytes().startswith(b"\x89PNG")
