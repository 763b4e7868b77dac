"""What is said of a model, and when."""

from pathlib import Path

import pytest
from layouts import asked
from PIL import Image


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A folder with a pair of tiny pictures, in which a run may lie."""
    for name in "ab":
        Image.new("RGB", (64, 64), "red").save(tmp_path / f"{name}.png")
    (tmp_path / "pairs.csv").write_text("source,target,x,y,target_x,target_y\na.png,b.png,20,30,25,35\n")
    return tmp_path


def test_a_model_that_can_be_read(pair: Path, two_level_folder: Path) -> None:
    answer = asked(pair, f"model.path={two_level_folder}")
    assert answer.code == 0 and answer.seconds > 0
    assert answer.said.startswith(f"{two_level_folder}: a model of a structure of its own") and "64 px" in answer.said
    assert (pair / "run" / "report.html").exists()


def test_a_model_that_cannot(pair: Path) -> None:
    (pair / "empty").mkdir()
    code, _, said = asked(pair, f"model.path={pair / 'empty'}")
    assert code == 2 and said.startswith(f"error: {pair / 'empty'} holds no model")
