"""The report of one run, section by section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console

from sdcorr import visualize
from sdcorr.datasets import ImageReader
from sdcorr.report import estimates, scores
from sdcorr.report.gallery import gallery
from sdcorr.report.pairs import ALPHA, Judged, chosen, judged
from sdcorr.report.tables import Chart, Table, number, write_page
from sdcorr.report.terminal import averages_of, others_of, thresholds_of
from sdcorr.report.variants import variants
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.arrays import Answers, read
from sdcorr.scoring.confidence import SHARES, Reliability, reliability
from sdcorr.scoring.counts import tally
from sdcorr.scoring.pck import pck_name
from sdcorr.scoring.protocols import PROTOCOLS, Protocol
from sdcorr.scoring.published import average_name
from sdcorr.scoring.score import ALL, protocols_for, score_answers
from sdcorr.scoring.summary import Summary
from sdcorr.visualize.charts import Estimate

FILE = "report.html"


def write_report(
    store: PredictionStore,
    method: str,
    protocol: Protocol,
    summary: Summary | None,
    *,
    image: ImageReader | None,
    pairs: int = 1000,
    samples: int = 1000,
    console: Console | None = None,
) -> Path:
    """Writes report.html into the run folder, and returns its path.

    Args:
        store: the run folder.
        method: what the report is about.
        protocol: what right means.
        summary: the scores under that protocol; None if nothing could be scored.
        image: reads a picture by its key; None if there are none.
        pairs: the most that are shown.
        samples: bootstrap resamples for what the summary does not have.
        console: where it is said that it takes a while; None to be silent.

    Raises:
        UserError: if a record is torn, or the file cannot be written.
    """
    console = console or Console(quiet=True)
    everything = judged(store.records(method), protocol)
    shown = chosen(everything, pairs)
    content = head(store, method, protocol, summary, everything) | {"cost": cost(store, method)}
    if summary is not None:
        content |= scored(read(store, method), method, protocol, summary, samples)
        content["variants"] = variants(summary, method, {"method": dict(store.claim_of(method).settings)})
    content["shown"], content["all"] = len(shown), len(everything)
    content["gallery"] = gallery(store, method, shown, image, console) if shown else None
    content["pictures"] = image is not None
    return write_page(store.run_dir / FILE, "report.html", content)


def head(
    store: PredictionStore, method: str, protocol: Protocol, summary: Summary | None, pairs: Sequence[Judged]
) -> dict[str, Any]:
    """What was done, with what, and the one number."""
    records, claim = store.records(method), store.claim_of(method)
    config = store.config() | {"method": dict(claim.settings)} | ({"model": dict(claim.model)} if claim.model else {})
    model = config.get("model")
    facts = {
        "protocol": protocol.name,
        "model": str(model.get("name", model.get("path"))) if isinstance(model, dict) else "not known",
        "method": method,
        "pairs": f"{len(pairs):,}",
        "points": f"{sum(len(each.right) for each in pairs):,}",
        "without a prediction": f"{failures:,}" if (failures := sum(len(r.failures) for r in records)) else None,
    }
    made = {
        "title": f"{records[0].dataset} {records[0].split}",
        "dataset": records[0].dataset,
        "split": records[0].split,
        "protocol": protocol,
        "run": str(store.run_dir),
        "facts": {name: value for name, value in facts.items() if value is not None},
        "config": yaml.safe_dump(config, sort_keys=False),
        "scored": summary is not None,
        "truth": any(each.pair.has_truth.any() for each in pairs) or not pairs,
    }
    if summary is not None:
        average, at = averages_of(summary)[0], estimates.middle(summary)
        made["headline"] = {
            "name": f"{at.upper()} {average_name(average)}",
            "value": scores.score(summary, f"{at}/{average}"),
            "points": summary["points"],
            "pairs": summary["pairs"],
        }
        rivals = [name for name in others_of(summary) if not estimates.is_variant(name)]
        best = max(rivals, key=lambda name: summary[f"baseline/{name}/{at}/{average}"], default=None)
        key = f"difference/{best}/{at}/{average}"
        made["rival"] = {"name": best, "value": scores.score(summary, key, "+")} if key in summary else None
    return made


def scored(
    answers: Mapping[str, Answers], method: str, protocol: Protocol, summary: Summary, samples: int
) -> dict[str, Any]:
    """Everything that needs the truth."""
    ours, average = answers[method], averages_of(summary)[0]
    summaries = [summary, *others(ours, method, protocol, summary, samples)]
    comparable, apart = scores.published(summaries, method)
    baselines = [name for name in answers if name != method and not estimates.is_variant(name)]
    return {
        "methods": scores.methods(summary, method),
        "published": comparable,
        "apart": apart,
        "protocols": scores.protocols(summaries) if len(summaries) > 1 else None,
        "rules": {str(each["protocol"]): PROTOCOLS[str(each["protocol"])].origin for each in summaries},
        "curve": scores.curve(answers, [method, *baselines], protocol, average, samples),
        "kinds": scores.kinds(summary, tally(ours, protocol, [ALPHA])),
        "reliability": confidence(ours, protocol, samples),
    }


def others(ours: Answers, method: str, protocol: Protocol, summary: Summary, samples: int) -> list[Summary]:
    """The method under all other protocols with a rule for the data set."""
    alphas = [float(name.removeprefix("pck@")) for name in thresholds_of([summary])]
    return [
        score_answers({method: ours}, method, other, alphas, samples=samples)
        for other in protocols_for([ALL], ours.dataset)
        if other.name != protocol.name
    ]


def confidence(ours: Answers, protocol: Protocol, samples: int) -> dict[str, Any] | None:
    """Whether the method's confidence knows when it is wrong; None if it says the same of all points."""
    if ours.confidence is None or len(np.unique(ours.confidence)) < 2:
        return None
    right = protocol.hits(ours, [ALPHA])[:, 0]
    found = reliability(ours.confidence, right, ours.rows, samples=samples)
    return {
        "auroc": _said(found.auroc, 2),
        "half": _half(found),
        "charts": _charts(found),
        "at": pck_name(ALPHA).upper(),
    }


def cost(store: PredictionStore, method: str) -> Table:
    """Seconds and memory of every method in the run folder."""
    names = [method, *(name for name in store.methods() if name != method)]
    table = Table("", ["method", "points", "seconds", "seconds a point", "peak memory, MiB"])
    for name in names:
        records = store.records(name)
        points = sum(len(match.points) for record in records for _, match in record.predictions)
        seconds = sum(record.seconds for record in records)
        peaks = [record.peak_bytes for record in records if record.peak_bytes is not None]
        a_point = number(seconds / points if points else None, ",.3f")
        peak = number(max(peaks) / 2**20 if peaks else None)
        table.add(name, number(points), number(seconds, ",.1f"), a_point, peak, strong=name == method)
    return table


def _half(found: Reliability) -> dict[str, str]:
    """PCK of the surer half, and of all."""
    return {name: _said(found.kept[SHARES.index(share)], 1, 100) for name, share in (("half", 0.5), ("all", 1.0))}


def _charts(found: Reliability) -> list[Chart]:
    bins = [tuple(100 * end for end in each.right) for each in found.bins]
    name = pck_name(ALPHA).upper()
    kept = {"the surest": [tuple(100 * end for end in each) for each in found.kept]}
    return [
        Chart(
            "Points right, by confidence",
            visualize.reliability([each.confidence for each in found.bins], bins, [each.points for each in found.bins]),
            f"Right: within {ALPHA:g}. Beside each mean the number of its points.",
        ),
        Chart(
            f"{name} of the points that are kept",
            visualize.curve([100 * share for share in SHARES], kept, "points kept, the surest first, %", f"{name}, %"),
            "A confidence that knows nothing gives a flat line.",
        ),
    ]


def _said(value: Estimate | None, digits: int, times: float = 1) -> str | None:
    """`0.78 [0.70, 0.85]`."""
    if value is None:
        return None
    middle, low, high = (f"{times * end:.{digits}f}" for end in value)
    return f"{middle} [{low}, {high}]"
