"""`sdcorr match`: pictures and points as plain arguments, everything else as the settings of configs/train.yaml."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence

from sdcorr.cli import help
from sdcorr.cli.command import Arguments
from sdcorr.cli.paths import override, override_list
from sdcorr.errors import UserError

_SETTING = re.compile(r"\+?[A-Za-z][\w.]*=")


def main(argv: Sequence[str]) -> int:
    """The command; returns its exit code.

    Args:
        argv: pictures, options and settings.

    Raises:
        UserError: if they are not what `--help` says.
    """
    settings = [word for word in argv if is_setting(word)]
    chosen = _parser().parse_args([word for word in argv if not is_setting(word)])
    words = [
        override("source", chosen.source),
        override_list("target", chosen.targets),
        f"points=[{','.join(chosen.points)}]",
        *([override("run_dir", chosen.out)] if chosen.out else []),
        *settings,
    ]
    from sdcorr.cli import transfer  # not at the top: it imports torch, and a mistake should be told at once

    return transfer.main(words)


def _parser() -> Arguments:
    parser = Arguments(
        prog="sdcorr match",
        usage="sdcorr match SOURCE TARGET [TARGET ...] --points X,Y [X,Y ...] [--out DIR] [key=value ...]",
        description=help.MATCH,
        epilog=help.settings("train", help.MATCH_SETTINGS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SOURCE", help="the picture with the points")
    parser.add_argument("targets", metavar="TARGET", nargs="+", help="pictures in which they are to be found")
    parser.add_argument(
        "--points",
        metavar="X,Y",
        nargs="+",
        required=True,
        type=_point,
        help="in pixels of the source as you see it, x to the right, y down",
    )
    parser.add_argument("--out", metavar="DIR", help="where the results are written (outputs/points)")
    return parser


def is_setting(word: str) -> bool:
    """Whether a word sets something; the name of a picture may have a `=` too."""
    return bool(_SETTING.match(word)) and not os.path.exists(word)


def _point(text: str) -> str:
    """A point as Hydra reads it.

    Raises:
        UserError: if it is not a pair of numbers.
    """
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        raise UserError(
            f"'{text}' is not a point: give the pictures, then --points X,Y [X,Y ...], such as --points 120,80 40,200."
        ) from None
    return f"[{x},{y}]"
