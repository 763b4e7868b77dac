"""Scores of finished runs under any protocol, in a terminal and as files."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Console

from sdcorr.cli.command import answer
from sdcorr.cli.runs import arguments, opened, parse
from sdcorr.report import tables
from sdcorr.report.terminal import show
from sdcorr.scoring.arrays import read
from sdcorr.scoring.calibration import UNCALIBRATED, judge
from sdcorr.scoring.calibration_file import judged_by
from sdcorr.scoring.protocols import PROTOCOLS, protocol_named
from sdcorr.scoring.score import EVERY, protocols_for, score
from sdcorr.scoring.scores import Scores
from sdcorr.scoring.summary import write_summary

ABOUT = "Score finished runs under any protocol, from their records alone: no data set and no model is needed."


def main(given: Sequence[str] | None = None) -> None:
    """Scores runs, prints the protocols side by side beside what others have published under the same ones.

    Writes summary-<protocol>.json into each run folder.

    Raises:
        UserError: if an argument, a folder or a record is not what it should be.
    """
    parser = arguments("sdcorr score", ABOUT)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a finished evaluation")
    parser.add_argument(
        "--protocol", nargs="+", default=[EVERY], metavar="NAME", help=f"{EVERY}, {', '.join(PROTOCOLS)}"
    )
    parser.add_argument("--calibration", type=Path, metavar="FILE", help="of `sdcorr calibrate`, for all these runs")
    chosen = parse(parser, given)
    for name in set(chosen.protocol) - {EVERY}:
        protocol_named(name)
    console, scored, trust = Console(), [], {}
    with console.status("scoring") as status:
        for run in dict.fromkeys(chosen.runs):
            store, method = opened(run, chosen.method)
            status.update(f"reading {run}")
            arrays = read(store, method)
            by = judged_by(store.claim_of(method), arrays[method], chosen.calibration)
            calibrated = judge(by, arrays[method], samples=chosen.bootstrap) if by else None
            trust[run] = f"{run}: {method}: {calibrated.said if calibrated else UNCALIBRATED}"
            for protocol in protocols_for(chosen.protocol, arrays[method].dataset):
                status.update(f"scoring {run} under {protocol.name}")
                scores = score(arrays, method, protocol, chosen.alphas, samples=chosen.bootstrap)
                write_summary(run, scores, f"summary-{protocol.name}.json", calibrated)
                scored.append((f"{run}: {method}", scores))
    _print(scored, console)
    for line in trust.values():
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _print(scored: Sequence[tuple[str, Scores]], console: Console) -> None:
    """One table per data set, then for each run what has been published."""
    for origin in dict.fromkeys((scores.dataset, scores.split) for _, scores in scored):
        here = [(name, scores) for name, scores in scored if (scores.dataset, scores.split) == origin]
        show([tables.protocols(here)], console)
    for name, of_run in groupby(scored, key=lambda each: each[0]):
        together, apart = tables.published([scores for _, scores in of_run], name)
        show([*together, *([apart] if apart else [])], console)


if __name__ == "__main__":
    answer(main)
