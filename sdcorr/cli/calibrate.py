"""`sdcorr calibrate`: what the evidence of a run's matches says of their being right, learned and kept as a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from sdcorr.cli.command import Arguments
from sdcorr.cli.paths import folder
from sdcorr.cli.runs import opened
from sdcorr.errors import UserError
from sdcorr.methods.base import Claim
from sdcorr.run.claims import IMPORTED
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.arrays import Arrays, collect
from sdcorr.scoring.calibration import LEAST_OF_EITHER, RIGHT, THERE, Calibration, calibrate
from sdcorr.scoring.calibration_file import write_calibration
from sdcorr.scoring.protocols import PROTOCOLS, protocol_named

_ABOUT = """\
Learns from a finished run over pairs whose truth is known (a val split, or your own labeled pairs) how likely a match
is right, and writes it as a small file: `calibration=FILE` of an evaluation, `--calibration FILE` of score and report.
It holds for that method with those settings and that model.
"""


def main(argv: Sequence[str]) -> None:
    """The command: prints what was learned, how far it is right on pairs that it had not seen, and the file.

    Args:
        argv: its arguments.

    Raises:
        UserError: if an argument, the folder or a record is not what it should be, there is too little to learn from,
            or the file cannot be written.
    """
    chosen = _parser().parse_args(argv)
    if not (math.isfinite(chosen.alpha) and chosen.alpha > 0):
        raise UserError(f"A threshold must be above 0, not {chosen.alpha:g}: give for example --alpha 0.1.")
    protocol = protocol_named(chosen.protocol)
    store, method = opened(chosen.run, chosen.method)
    arrays, claim = collect(store.records(method)), store.claim_of(method)
    if not arrays.evidence and claim.kind != IMPORTED:
        raise UserError(
            f"Not all matches of {method} in {chosen.run} have left evidence: they are older than it, or the method "
            f"leaves none. `sdcorr redo {chosen.run} --method {method}` forgets them, and the same evaluation makes "
            "them again."
        )
    found = calibrate(arrays, claim, protocol, chosen.alpha, _hiding(chosen.there, claim) if chosen.there else None)
    path = folder(chosen.to) if chosen.to else Path(chosen.run) / f"calibration-{method}.yaml"
    write_calibration(found, path)
    print(_told(found, method))
    print(path)


def _hiding(run: str, claim: Claim) -> Arrays:
    """The matches of the same method in another run.

    Raises:
        UserError: if it has none.
    """
    store = PredictionStore(run)
    store.config()
    name = next((each for each in store.methods() if store.claim_of(each) == claim), None)
    if name is None:
        raise UserError(f"--there {run} has no matches of the same method, settings and model: evaluate it there too.")
    return collect(store.records(name))


def _parser() -> Arguments:
    parser = Arguments(prog="sdcorr calibrate", description=_ABOUT)
    parser.add_argument("run", metavar="RUN", help="folder of an evaluation")
    parser.add_argument("--method", metavar="NAME", help="method of the run; its first unless given")
    parser.add_argument(
        "--there", metavar="RUN", help="the same method's run on pairs that hide more points, to learn of these from"
    )
    parser.add_argument("--alpha", type=float, default=0.1, help="right is what is within it (%(default)s)")
    parser.add_argument("--protocol", default="standard", metavar="NAME", help=f"one of {', '.join(PROTOCOLS)}")
    parser.add_argument(
        "--to", metavar="FILE", help="the file; calibration-METHOD.yaml in the run's folder unless given"
    )
    return parser


def _told(found: Calibration, method: str) -> str:
    outcome = found.outcomes[RIGHT]
    weights = zip(outcome.model.names, outcome.model.weights, strict=True)
    heaviest = sorted(weights, key=lambda each: -abs(each[1]))
    unseen = outcome.unseen
    there = found.outcomes.get(THERE)
    of_there = (
        f"there or not, on pairs not seen: ECE {there.unseen['error']:.3f}, AUROC {there.unseen['auroc']:.2f}"
        f" ({100 * (1 - there.share):.1f} % of the points are hidden)"
        if there
        else f"there or not is not learned: that takes {LEAST_OF_EITHER} points that targets hide, and dataset.ask=all"
    )
    return (
        f"{method} on {found.dataset} {found.split}: {found.points:,} points of {found.pairs:,} pairs, "
        f"{100 * outcome.share:.1f} % right within {found.alpha:g} ({found.protocol})\n"
        f"on pairs not seen: ECE {unseen['error']:.3f}, Brier {unseen['brier']:.3f} "
        f"(the same for all points: {outcome.share * (1 - outcome.share):.3f}), AUROC {unseen['auroc']:.2f}\n"
        f"weights: {', '.join(f'{name} {weight:+.2f}' for name, weight in heaviest)}\n{of_there}"
    )
