"""Every notebook runs from top to bottom, and is kept as a reader wants to find it."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
MOST_BYTES = 1_500_000  # of all together


def outputs(notebook: nbformat.NotebookNode) -> list[list[nbformat.NotebookNode]]:
    """What each cell of code has put out."""
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def kinds(notebook: nbformat.NotebookNode) -> list[list[str]]:
    """What sort of output each cell has: a picture, text or a stream."""
    return [
        ["image" if "image/png" in each.get("data", {}) else each.output_type for each in cell]
        for cell in outputs(notebook)
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # tensors are small, so on a busy machine threads wait for each other
    kept = nbformat.read(path, as_version=4)
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    assert kinds(notebook) == kinds(kept)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_clean(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"] == [
        number + 1 for number, _ in enumerate(outputs(notebook))
    ]
    assert not any(cell.metadata for cell in notebook.cells)
    assert any("image" in each for each in kinds(notebook))
    for cell in outputs(notebook):
        for each in cell:
            assert each.output_type != "error" and each.get("name") != "stderr"
            text = f"{each.get('text', '')}{each.get('data', {}).get('text/plain', '')}"
            for noise in ("warning", "Warning", "/home", "/root", "/tmp", "site-packages"):
                assert noise not in text


def test_there_are_three_small_ones() -> None:
    assert {path.stem for path in NOTEBOOKS} == {"quickstart", "inside_the_method", "ablations"}
    assert sum(path.stat().st_size for path in NOTEBOOKS) < MOST_BYTES
