"""`sdcorr redo`: forgets predictions, so that the next evaluation makes them again.

    sdcorr redo RUN --method unet_features           all that the run has of a method, and what made it
    sdcorr redo RUN --source cat/0 --source cat/1    all pairs of two source images, by every method
    sdcorr redo RUN --pair cat/0-3 --method prompt   one pair, by one method
    sdcorr redo RUN --all                            everything

Scores and pages that are in the run folder stay as they are until the next evaluation writes them anew.
"""

from __future__ import annotations

from collections.abc import Sequence

from sdcorr.cli.command import Arguments
from sdcorr.run.redo import redo
from sdcorr.run.store import PredictionStore


def main(argv: Sequence[str]) -> None:
    """The command.

    Args:
        argv: RUN and options.

    Raises:
        UserError: if an argument is not legal, or what is named is not there.
    """
    parser = Arguments(
        prog="sdcorr redo", description="Forgets predictions, so that the next evaluation makes them again."
    )
    parser.add_argument("run", metavar="RUN", help="folder of an evaluation")
    parser.add_argument("--method", action="extend", nargs="+", default=[], metavar="NAME", help="of this method only")
    parser.add_argument("--source", action="extend", nargs="+", default=[], metavar="KEY", help="of this source image")
    parser.add_argument("--pair", action="extend", nargs="+", default=[], metavar="ID", help="of this pair")
    parser.add_argument("--all", action="store_true", help="all predictions of all methods")
    chosen = parser.parse_args(argv)
    counts = redo(PredictionStore(chosen.run), chosen.method, chosen.source, chosen.pair, chosen.all)
    told = ", ".join(f"{_records(count)} of {name}" for name, count in counts.items() if count)
    print(f"{told} forgotten in {chosen.run}: the evaluation that made them makes them again.")


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count:,} records"
