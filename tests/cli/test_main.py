"""The command `sdcorr`, and every name that its commands ever had."""

import runpy
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from sdcorr import __version__
from sdcorr.cli.main import COMMANDS, UNLISTED, main

ROOT = Path(__file__).parents[2]
EARLIER = {  # module that `python -m` names -> what its usage begins with
    "sdcorr": "sdcorr COMMAND",
    "sdcorr.app": "sdcorr app",
    "sdcorr.datasets.prepare": "sdcorr prepare",
    "sdcorr.datasets.card": "sdcorr inspect",
    "sdcorr.evaluation.score": "",
    "sdcorr.evaluation.compare": "",
    "sdcorr.evaluation.report": "",
    "sdcorr.toybox.train": "python -m sdcorr.toybox.making.train",
    "sdcorr.toybox.showcase": "python -m sdcorr.toybox.making.showcase",
    "sdcorr.toybox.curve": "python -m sdcorr.toybox.making.curve",
}


def helped(capsys: pytest.CaptureFixture, *words: str) -> str:
    """What a command prints of `--help`."""
    try:
        code = main([*words, "--help"])
    except SystemExit as end:  # which is how argparse ends
        code = end.code
    assert code == 0
    return capsys.readouterr().out


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture) -> None:
    for words in ([], ["--help"], ["-h"]):
        assert main(words) == 0
        said = capsys.readouterr().out
        for name, command in COMMANDS.items():
            assert f"  {name}" in said and command.summary in said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture) -> None:
    said = helped(capsys, name)
    assert said.startswith("usage:") and len(said.splitlines()) > 8


@pytest.mark.parametrize("command", [*COMMANDS.values(), *UNLISTED.values()], ids=lambda command: command.function)
def test_every_command_is_there(command) -> None:
    for function in filter(None, (command.function, command.help)):
        module, _, name = function.partition(":")
        assert callable(getattr(import_module(module), name))


def test_version(capsys: pytest.CaptureFixture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"sdcorr {__version__}\n"


@pytest.mark.parametrize(
    "name, advice",
    [("evla", "did you mean eval?"), ("matches", "did you mean match?"), ("x", "choose one of match, app")],
)
def test_an_unknown_command_is_answered_with_the_nearest(name: str, advice: str, capsys: pytest.CaptureFixture) -> None:
    assert main([name]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: There is no command '{name}': {advice}") and len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["eval", "method.restart=3"], "method.restart"),
        (["score", "nowhere"], "nowhere"),
        (["prepare", "pascal"], "pfpascal"),
        (["app", "--port", "many"], "many"),
        (["inspect", "dataset=pascal"], "pfpascal"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(words, complaint, capsys: pytest.CaptureFixture) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and complaint in said and len(said.splitlines()) == 1


@pytest.fixture
def argv(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The command line of this process."""
    words = ["sdcorr"]
    monkeypatch.setattr(sys, "argv", words)
    yield words


@pytest.mark.parametrize("module", EARLIER)
def test_earlier_names_lead_to_the_same_commands(module: str, argv: list[str], capsys: pytest.CaptureFixture) -> None:
    argv.append("--help")
    with pytest.raises(SystemExit) as end:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {EARLIER[module]}")


@pytest.mark.parametrize("script, command", [("eval.py", "eval"), ("train.py", "train")])
def test_scripts_are_commands(script: str, command: str, argv: list[str], capsys: pytest.CaptureFixture) -> None:
    expected = helped(capsys, command)
    argv.append("--help")
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / script), run_name="__main__")
    assert capsys.readouterr().out == expected


def test_help_waits_for_no_large_library() -> None:
    asked = "import sys\nfrom sdcorr.cli.main import main\nmain(['--help'])\nmain(['eval', '--help'])\n"
    told = "print('imported', *{'torch', 'hydra', 'numpy', 'diffusers'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", asked + told], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported"
