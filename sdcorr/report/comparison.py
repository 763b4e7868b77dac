"""Several runs beside each other: curves, and how much better than the first each is on the pairs that both have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from sdcorr import visualize
from sdcorr.errors import UserError
from sdcorr.report.estimates import estimate, middle
from sdcorr.report.scores import curves
from sdcorr.report.tables import Chart, Table, number, score, write_page
from sdcorr.report.terminal import averages_of, thresholds_of
from sdcorr.report.variants import LEAST
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.arrays import Answers, collect
from sdcorr.scoring.compare import compare
from sdcorr.scoring.counts import tally
from sdcorr.scoring.curves import GRID
from sdcorr.scoring.pck import ALPHAS
from sdcorr.scoring.protocols import Protocol
from sdcorr.scoring.published import average_name
from sdcorr.scoring.summary import Summary, summarize

FILE = "comparison.html"


def write_comparison(
    runs: Sequence[tuple[PredictionStore, str]],
    protocol: Protocol,
    path: Path,
    *,
    alphas: Sequence[float] = ALPHAS,
    samples: int = 1000,
) -> Path:
    """Compares methods of runs with the first, writes a page about it, and returns its path.

    Args:
        runs: two or more run folders, each with a method of it.
        protocol: what right means.
        path: the page.
        alphas: thresholds.
        samples: bootstrap resamples.

    Raises:
        UserError: if the runs cannot be compared, all together have no pair, or the file cannot be written.
    """
    names = _names(runs)
    answers = {name: collect(store.records(method)) for name, (store, method) in zip(names, runs, strict=True)}
    first, *rest = answers
    pairwise = {name: compare(answers[name], answers[first], protocol, alphas, samples=samples) for name in rest}
    summaries = {name: _scored(each, protocol, alphas, samples) for name, each in answers.items()}
    origin = summaries[first]
    at, average = middle(origin), averages_of(origin)[0]
    gaps = {
        name: gap
        for name, each in pairwise.items()
        if (gap := estimate(each, f"difference/{at}/{average}")) is not None
    }
    label = f"{at.upper()} {average_name(average)}"
    charts = [
        Chart(
            f"Better than {first} by",
            visualize.bars(gaps, f"{at.upper()}, percent points"),
            "Paired on the pairs that both have; an interval that crosses 0 shows no difference.",
        ),
        curves(_on_shared(answers, protocol), average, samples),
    ]
    differing = list(_differing([store.config() | vars(store.claim_of(method)) for store, method in runs]))
    charts += _over_setting(differing, [estimate(each, f"{at}/{average}") for each in summaries.values()], label)
    content: dict[str, Any] = {
        "title": f"comparison on {origin['dataset']} {origin['split']}",
        "summary": origin,
        "protocol": protocol,
        "label": label,
        "first": first,
        "runs": _table(summaries, pairwise, first, at, average),
        "charts": charts,
        "differing": _settings(differing, list(answers)),
    }
    return write_page(path, "comparison.html", content)


def _names(runs: Sequence[tuple[PredictionStore, str]]) -> list[str]:
    """What each run is called: as short as tells them apart."""
    folders = [store.run_dir.resolve() for store, _ in runs]
    for made in (
        [folder.name for folder in folders],
        [method for _, method in runs] if len(set(folders)) == 1 else [str(store.run_dir) for store, _ in runs],
        [f"{store.run_dir}: {method}" for store, method in runs],
    ):
        if len(set(made)) == len(runs):
            return made
    raise UserError("One run is named twice: name each once, or another --method.")


def _scored(answers: Answers, protocol: Protocol, alphas: Sequence[float], samples: int) -> Summary:
    """One run alone, with what `averages_of` and `middle` ask for."""
    about = {"headline": protocol.on(answers.dataset).headline, "dataset": answers.dataset, "split": answers.split}
    return about | summarize({"": tally(answers, protocol, alphas)}, "", alphas, samples=samples)


def _on_shared(answers: Mapping[str, Answers], protocol: Protocol) -> dict[str, Any]:
    """Tallies of the pairs that all runs have."""
    tallies = {name: tally(each, protocol, GRID) for name, each in answers.items()}
    ids = reduce(np.intersect1d, [counts.ids for counts in tallies.values()])
    if not len(ids):
        raise UserError("The runs have no pair that is in all of them: compare fewer at once.")
    return {name: counts.rows(np.isin(counts.ids, ids)) for name, counts in tallies.items()}


def _table(
    summaries: Mapping[str, Summary], pairwise: Mapping[str, Summary], first: str, at: str, average: str
) -> Table:
    thresholds = thresholds_of(summaries.values())
    columns = ["run", "pairs", *map(str.upper, thresholds), f"better @{at[4:]} by", "on pairs"]
    table = Table(average_name(average), columns, sortable=True)
    for name, summary in summaries.items():
        gap, shared = score(pairwise.get(name, {}), f"difference/{at}/{average}", "+"), number(None)
        if name in pairwise:
            shared = number(int(pairwise[name]["pairs"]))
        values = [score(summary, f"{each}/{average}") for each in thresholds]
        table.add(name, number(int(summary["pairs"])), *values, gap, shared, strong=name == first)
    return table


def _differing(configs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[Any]]]:
    """Settings that are not the same in all runs, with the value of each run; None where one has no such setting."""
    flat = [dict(_leaves(config)) for config in configs]
    for name in dict.fromkeys(name for each in flat for name in each):
        values = [each.get(name) for each in flat]
        if any(value != values[0] for value in values):
            yield name, values


def _leaves(config: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(config, Mapping):
        for key, value in config.items():
            yield from _leaves(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, config


def _settings(differing: Sequence[tuple[str, list[Any]]], names: Sequence[str]) -> Table | None:
    if not differing:
        return None
    table = Table("", ["setting", *names])
    for setting, values in differing:
        table.add(setting, *("-" if value is None else _word(value) for value in values))
    return table


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _over_setting(differing: Sequence[tuple[str, list[Any]]], scores: Sequence[Any], label: str) -> list[Chart]:
    """A curve, if one number is all that makes the runs different."""
    if len(differing) != 1:
        return []
    ((setting, values),) = differing
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return []
    points = {float(value): each for value, each in zip(values, scores, strict=True) if each is not None}
    if len(points) < LEAST:
        return []
    series = {label: [points[value] for value in sorted(points)]}
    return [Chart(f"{label} over {setting}", visualize.curve(sorted(points), series, setting, f"{label}, %"))]
