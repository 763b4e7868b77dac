"""Is one finished run better than another, on the pairs that both have?"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from sdcorr.cli.command import answer
from sdcorr.cli.runs import arguments, opened, parse
from sdcorr.errors import UserError
from sdcorr.report import tables
from sdcorr.report.terminal import show
from sdcorr.scoring.arrays import collect
from sdcorr.scoring.compare import compare
from sdcorr.scoring.protocols import PROTOCOLS, protocol_named

ABOUT = "Is one run better than another, on the pairs that both have? With intervals from a paired bootstrap."


def main(given: Sequence[str] | None = None) -> None:
    """Compares two finished runs.

    Raises:
        UserError: if an argument, a folder or a record is not what it should be, or the runs cannot be compared.
    """
    parser = arguments("sdcorr compare", ABOUT)
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
        a, b = (collect(store.records(method)) for store, method in (first, second))
        found = compare(a, b, protocol, chosen.alphas, samples=chosen.bootstrap)
    show(tables.comparison(found, names[0], names[1]), console)


if __name__ == "__main__":
    answer(main)
