"""What the commands of this folder share: their arguments, and how a run is opened."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

from sdcorr.cli.command import Arguments
from sdcorr.errors import UserError
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.pck import ALPHAS


def arguments(command: str, description: str) -> Arguments:
    """A parser with the options that scoring and comparing have in common."""
    parser = Arguments(prog=command, description=description)
    parser.add_argument("--alphas", nargs="+", type=float, default=ALPHAS, help="thresholds (%(default)s)")
    parser.add_argument("--method", help="method of the run; the evaluation's first unless given")
    parser.add_argument("--bootstrap", type=int, default=1000, help="resamples for the intervals (%(default)s)")
    return parser


def parse(parser: Arguments, given: Sequence[str] | None) -> argparse.Namespace:
    """The arguments of a command line, or of this process.

    Raises:
        UserError: if one is unknown or not legal.
    """
    chosen = parser.parse_args(given)
    chosen.alphas = sorted(set(chosen.alphas))
    if bad := [alpha for alpha in chosen.alphas if not (math.isfinite(alpha) and alpha > 0)]:
        raise UserError(f"A threshold must be above 0, not {bad[0]:g}: give for example --alphas 0.05 0.1.")
    if chosen.bootstrap < 0:
        raise UserError(f"The number of resamples cannot be {chosen.bootstrap}: give --bootstrap 1000, or 0 for none.")
    return chosen


def opened(run: str, method: str | None) -> tuple[PredictionStore, str]:
    """The predictions of a run folder, and the method that is meant.

    Raises:
        UserError: if there is no run in the folder.
    """
    store = PredictionStore(run)
    store.config()
    there = store.methods()
    noted = [name for name in store.noted_methods() if name in there]
    return store, method or next(iter([*noted, *there]), "any method")
