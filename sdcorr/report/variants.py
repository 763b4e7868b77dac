"""The method with other settings: is the full one better, and how does a number that was varied matter?"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sdcorr import visualize
from sdcorr.report.estimates import estimate, is_variant, leads, middle
from sdcorr.report.scores import score
from sdcorr.report.tables import Chart, Table
from sdcorr.report.terminal import averages_of, others_of, thresholds_of
from sdcorr.scoring.published import average_name
from sdcorr.scoring.summary import Summary
from sdcorr.visualize.charts import Estimate

LEAST = 3  # values of a setting, the method's own among them, that make a curve


def variants(summary: Summary, method: str, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """A table and charts of a run's variants; None if it has none.

    Args:
        summary: of the run.
        method: whose variants they are.
        config: of the run, which has the method's own settings.
    """
    names = [name for name in others_of(summary) if is_variant(name)]
    if not names:
        return None
    at, average, thresholds = middle(summary), averages_of(summary)[0], thresholds_of([summary])
    table = Table(
        average_name(average),
        ["setting", *map(str.upper, thresholds), f"{method} is better @{at[4:]} by"],
        sortable=True,
    )
    table.add(f"{method}, as it is", *(score(summary, f"{each}/{average}") for each in thresholds), "", strong=True)
    for name in names:
        values = [score(summary, f"baseline/{name}/{each}/{average}") for each in thresholds]
        table.add(name, *values, score(summary, f"difference/{name}/{at}/{average}", "+"))
    label = f"{at.upper()} {average_name(average)}"
    gaps = {name: lead for name, lead in leads(summary, f"{at}/{average}").items() if is_variant(name)}
    charts = [
        Chart(
            f"By how much {method} is better than each variant",
            visualize.bars(gaps, f"{at.upper()}, percent points"),
            "Paired on the pairs that both have; an interval that crosses 0 shows no difference.",
        )
    ]
    own = config.get("method")
    for setting, values in varied(names).items():
        points = {value: estimate(summary, f"baseline/{name}/{at}/{average}") for value, name in values.items()}
        mine = own.get(setting) if isinstance(own, dict) else None
        if isinstance(mine, int | float) and not isinstance(mine, bool):
            points[float(mine)] = estimate(summary, f"{at}/{average}")
        known: dict[float, Estimate] = {value: point for value, point in sorted(points.items()) if point is not None}
        if len(known) >= LEAST:
            figure = visualize.curve(list(known), {label: list(known.values())}, setting, f"{label}, %")
            charts.append(Chart(f"{label} over {setting}", figure, f"{setting}={mine} is the method's own."))
    return {"table": table, "charts": charts}


def varied(names: list[str]) -> dict[str, dict[float, str]]:
    """Settings that are all that some variants change, with the number of each: setting -> value -> variant.

    >>> varied(["restarts=1", "restarts=3", "noise=uniform", "restarts=2,steps=15"])
    {'restarts': {1.0: 'restarts=1', 3.0: 'restarts=3'}}
    """
    found: dict[str, dict[float, str]] = {}
    for name in names:
        setting, _, value = name.partition("=")
        with suppress(ValueError):  # of a word, or of several settings
            number = float(value)
            found.setdefault(setting, {})[number] = name
    return found
