"""The command `sdcorr`: finds the subcommand and calls it. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from sdcorr import __version__
from sdcorr.cli.output import lasting

HELP = ("-h", "--help")


class Command(NamedTuple):
    """A subcommand. Functions are named as module:function, and imported when they are called."""

    function: str  # takes the words after the subcommand; returns an exit code, or None for 0
    summary: str
    help: str | None = None  # returns the text of --help, where the function itself would import torch first


COMMANDS = {
    "match": Command("sdcorr.cli.match:main", "find points of one picture in others"),
    "app": Command("sdcorr.cli.app:main", "the same in the browser: click on points and see their matches"),
    "eval": Command(
        "sdcorr.cli.evaluate:main",
        "run a method on a data set, keep what it predicts, and score it",
        "sdcorr.cli.help:evaluation",
    ),
    "score": Command("sdcorr.cli.score:main", "score a finished run under other protocols"),
    "table": Command("sdcorr.cli.table:main", "one table of finished runs, to read or to paste: LaTeX, Markdown, CSV"),
    "compare": Command("sdcorr.cli.compare:main", "is one run better than another, on the pairs that both have?"),
    "report": Command("sdcorr.cli.report:main", "make a run's report.html again, or a page that compares runs"),
    "calibrate": Command("sdcorr.cli.calibrate:main", "learn from a run how likely a match is right"),
    "import": Command("sdcorr.cli.imports:main", "make a run of predictions from elsewhere, a CSV or JSON file"),
    "export": Command("sdcorr.cli.exports:main", "write a run's predictions as a CSV or JSON file"),
    "train": Command(
        "sdcorr.cli.transfer:main",
        "match, with everything as key=value; with task=student: train a network from labels",
        "sdcorr.cli.help:transfer",
    ),
    "label": Command(
        "sdcorr.cli.label:main",
        "find correspondences in pictures alone, and write them as a data set",
        "sdcorr.cli.help:labeling",
    ),
    "export-student": Command("sdcorr.cli.export_student:main", "write a trained student as ONNX or torch.export"),
    "index": Command(
        "sdcorr.cli.index:main", "read a folder of pictures, so that points are found in all of them at once"
    ),
    "search": Command("sdcorr.cli.search:main", "find a point of a picture in the pictures of an index"),
    "redo": Command("sdcorr.cli.redo:main", "forget some of a run's predictions, so that they are made again"),
    "prepare": Command("sdcorr.cli.prepare:main", "download a benchmark, check it and unpack it"),
    "inspect": Command(
        "sdcorr.cli.inspect:main",
        "count what a data set on this disk holds, beside the published counts",
        "sdcorr.cli.help:inspection",
    ),
}
UNLISTED = {
    "train task=student": Command("sdcorr.cli.student:main", "train a student", "sdcorr.cli.help:student"),
}
_LIST = "\n".join(f"  {name:<14} {command.summary}" for name, command in COMMANDS.items())
OVERVIEW = f"""\
usage: sdcorr COMMAND ...

A point in one picture, the same point in another, found by a frozen diffusion model; and an honest score for it.

{_LIST}

`sdcorr COMMAND --help` explains a command, `sdcorr --version` says which version this is. For a start:

  sdcorr eval                                                   a small model on drawings, both come with sdcorr
  sdcorr match a.jpg b.jpg --points 120,80 40,200 model=sd14    Stable Diffusion on your own photographs
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Call a subcommand.

    Args:
        argv: the words after `sdcorr`; by default those of this process.

    Returns:
        The exit code: 2 after one sentence on stderr if something is wrong with what was asked for.
    """
    words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    return lasting(lambda: _main(*words))


def _main(name: str, *rest: str) -> int:
    if name in HELP:
        print(OVERVIEW, end="")
        return 0
    if name == "--version":
        print(f"sdcorr {__version__}")
        return 0
    if tasks := [word for word in rest if name == "train" and word.startswith("task=")]:
        rest = tuple(word for word in rest if word not in tasks)
        name = " ".join([name, *(task for task in tasks if task != "task=match")])
    command = (COMMANDS | UNLISTED).get(name)
    if command is None:
        print(f"error: {_unknown(name)}", file=sys.stderr)
        return 2
    if undecoded := next((word for word in rest if any("\udc80" <= letter <= "\udcff" for letter in word)), None):
        print(f"error: {_not_decoded(undecoded)}", file=sys.stderr)
        return 2
    if command.help and set(rest) & set(HELP):
        print(_function(command.help)(), end="")
        return 0
    from sdcorr.cli.command import guarded  # not at the top: it imports Hydra

    return guarded(lambda: _function(command.function)(list(rest)) or 0)


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)


def _not_decoded(word: str) -> str:
    """The sentence about a word of the command line that is not in this system's encoding."""
    shown = word.encode("ascii", "backslashreplace").decode()
    return (
        f"{shown} has bytes that are no letters in this system's encoding, {sys.getfilesystemencoding()}: set "
        "PYTHONUTF8=1, or rename what it names in UTF-8."
    )


def _unknown(name: str) -> str:
    if name.startswith("train task="):
        return f"There is no {name.removeprefix('train ')}: give task=match or task=student."
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    advice = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(COMMANDS)}."
    return f"There is no command '{name}': {advice}"
