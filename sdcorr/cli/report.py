"""Pages about finished runs, from what is on disk: of one its report.html anew, of several comparison.html.

No model is needed. The pictures come from the data set that the run's config.yaml names, which is looked for where
`configs/dataset` says, or at --root; without them the page shows points and maps on gray.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from sdcorr.cli import origin
from sdcorr.cli.command import answer
from sdcorr.cli.compose import MISTAKES, compose_dataset, explain
from sdcorr.cli.paths import override
from sdcorr.cli.runs import arguments, opened, parse
from sdcorr.datasets import ImageReader
from sdcorr.errors import UserError
from sdcorr.report.comparison import FILE, write_comparison
from sdcorr.report.page import write_report
from sdcorr.report.results import gather
from sdcorr.run.store import PredictionStore
from sdcorr.scoring import summary
from sdcorr.scoring.protocols import PROTOCOLS, Protocol, protocol_named

ABOUT = "A page about a run, or one that compares several with the first."


def main(given: Sequence[str] | None = None) -> None:
    """Makes a page about finished runs, and prints its path.

    Raises:
        UserError: if an argument, a folder or a record is not what it should be, or the page cannot be written.
    """
    parser = arguments("sdcorr report", ABOUT)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of an evaluation")
    parser.add_argument("--protocol", metavar="NAME", help=f"as the first run was scored, or {', '.join(PROTOCOLS)}")
    parser.add_argument("--pairs", type=int, default=1000, help="the most that are shown (%(default)s)")
    parser.add_argument("--root", metavar="PATH", help="where the data set is, if it is not where configs/dataset says")
    parser.add_argument("--calibration", type=Path, metavar="FILE", help="of `sdcorr calibrate`; of one run only")
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"of a comparison ({FILE})")
    chosen = parse(parser, given)
    if chosen.pairs < 0:
        raise UserError(f"The number of pairs cannot be {chosen.pairs}: give --pairs 1000, or 0 for none.")
    runs = [opened(run, chosen.method) for run in chosen.runs]
    protocol = protocol_named(chosen.protocol or _scored_as(runs[0][0]))
    if len(runs) > 1:
        path = chosen.output or Path(FILE)
        write_comparison(runs, protocol, path, alphas=chosen.alphas, samples=chosen.bootstrap)
    elif chosen.output:
        raise UserError("--output is of a comparison, and there is one run: its page is report.html in its folder.")
    else:
        path = _report(*runs[0], protocol, chosen, Console(stderr=True))
    print(path)


def _report(store: PredictionStore, method: str, protocol: Protocol, chosen: Namespace, console: Console) -> Path:
    results = gather(store, method, protocol, chosen.alphas, samples=chosen.bootstrap, calibration=chosen.calibration)
    image = _images(store.config(), chosen.root, console)
    return write_report(results, image=image, pairs=chosen.pairs, console=console)


def _scored_as(store: PredictionStore) -> str:
    """The protocol of the run's own summary."""
    try:
        return str(json.loads((store.run_dir / summary.FILE).read_text())["protocol"])
    except (OSError, ValueError, KeyError, TypeError):
        return "standard"


def _images(config: dict[str, Any], root: str | None, console: Console) -> ImageReader | None:
    """The pictures of the data set that a run's configuration names; None, and a sentence, if they are not there."""
    dataset = config.get("dataset")
    if not isinstance(dataset, dict) or "name" not in dataset:
        console.print("The run does not say what it was made on, so its report has no pictures.")
        return None
    name = str(dataset["name"])
    place = root or dataset.get("folder")  # of a data set whose root is what it is
    try:
        settings = compose_dataset(name).dataset  # a run notes more than these
        given = {key: value for key, value in dataset.items() if key in settings}
        given |= {"root": place} if place else {}
        given |= {"download": False} if "download" in settings else {}
        return origin.benchmark(compose_dataset(name, *(_said(key, value) for key, value in given.items()))).image
    except MISTAKES as error:
        console.print(
            f"{explain(error)} The report has no pictures: --root says where they are.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        return None


def _said(name: str, value: Any) -> str:
    """What gives a setting of the data set a plain value."""
    key = f"dataset.{name}"
    return override(key, value) if isinstance(value, str) else f"{key}={json.dumps(value)}"


if __name__ == "__main__":
    answer(main)
