"""Is one run better than another? `python -m sdcorr.scoring.compare RUN_A RUN_B [--protocol NAME]`.

The runs are compared on the pairs that both have. A resample of the bootstrap draws the same pairs for both, so what
makes a pair hard for both cancels, and the interval of the difference is sharper than those of the runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Console

from sdcorr.cli.command import answer
from sdcorr.cli.runs import arguments, opened, parse
from sdcorr.datasets import Pair
from sdcorr.errors import UserError
from sdcorr.report.terminal import print_comparison
from sdcorr.scoring.arrays import Answers, collect
from sdcorr.scoring.bootstrap import estimate, resampled
from sdcorr.scoring.counts import tally
from sdcorr.scoring.pck import ALPHAS
from sdcorr.scoring.protocols import PROTOCOLS, Protocol, protocol_named
from sdcorr.scoring.summary import Summary, details, difference, named, names_of, prefixed, shared


def compare(
    ours: Answers,
    theirs: Answers,
    protocol: Protocol,
    alphas: Sequence[float] = ALPHAS,
    *,
    samples: int = 1000,
    seed: int = 0,
) -> Summary:
    """Compares the answers of two methods, or of two runs of one.

    Returns:
        A flat summary: `protocol`, `headline`, `dataset`, `split`; `pairs` and `points` that both have, `a/only` and
        `b/only` that one alone has; `a/pck@0.10/per_point` and so on with `/low` and `/high` on the shared pairs,
        `b/...` likewise, and `difference/...`, the first less the second, also of each category and difficulty.

    Raises:
        UserError: if the answers are to different data sets or annotations, or share no pair.
    """
    _check(ours, theirs)
    first, second = tally(ours, protocol, alphas), tally(theirs, protocol, alphas)
    a, b = shared(first, second)
    summary: Summary = {"protocol": protocol.name, "headline": protocol.on(ours.dataset).headline}
    summary |= {"dataset": ours.dataset, "split": ours.split}
    summary |= {"pairs": len(a.ids), "points": int(a.points[:, 0].sum())}
    summary |= {"a/only": len(first.ids) - len(a.ids), "b/only": len(second.ids) - len(b.ids)}
    for name, counts in (("a/", a), ("b/", b)):
        values = named(names_of(counts, alphas), estimate(counts), resampled(counts, samples, seed))
        summary |= prefixed(name, values)
    differences = difference(a, b, alphas, samples=samples, seed=seed)
    differences |= details(a, alphas, samples=samples, seed=seed, less=b)
    return summary | prefixed("difference/", differences)


def _check(ours: Answers, theirs: Answers) -> None:
    """Raises UserError unless both are answers to the same questions."""
    if (ours.dataset, ours.split) != (theirs.dataset, theirs.split):
        raise UserError(
            f"The first run is on {ours.dataset} {ours.split} and the second on {theirs.dataset} {theirs.split}: "
            "only runs on the same split of the same data set can be compared."
        )
    known = {pair.id: pair for pair in theirs.pairs}
    both = [(pair, known[pair.id]) for pair in ours.pairs if pair.id in known]
    if not both:
        raise UserError("The two runs have no pair in common: wait until both have predicted more.")
    if changed := next((pair.id for pair, other in both if not _same(pair, other)), None):
        raise UserError(
            f"The annotations of pair {changed} differ between the two runs: they were made with different copies of "
            f"{ours.dataset}, so predict one of them again."
        )


def _same(pair: Pair, other: Pair) -> bool:
    """Whether two pairs of one id ask for and score the same."""
    plain = ("source_size", "target_size", "source_box", "target_box")
    return all(getattr(pair, name) == getattr(other, name) for name in plain) and all(
        np.array_equal(getattr(pair, name), getattr(other, name)) for name in ("query_points", "true_points")
    )


def main(given: Sequence[str] | None = None) -> None:
    """Compares two finished runs, see the top of this file.

    Raises:
        UserError: if an argument, a folder or a record is not what it should be, or the runs cannot be compared.
    """
    parser = arguments("sdcorr.scoring.compare", "Is one run better than another, on the pairs that both have?")
    parser.add_argument("runs", nargs=2, metavar="RUN", help="folder of a finished evaluation")
    parser.add_argument("--protocol", default="standard", metavar="NAME", help=", ".join(PROTOCOLS))
    parser.add_argument("--other-method", metavar="METHOD", help="method of the second run, if it is another")
    chosen = parse(parser, given)
    protocol = protocol_named(chosen.protocol)
    first = opened(chosen.runs[0], chosen.method)
    second = opened(chosen.runs[1], chosen.other_method or chosen.method)
    names = [f"{store.run_dir}: {method}" for store, method in (first, second)]
    if names[0] == names[1]:
        raise UserError(f"{names[0]} is compared with itself: name another run, or --other-method.")
    console = Console()
    with console.status("comparing"):
        ours, theirs = (collect(store.records(method)) for store, method in (first, second))
        summary = compare(ours, theirs, protocol, chosen.alphas, samples=chosen.bootstrap)
    print_comparison(summary, names[0], names[1], console)


if __name__ == "__main__":
    answer(main)
