"""How cost grows."""

import json
import sys

import growth
import pytest
import torch


@pytest.fixture
def threads():
    """The script sets its own number of threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_every_size_along_every_axis(tmp_path, monkeypatch, threads):
    arguments = "--model toybox --steps 1 --crops 1 --sizes 1 2 --base 1 --out".split()
    monkeypatch.setattr(sys, "argv", ["growth.py", *arguments, str(tmp_path)])
    growth.main()
    results = json.loads((tmp_path / "growth-toybox.json").read_text())["results"]
    sizes = [(row["bar"], row["points"], row["restarts"], row["targets"]) for row in results]
    along = [(1, 1, 1), (2, 1, 1), (1, 1, 1), (1, 2, 1), (1, 1, 1), (1, 1, 2)]
    assert sizes == [(bar, *size) for bar in ("the library", "as released") for size in along]
    for row in results:
        assert row["per_match"] == pytest.approx(row["seconds"] / (row["points"] * row["targets"]))
    assert (tmp_path / "growth-toybox.png").read_bytes().startswith(b"\x89PNG")
    assert "| the library | 2 | 1 | 1 |" in (tmp_path / "growth-toybox.md").read_text()
