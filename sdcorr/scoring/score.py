"""Records to numbers, under any protocol: `python -m sdcorr.scoring.score RUN [RUN ...] [--protocol NAME ...]`.

A RUN is the folder of an evaluation. Scoring reads its records only, no data set and no model, so one run is scored
under every protocol in seconds. Prints the protocols side by side, beside what others have published under the same
ones, and writes summary-<protocol>.json into each run folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from sdcorr.cli.command import answer
from sdcorr.cli.runs import arguments, opened, parse
from sdcorr.files import write_whole
from sdcorr.report.terminal import print_side_by_side
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.arrays import Answers, read
from sdcorr.scoring.bootstrap import estimate
from sdcorr.scoring.counts import Tally, tally
from sdcorr.scoring.pck import ALPHAS
from sdcorr.scoring.protocols import PROTOCOLS, Protocol, protocol_named
from sdcorr.scoring.summary import Summary, summarize

__all__ = ["Summary", "Tally", "estimate", "score", "score_answers", "summarize", "tally", "write_summary"]

ALL = "all"  # every protocol that has a rule for the data set


def score(
    store: PredictionStore,
    method: str,
    protocol: Protocol,
    alphas: Sequence[float] = ALPHAS,
    *,
    samples: int = 1000,
    seed: int = 0,
) -> Summary:
    """Scores a method of a run beside all the others in its folder, under one protocol, see `score_answers`.

    Raises:
        UserError: if there are no records of the method, a record is torn, or the protocol does not suit the
        data.
    """
    return score_answers(read(store, method), method, protocol, alphas, samples=samples, seed=seed)


def score_answers(
    answers: Mapping[str, Answers],
    method: str,
    protocol: Protocol,
    alphas: Sequence[float] = ALPHAS,
    *,
    samples: int = 1000,
    seed: int = 0,
) -> Summary:
    """Scores one method beside others.

    Returns:
        The flat summary of `summarize` after `protocol` (its name), `headline` (the average that it reports first),
        `dataset`, `split`, `failures` (pairs without a prediction because of an image) and `seconds` (time that the
        method took, over all ranks); `baseline/<name>/seconds` likewise.

    Raises:
        UserError: if the protocol does not suit the data.
    """
    ours = answers[method]
    summary: Summary = {"protocol": protocol.name, "headline": protocol.on(ours.dataset).headline}
    summary |= {"dataset": ours.dataset, "split": ours.split, "failures": ours.failures, "seconds": ours.seconds}
    tallies = {name: tally(each, protocol, alphas) for name, each in answers.items()}
    summary |= summarize(tallies, method, alphas, samples=samples, seed=seed)
    return summary | {f"baseline/{name}/seconds": each.seconds for name, each in answers.items() if name != method}


def write_summary(run_dir: str | Path, summary: Summary, name: str = "summary.json") -> Path:
    """Writes a summary into the run folder, in one piece, and returns its path.

    Raises:
        UserError: if the disk is full or the folder cannot be written.
    """
    path = Path(run_dir) / name
    write_whole(path, json.dumps(summary, indent=1) + "\n")
    return path


def protocols_for(names: Sequence[str], dataset: str) -> list[Protocol]:
    """The presets of those names, each once; for `all`, those that have a rule for the data set.

    Raises:
        UserError: if there is no such preset, or it has no rule for the data set.
    """
    if ALL in names:
        return [protocol for protocol in PROTOCOLS.values() if protocol.knows(dataset)]
    return [protocol_named(name, dataset) for name in dict.fromkeys(names)]


def main(given: Sequence[str] | None = None) -> None:
    """Scores finished runs, see the top of this file.

    Raises:
        UserError: if an argument, a folder or a record is not what it should be.
    """
    parser = arguments("sdcorr.scoring.score", __doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a finished evaluation")
    parser.add_argument("--protocol", nargs="+", default=[ALL], metavar="NAME", help=f"{ALL}, {', '.join(PROTOCOLS)}")
    chosen = parse(parser, given)
    for name in set(chosen.protocol) - {ALL}:
        protocol_named(name)
    console, scored = Console(), []
    with console.status("scoring") as status:
        for run in dict.fromkeys(chosen.runs):
            store, method = opened(run, chosen.method)
            status.update(f"reading {run}")
            answers = read(store, method)
            for protocol in protocols_for(chosen.protocol, answers[method].dataset):
                status.update(f"scoring {run} under {protocol.name}")
                summary = score_answers(answers, method, protocol, chosen.alphas, samples=chosen.bootstrap)
                write_summary(run, summary, f"summary-{protocol.name}.json")
                scored.append((run, method, summary))
    print_side_by_side(scored, console)


if __name__ == "__main__":
    answer(main)
