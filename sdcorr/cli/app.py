"""`sdcorr app`: serves the page on which one clicks points and sees their matches."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sdcorr.cli import help
from sdcorr.cli.command import Arguments, quiet_libraries
from sdcorr.cli.paths import folder

PORT = 7860


def main(argv: Sequence[str] | None = None) -> None:
    """The command: load the model, serve until Ctrl-C.

    Args:
        argv: its arguments; by default those of this process.

    Raises:
        UserError: if the port is taken, a setting does not fit, or the weights cannot be had.
    """
    chosen = _parser().parse_intermixed_args(argv)
    # Not at the top: they import torch, and a mistake should be told at once.
    from sdcorr.app.guard import is_loopback
    from sdcorr.app.instant import Instant
    from sdcorr.app.matching import Matching
    from sdcorr.app.server import Server
    from sdcorr.app.serving import listen, serve
    from sdcorr.toybox.anatomy import STUDENT_FOLDER

    quiet_libraries()
    with listen(chosen.host, chosen.port) as listener:
        if not is_loopback(chosen.host):
            print(
                f"warning: everyone who can reach {chosen.host} can use the page, as it has no password.",
                file=sys.stderr,
            )
        print("loading the model ...", flush=True)
        matching = Matching(chosen.settings)
        student = chosen.student or ("toybox" if matching.knows_only_drawings else None)
        instant = Instant(STUDENT_FOLDER if student == "toybox" else folder(student)) if student else None
        serve(Server(matching, chosen.host, instant=instant), listener, chosen.host, chosen.open)


def _parser() -> Arguments:
    parser = Arguments(
        prog="sdcorr app",
        usage="sdcorr app [--student FOLDER] [--port PORT] [--host ADDRESS] [--open] [key=value ...]",
        description=help.APP,
        epilog=help.settings("train", help.APP_SETTINGS, help.APP_GROUPS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("settings", nargs="*", metavar="key=value", help="settings, see below")
    parser.add_argument(
        "--student",
        metavar="FOLDER",
        help="a trained student, whose matches follow the cursor; unless given, the toybox's with the toybox",
    )
    parser.add_argument("--port", type=int, default=PORT, help=f"{PORT} unless given; 0: any that is free")
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen; unless given, this machine only"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    return parser
