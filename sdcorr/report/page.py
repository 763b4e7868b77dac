"""The report of one run, section by section."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from sdcorr.datasets import ImageReader
from sdcorr.report import charts, tables
from sdcorr.report.gallery import gallery
from sdcorr.report.html import write_page
from sdcorr.report.pairs import ALPHA, chosen
from sdcorr.report.results import Results
from sdcorr.report.survey import prices
from sdcorr.report.table import MEBIBYTES, SECONDS, SECONDS_EACH, Column, Number, Table, measure_title, number
from sdcorr.scoring.bootstrap import Estimate
from sdcorr.scoring.calibration import THERE, Calibrated, Calibration, Told
from sdcorr.scoring.confidence import SHARES, Reliability
from sdcorr.scoring.pck import pck_name
from sdcorr.scoring.protocols import PROTOCOLS
from sdcorr.scoring.published import lacks
from sdcorr.scoring.scores import Scores

FILE = "report.html"


def write_report(
    results: Results, *, image: ImageReader | None, pairs: int = 1000, console: Console | None = None
) -> Path:
    """Writes report.html into the run folder, and returns its path.

    Args:
        results: what the run has to show.
        image: reads a picture by its key; None if there are none.
        pairs: the most that are shown.
        console: where it is said that it takes a while; None to be silent.

    Raises:
        UserError: if a record is torn, or the file cannot be written.
    """
    shown = chosen(results.pairs, pairs)
    silent = Console(quiet=True)
    content = head(results) | {"cost": cost(results)}
    if results.scores is not None:
        content |= headline(results, results.scores) | sections(results, results.scores)
    content["shown"], content["all"] = len(shown), len(results.pairs)
    by = results.calibrated.by if results.calibrated else None
    content["gallery"] = gallery(results.store, results.subject, shown, image, console or silent, by) if shown else None
    content["pictures"] = image is not None
    return write_page(results.store.run_dir / FILE, "report.html", content)


def head(results: Results) -> dict[str, Any]:
    """What was done, and with what."""
    records, claim = results.store.records(results.subject), results.store.claim_of(results.subject)
    config = results.store.config() | {"method": dict(claim.settings)}
    config |= {"model": dict(claim.model)} if claim.model else {}
    model = config.get("model")
    hidden = sum(int(each.pair.is_hidden.sum()) for each in results.pairs)
    failures = [failure.cause for record in records for failure in record.failures]
    broken = failures.count("numbers")
    of = f" ({broken:,}: NaN or infinity in the network)" if broken else ""
    facts = {
        "protocol": results.protocol.name,
        **({"model": model_in_short(model)} if isinstance(model, dict) else {}),
        "method": results.subject,
        "pairs": f"{len(results.pairs):,}" + (" (limit)" if "limit" in config.get("dataset", {}) else ""),
        "points": f"{sum(len(each.right) for each in results.pairs) - hidden:,}",
        **({"hidden points": f"{hidden:,}"} if hidden else {}),
    }
    return {
        "title": f"{records[0].dataset} {records[0].split}",
        "dataset": records[0].dataset,
        "split": records[0].split,
        "protocol": results.protocol,
        "run": str(results.store.run_dir),
        "facts": facts | ({"without a prediction": f"{len(failures):,}{of}"} if failures else {}),
        "config": yaml.safe_dump(config, sort_keys=False),
        "unscored": results.unscored,
        "truth": results.has_truth or not results.pairs,
    }


def model_in_short(model: Mapping[str, Any]) -> str:
    """What the claim says of a model, in a few words: `512 px, bf16, 4 layers`."""
    side = [f"{model['image_size']} px"] if model.get("image_size") else []
    layers = len(model.get("layers", ()))
    return ", ".join([*side, str(model.get("precision", "fp32")), f"{layers} layer{'s' * (layers != 1)}"])


def headline(results: Results, scores: Scores) -> dict[str, Any]:
    """The one number, and how much it is above the best of the other methods that are no variants."""
    main, average = scores.ours.main, scores.averages[0]
    found = {name: scores.methods[name].find(main, average) for name in scores.others if name not in results.variants}
    known = {name: score for name, score in found.items() if score is not None}
    rival = None
    if known:
        best = max(known, key=lambda name: known[name].estimate.value)
        lead = scores.differences[best].find(main, average) if best in scores.differences else None
        rival = {"name": best, "value": number(lead, signed=True)} if lead else None
    return {
        "headline": {
            "name": measure_title(main, average),
            "value": number(scores.ours.find(main, average)),
        },
        "rival": rival,
    }


def sections(results: Results, scores: Scores) -> dict[str, Any]:
    """Everything that needs the truth."""
    several = [scores, *results.elsewhere]
    comparable, apart = tables.published(several, results.subject, results.unlike)
    runs = [(results.subject, each) for each in several]
    return {
        "methods": tables.methods(scores, results.variants),
        "further": tables.further(scores, results.variants),
        "hidden": scores.ours.hidden,
        "found": scores.found_said,
        "prices": prices(scores, results.costs, results.variants) if scores.others else None,
        "published": comparable,
        "lacks": " and ".join(lacks(scores)),
        "apart": apart,
        "protocols": tables.protocols(runs) if len(several) > 1 else None,
        "rules": {each.protocol: PROTOCOLS[each.protocol].origin for each in several},
        "curves": [charts.over_thresholds(lines, average) for average, lines in results.curves.items()],
        "kinds": kinds(scores),
        "reliability": confidence(results.reliability) if results.reliability else None,
        "trust": results.trust,
        "calibrated": calibrated(results.calibrated) if results.calibrated else None,
        "variants": variants(results, scores) if results.variants else None,
    }


def kinds(scores: Scores) -> dict[str, Any] | None:
    """Categories and difficulties: a table to sort, and bars of each family; None if there is but one part."""
    if len(scores.ours.parts) < 2:
        return None
    return {"table": tables.parts(scores, scores.usual_headline), "charts": charts.parts_charts(scores)}


def variants(results: Results, scores: Scores) -> dict[str, Any]:
    """A table and charts of the run's variants."""
    leads = {name: lead for name, lead in charts.leads(scores).items() if name in results.variants}
    title = f"By how much {results.subject} is better than each variant"
    return {
        "table": tables.variants(scores, results.variants),
        "charts": [
            charts.lead_chart(leads, scores.ours.main, title),
            *charts.over_settings(scores, results.claims),
        ],
    }


def confidence(found: Reliability) -> dict[str, Any]:
    """Whether the method's confidence knows when it is wrong."""
    half, whole = (found.kept[SHARES.index(share)].times(100) for share in (0.5, 1.0))
    return {
        "auroc": _said(found.auroc, 2) if found.auroc else None,
        "precision": _said(found.precision.times(100), 1),
        "half": {"half": _said(half, 1), "all": _said(whole, 1)},
        "charts": charts.reliability(found),
        "at": pck_name(ALPHA).upper(),
    }


def calibrated(found: Calibrated) -> dict[str, Any]:
    """How far the probabilities of being right are so, and what they are good for."""
    return {
        "origin": found.by.origin,
        "right": f"within {found.by.alpha:g}, protocol {found.by.protocol}",
        "error": _said(found.score.error, 3),
        "brier": _said(found.score.brier, 3),
        "without": f"{found.score.without:.3f}",
        "auroc": _said(found.reliability.auroc, 2) if found.reliability.auroc else None,
        "there": there(found.there, found.by) if found.there else None,
        "charts": charts.calibrated(found),
    }


def there(found: Told, by: Calibration) -> dict[str, Any]:
    """How well it is known that a point is there at all."""
    return {
        "origin": by.outcomes[THERE].learned_from or by.origin,
        "auroc": _said(found.reliability.auroc, 2) if found.reliability.auroc else None,
        "error": _said(found.score.error, 3),
    }


def cost(results: Results) -> Table:
    """Seconds and memory of every method in the run folder, in the order of the run."""
    store, subject = results.store, results.subject
    titles = ("points", "seconds", "seconds a point", "peak memory, MiB")
    table = Table("time and memory of each method", [Column("method", "label"), *map(Column, titles)])
    for name in (subject, *(name for name in results.claims if name != subject)):
        records = store.records(name)
        points = sum(len(match.points) for record in records for _, match in record.predictions)
        seconds = sum(record.seconds for record in records)
        peaks = [record.peak_bytes for record in records if record.peak_bytes is not None]
        table.add(
            name,
            Number(points),
            Number(seconds or None, SECONDS),  # nobody knows what was imported has taken
            Number(seconds / points if points and seconds else None, SECONDS_EACH),
            Number(max(peaks, default=None), MEBIBYTES),
            bold=name == subject,
        )
    return table


def _said(value: Estimate, digits: int) -> str:
    """`0.78 [0.70, 0.85]`, or `0.78` without an interval."""
    middle, *ends = (f"{each:.{digits}f}" for each in value if each is not None)
    return f"{middle} [{', '.join(ends)}]" if ends else middle
