"""`sdcorr export`: the predictions of a run as one file."""

from __future__ import annotations

from collections.abc import Sequence

from sdcorr.cli.command import Arguments
from sdcorr.cli.paths import folder
from sdcorr.cli.runs import opened
from sdcorr.exchange.exports import check_suffix, export_predictions

_ABOUT = """\
Writes the predictions of a run as one file, a row per point (.csv) or a list of pairs (.json), in pixels of the
original pictures, with the truth where it is known. `sdcorr import` reads it again to the last bit. No data set is
needed.
"""


def main(argv: Sequence[str]) -> None:
    """The command: prints how many points were written, and as its last line the file.

    Args:
        argv: its arguments.

    Raises:
        UserError: if an argument, the folder or a record is not what it should be, or the file cannot be written.
    """
    parser = Arguments(prog="sdcorr export", description=_ABOUT)
    parser.add_argument("run", metavar="RUN", help="folder of an evaluation or of an import")
    parser.add_argument("--method", metavar="NAME", help="method of the run; its first unless given")
    parser.add_argument("--to", required=True, metavar="FILE", help="a .csv or .json file; an older one is replaced")
    chosen = parser.parse_args(argv)
    path = folder(chosen.to)
    check_suffix(path)
    store, method = opened(chosen.run, chosen.method)
    print(f"{method}: {export_predictions(store.records(method), path):,} points")
    print(path)
