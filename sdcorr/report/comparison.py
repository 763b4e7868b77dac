"""Several runs beside each other: curves, and how much better than the first each is on the pairs that both have."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from sdcorr.errors import UserError
from sdcorr.report import charts
from sdcorr.report.charts import Chart
from sdcorr.report.html import write_page
from sdcorr.report.settings import LEAST, differing, is_number
from sdcorr.report.table import Column, Number, Table, measure_title, number
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.arrays import Arrays, collect
from sdcorr.scoring.averages import average_name
from sdcorr.scoring.bootstrap import Estimate
from sdcorr.scoring.compare import compare
from sdcorr.scoring.counts import count
from sdcorr.scoring.curves import GRID, curve
from sdcorr.scoring.pck import ALPHAS
from sdcorr.scoring.protocols import Protocol
from sdcorr.scoring.score import score
from sdcorr.scoring.scores import Comparison, Scores

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
        protocol: what correct means.
        path: the page.
        alphas: thresholds.
        samples: bootstrap resamples; 0 for no intervals.

    Raises:
        UserError: if the runs cannot be compared, all together have no pair, or the file cannot be written.
    """
    names = _names(runs)
    arrays = {name: collect(store.records(method)) for name, (store, method) in zip(names, runs, strict=True)}
    first, *rest = arrays
    pairwise = {name: compare(arrays[name], arrays[first], protocol, alphas, samples=samples) for name in rest}
    scores = {name: score({name: each}, name, protocol, alphas, samples=samples) for name, each in arrays.items()}
    origin = scores[first]
    main, average = origin.ours.main, origin.averages[0]
    found = {name: each.difference.find(main, average) for name, each in pairwise.items()}
    leads = {name: lead.shown for name, lead in found.items() if lead is not None}
    settings = list(differing([store.config() | vars(store.claim_of(method)) for store, method in runs]))
    content: dict[str, Any] = {
        "title": f"comparison on {origin.dataset} {origin.split}",
        "scores": origin,
        "protocol": protocol,
        "label": measure_title(main, average),
        "first": first,
        "runs": _runs(scores, pairwise, first),
        "charts": [
            charts.lead_chart(leads, main, f"Better than {first} by"),
            charts.over_thresholds(_curves(arrays, protocol, average, samples), average),
            *_over_setting(settings, scores),
        ],
        "differing": _settings(settings, list(arrays)) if settings else None,
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


def _curves(
    arrays: Mapping[str, Arrays], protocol: Protocol, average: str, samples: int
) -> dict[str, Sequence[Estimate]]:
    """PCK over its threshold, of the pairs that all runs have."""
    counts = {name: count(each, protocol, GRID) for name, each in arrays.items()}
    ids = reduce(np.intersect1d, [each.ids for each in counts.values()])
    if not len(ids):
        raise UserError("The runs have no pair that is in all of them: compare fewer at once.")
    return {name: curve(each.rows(np.isin(each.ids, ids)), average, samples=samples) for name, each in counts.items()}


def _runs(scores: Mapping[str, Scores], pairwise: Mapping[str, Comparison], first: str) -> Table:
    """Each run by itself, and the difference to the first on the pairs that both have."""
    measures, main, average = scores[first].ours.shown, scores[first].ours.main, scores[first].averages[0]
    titles = ["pairs", *map(measure_title, measures), f"better in {main.label} by", "on pairs"]
    table = Table(average_name(average), [Column("run", "label"), *map(Column, titles)], sortable=True)
    for name, each in scores.items():
        against = pairwise.get(name)
        table.add(
            name,
            Number(each.ours.pairs),
            *(number(each.ours.find(measure, average)) for measure in measures),
            number(against.difference.find(main, average) if against else None, signed=True),
            Number(against.first.pairs if against else None),
            bold=name == first,
        )
    return table


def _settings(differing: Sequence[tuple[str, list[Any]]], names: Sequence[str]) -> Table:
    columns = [Column("setting", "label"), *(Column(name, "words") for name in names)]
    table = Table("settings that are not the same", columns)
    for setting, values in differing:
        table.add(setting, *("-" if value is None else _word(value) for value in values))
    return table


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _over_setting(differing: Sequence[tuple[str, list[Any]]], scores: Mapping[str, Scores]) -> list[Chart]:
    """A curve, if one number is all that makes the runs different."""
    if len(differing) != 1 or not all(map(is_number, differing[0][1])):
        return []
    ((setting, values),) = differing
    points, label = {}, ""
    for value, each in zip(values, scores.values(), strict=True):
        main, average = each.ours.main, each.averages[0]
        label = label or measure_title(main, average)
        if (found := each.ours.find(main, average)) is not None:
            points[float(value)] = found.shown
    return [charts.over_setting(setting, points, label)] if len(points) >= LEAST else []
