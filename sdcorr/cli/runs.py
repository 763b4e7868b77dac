"""What the commands of this folder share: their arguments, and how a run is opened."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

from sdcorr.cli.command import Arguments
from sdcorr.errors import UserError
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.pck import ALPHAS

METHOD = "prompt"  # the method that a run is about unless another is named


def arguments(module: str, description: str) -> Arguments:
    """A parser with the options that scoring and comparing have in common."""
    parser = Arguments(prog=f"python -m {module}", description=description)
    parser.add_argument("--alphas", nargs="+", type=float, default=ALPHAS, help="thresholds (%(default)s)")
    parser.add_argument("--method", help=f"method of the run; {METHOD} if it has that, else its first")
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
    return store, method or (METHOD if METHOD in there or not there else there[0])
