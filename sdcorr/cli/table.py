"""`sdcorr table`: one table of finished runs, to read in the terminal or to paste into a paper."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from rich.console import Console

from sdcorr.cli.command import answer
from sdcorr.cli.runs import arguments, opened, parse
from sdcorr.errors import UserError
from sdcorr.report.csv_file import csv_text
from sdcorr.report.latex import latex
from sdcorr.report.markdown import markdown
from sdcorr.report.survey import COLUMNS, survey
from sdcorr.report.table import Table
from sdcorr.report.terminal import show
from sdcorr.run.costs import MethodCost, cost_of
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.arrays import Arrays, collect
from sdcorr.scoring.protocols import PROTOCOLS, protocol_named
from sdcorr.scoring.score import score

ABOUT = """\
One table of finished runs on one data set: a row of each method, what it scores with 95 % intervals, by how much the
first is better on the pairs that both have, and what each costs. From the records alone: no model and no data set is
needed.
"""
TERMINAL = "terminal"
WRITTEN: dict[str, Callable[[Table], str]] = {"markdown": markdown, "latex": latex, "csv": csv_text}
ALPHAS = (0.01, 0.05, 0.1)


def main(given: Sequence[str] | None = None) -> None:
    """Prints the table.

    Raises:
        UserError: if an argument, a folder or a record is not what it should be, or the runs are of several data sets.
    """
    parser = arguments("sdcorr table", ABOUT)
    parser.set_defaults(alphas=ALPHAS)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a finished evaluation")
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="rows, and their order; all unless given")
    parser.add_argument(
        "--columns", nargs="+", choices=COLUMNS, default=COLUMNS, help="all unless given", metavar="WHAT"
    )
    parser.add_argument("--protocol", default="standard", metavar="NAME", help=", ".join(PROTOCOLS))
    parser.add_argument("--as", dest="form", choices=(TERMINAL, *WRITTEN), default=TERMINAL, help="(%(default)s)")
    chosen = parse(parser, given)
    protocol = protocol_named(chosen.protocol)
    console = Console(stderr=True)
    with console.status("scoring"):
        found = _found(chosen.runs, chosen.method)
        found = {_known(name, found): found[name] for name in chosen.methods or found}
        arrays = {name: each for name, (each, _) in found.items()}
        scores = score(arrays, next(iter(arrays)), protocol, chosen.alphas, samples=chosen.bootstrap)
    table = survey(scores, {name: cost for name, (_, cost) in found.items()}, columns=chosen.columns)
    if chosen.form == TERMINAL:
        show([table], Console())
    else:
        print(WRITTEN[chosen.form](table), end="")


def _found(runs: Sequence[str], subject: str | None) -> dict[str, tuple[Arrays, MethodCost]]:
    """What the methods of some runs predicted and what they took, the first run's subject first.

    A method is called by its name, and where several runs have one of that name by its run as well.
    """
    stores = {run: opened(run, None)[0] for run in dict.fromkeys(runs)}
    of = {run: _in_order(store) for run, store in stores.items()}
    if subject:
        of[runs[0]] = list(dict.fromkeys([_known(subject, of[runs[0]]), *of[runs[0]]]))
    everything = [name for names in of.values() for name in names]
    found = {}
    for run, store in stores.items():
        for name in of[run]:
            records = store.records(name)
            found[name if everything.count(name) == 1 else f"{run}: {name}"] = collect(records), cost_of(records)
    origins = {(arrays.dataset, arrays.split) for arrays, _ in found.values()}
    if len(origins) > 1:
        several = ", ".join(sorted(" ".join(origin) for origin in origins))
        raise UserError(f"These runs are of several data sets ({several}): give runs of one.")
    return found


def _in_order(store: PredictionStore) -> list[str]:
    """The methods of a run that have records, those of its last evaluation first."""
    there = store.methods()
    return [name for name in dict.fromkeys([*store.noted_methods(), *there]) if name in there]


def _known(name: str, names: Collection[str]) -> str:
    if name not in names:
        raise UserError(f"There is no method {name!r} in these runs: choose from {', '.join(names)}.")
    return name


if __name__ == "__main__":
    answer(main)
