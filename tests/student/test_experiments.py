"""configs/experiment/student_*.yaml: each changes what it says, and belongs to one command."""

import pytest

from sdcorr.cli.compose import compose
from sdcorr.cli.configs import choices
from sdcorr.configuration import plain
from sdcorr.errors import UserError

NAMES = choices("experiment", "student")


@pytest.mark.parametrize("name", NAMES)
def test_each_trains_another_student_in_a_folder_of_its_own(name: str) -> None:
    usual, changed = (plain(compose("student", "data=labels", *words)) for words in ((), (f"experiment={name}",)))
    assert changed["run_dir"] == f"outputs/{name.replace('_', '-')}"
    assert changed["student"] != usual["student"]


def test_the_command_line_has_the_last_word() -> None:
    cfg = compose("student", "data=labels", "experiment=student_wide", "student.learning.sigma=2")
    assert cfg.student.learning.sigma == 2


@pytest.mark.parametrize("command, name", [("eval", NAMES[0]), ("student", "layers")])
def test_of_another_command_one_sentence_says_so(command: str, name: str) -> None:
    with pytest.raises(UserError, match=f"experiment={name} is another command's: choose one of "):
        compose(command, "data=labels" if command == "student" else "methods=[prompt]", f"experiment={name}")
