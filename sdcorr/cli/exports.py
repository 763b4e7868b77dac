"""`sdcorr export`: the predictions of a run as one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sdcorr.cli.command import Arguments
from sdcorr.cli.paths import folder
from sdcorr.cli.runs import opened
from sdcorr.datasets import Match
from sdcorr.exchange.exports import check_suffix, export_predictions
from sdcorr.run.records import UnitRecord
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.arrays import collect
from sdcorr.scoring.calibration import RIGHT, THERE, Calibration
from sdcorr.scoring.calibration_file import judged_by, read_calibration

_ABOUT = """\
Writes the predictions of a run as one file, a row per point (.csv) or a list of pairs (.json), in pixels of the
original pictures, with the truth where it is known, and where a calibration fits with the probability that a match is
right and that the point is there. `sdcorr import` reads it again to the last bit. No data set is needed.
"""
COLUMNS = {"probability": RIGHT, "there": THERE}  # name -> outcome


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
    parser.add_argument("--calibration", metavar="FILE", help="of `sdcorr calibrate`; the toybox has its own")
    parser.add_argument("--to", required=True, metavar="FILE", help="a .csv or .json file; an older one is replaced")
    chosen = parser.parse_args(argv)
    path = folder(chosen.to)
    check_suffix(path)
    store, method = opened(chosen.run, chosen.method)
    records = store.records(method)
    by = _calibration(store, method, records, folder(chosen.calibration) if chosen.calibration else None)

    def told(match: Match) -> dict[str, np.ndarray]:
        known = {name: by.of_match(match, outcome) for name, outcome in COLUMNS.items()} if by else {}
        return {name: values for name, values in known.items() if values is not None}

    print(f"{method}: {export_predictions(records, path, told):,} points")
    print(path)


def _calibration(
    store: PredictionStore, method: str, records: Sequence[UnitRecord], given: Path | None
) -> Calibration | None:
    """What judges a method's matches; without a truth, by which it is collected, nothing does unless it is given."""
    known = any(pair.has_truth.any() for record in records for pair, _ in record.predictions)
    return judged_by(store.claim_of(method), collect(records), given) if known else given and read_calibration(given)
