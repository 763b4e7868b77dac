"""`sdcorr import`: predictions that were made elsewhere become a run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sdcorr.cli.command import Arguments
from sdcorr.cli.compose import compose_dataset
from sdcorr.cli.configs import choices
from sdcorr.cli.origin import benchmark, run_identity
from sdcorr.cli.paths import folder
from sdcorr.errors import UserError
from sdcorr.exchange.frame import OUR_FIRST_PIXEL, FileFrame
from sdcorr.exchange.imports import Imported, Reading, check_name, import_predictions
from sdcorr.exchange.table import KNOWN
from sdcorr.run.store import PredictionStore

_ABOUT = """\
Takes predictions that were made elsewhere and makes a run of them, which `sdcorr score`, `compare` and `report` treat
like any other. A CSV has a row per point; a JSON is a list of points, or of pairs with lists of points. Columns:

  pair, or index, or source and target   which pair: its id, its place in the data set's list, or its pictures
  point                                  which key-point: its name or its number; without it, the order counts
  x and y, or xy                         where it was found; xy is one cell such as [120.5, 80]
  score                                  how sure the method is, if it says so
  target_x and target_y, or target_xy    the truth, if the file has it: it is compared with that of the data set

Many other names of columns are known, and --columns says the rest. `sdcorr export` writes such a file.
"""
_EXAMPLES = """\
examples:
  sdcorr import mine.csv --dataset pfwillow --method mine
  sdcorr import theirs.csv --dataset spair --method theirs --frame padded:840 --columns x=u y=v dataset.root=FOLDER
  sdcorr import both.csv --dataset pfwillow --method dinov2 --where threshold=0.1 --run outputs/pfwillow
"""


def main(argv: Sequence[str]) -> None:
    """The command: prints what was read and how, and as its last line the run folder.

    Args:
        argv: the file, options, and settings of the data set as `key=value`.

    Raises:
        UserError: if an argument, the data set, the file or the folder is not what it should be; nothing is
            written then.
    """
    settings = [word for word in argv if word.startswith("dataset.") and "=" in word]
    chosen = _parser().parse_args([word for word in argv if word not in settings])
    check_name(chosen.method)
    reading = Reading(
        FileFrame.read(chosen.frame, chosen.first_pixel),
        _assignments("--columns", chosen.columns),
        _assignments("--where", chosen.where),
        chosen.count_from,
    )
    cfg = compose_dataset(chosen.dataset, *settings)
    of = benchmark(cfg)
    run = folder(chosen.run) if chosen.run else Path("outputs") / f"{of.called}-imported"
    found = import_predictions(
        folder(chosen.file), of, PredictionStore(run), chosen.method, run_identity(cfg, of), reading
    )
    print("\n".join(_told(found, chosen.method)))
    print(run)


def _told(found: Imported, method: str) -> list[str]:
    table = found.table
    lines = [f"{method}: {found.points:,} points of {found.pairs:,} pairs"]
    if table.chosen < table.written:
        lines[0] += f", from {table.chosen:,} of {table.written:,} rows"
    lines.append("read: " + ", ".join(f"{ours}={theirs}" for ours, theirs in table.columns.items()))
    lines[-1] += f"; key-points by their {found.pairing.numbering}" if found.pairing.numbering != "order" else ""
    if table.ignored:
        lines.append(f"not read: {', '.join(table.ignored)}")
    if found.pairing.unasked:
        lines.append(f"{found.pairing.unasked:,} rows are of points that the data set does not ask for: left out")
    if found.lacking:
        lines.append(f"{found.lacking:,} pairs of the data set are not in the file: the scores are without them")
    return lines


def _assignments(option: str, words: Sequence[str]) -> dict[str, str]:
    """`a=b` of each word."""
    if bad := next((word for word in words if "=" not in word.strip("=")), None):
        raise UserError(f"{option} {bad} is no NAME=VALUE: give for example {option} x=pred_x.")
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _parser() -> Arguments:
    parser = Arguments(
        prog="sdcorr import",
        usage="sdcorr import FILE --dataset NAME --method NAME [options] [dataset.root=FOLDER ...]",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="a .csv or .json file with the predictions")
    parser.add_argument("--dataset", required=True, metavar="NAME", help=", ".join(choices("dataset")))
    parser.add_argument("--method", required=True, metavar="NAME", help="what the predictions are called from here on")
    parser.add_argument("--run", metavar="RUN", help="the run folder (outputs/<data set>-<split>-imported)")
    parser.add_argument(
        "--frame",
        default="original",
        metavar="FRAME",
        help="the pixels of x and y: those of the original pictures (original), or of a square of N pixels to which "
        "each picture was squashed (squashed:N), or scaled and padded, half on each side (padded:N)",
    )
    parser.add_argument(
        "--first-pixel",
        type=float,
        default=OUR_FIRST_PIXEL,
        metavar="NUMBER",
        help="what the file calls the center of the top-left pixel; 0 if x and y are indices (%(default)s)",
    )
    parser.add_argument(
        "--columns", nargs="+", default=[], metavar="OURS=THEIRS", help=f"names of columns; ours: {', '.join(KNOWN)}"
    )
    parser.add_argument(
        "--where", nargs="+", default=[], metavar="COLUMN=VALUE", help="read only the rows that have this text there"
    )
    parser.add_argument(
        "--count-from", type=int, choices=(0, 1), default=0, help="the number of the first pair and point (%(default)s)"
    )
    return parser
