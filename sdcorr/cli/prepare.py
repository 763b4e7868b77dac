"""`sdcorr prepare`: gets a benchmark ready."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sdcorr.cli.command import Arguments
from sdcorr.cli.paths import folder, typed
from sdcorr.datasets.fetch.prepare import Preparation
from sdcorr.datasets.fetch.sources import SOURCES, catalog
from sdcorr.errors import UserError

_EXAMPLES = """\
examples:
  sdcorr prepare --list                        what there is: terms, addresses
  sdcorr prepare pfwillow                      into data/PF-WILLOW, where `sdcorr eval dataset=pfwillow` looks for it
  sdcorr prepare spair --from ~/SPair-71k.tar.gz --root /mnt/data
"""


def main(argv: Sequence[str] | None = None) -> None:
    """The command.

    Args:
        argv: its arguments; by default those of this process.

    Raises:
        UserError: if there is no such data set, or it cannot be had.
    """
    chosen = _parser().parse_args(argv)
    if chosen.list:
        print(catalog(chosen.root))
        return
    if chosen.name not in SOURCES:
        wrong = "Say which data set" if chosen.name is None else f"There is no data set {chosen.name!r}"
        raise UserError(f"{wrong}: choose one of {', '.join(SOURCES)}.")
    place = Preparation(SOURCES[chosen.name], chosen.root, chosen.keep, chosen.sha256).run(chosen.given)
    print(f"ready: sdcorr eval dataset={chosen.name} {typed('dataset.root', str(place))}")


def _parser() -> Arguments:
    parser = Arguments(
        prog="sdcorr prepare",
        description="Download a benchmark, check it and unpack it. A command that was stopped goes on where it was.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help=f"one of {', '.join(SOURCES)}")
    parser.add_argument(
        "--root",
        type=folder,
        default=Path("data"),
        metavar="FOLDER",
        help="where its folder is put (data)",
    )
    parser.add_argument(
        "--from",
        dest="given",
        nargs="+",
        default=(),
        metavar="FILE_OR_URL",
        help="an archive, and pair lists if need be, that you have: files, or URLs",
    )
    parser.add_argument("--sha256", default="", metavar="HEX", help="refuse any archive but the one with this checksum")
    parser.add_argument("--keep", action="store_true", help="leave the downloaded archive in FOLDER/downloads")
    parser.add_argument("--list", action="store_true", help="show the data sets, their terms and addresses")
    return parser
