"""The charts and numbers of an evaluation, read back from its offline run."""

import pytest
from PIL import Image

from sdcorr.scoring.curves import GRID


def test_the_summary_is_whole(evaluated) -> None:
    assert {key: evaluated.run.summary[key] for key in evaluated.summary} == evaluated.summary
    assert "pck@0.10/per_point/high" in evaluated.summary


def test_main_scores_are_panels_and_details_are_not(evaluated) -> None:
    for key in ("pck@0.10/per_point", "pck@0.05/per_image"):
        assert evaluated.run.logged(key) == [evaluated.summary[key]]
    panels = {key for row in evaluated.run.history for key in row if not key.startswith("_")}
    assert not [key for key in panels if key.startswith(("baseline/", "difference/")) or key.endswith("/low")]
    sections = {"charts", "figures", "attention", "tables"}
    assert {key.partition("/")[0] for key in panels if "pck@" not in key.partition("/")[0]} == sections


@pytest.mark.parametrize(
    "chart, label, prefix",
    [
        ("methods", "method", "baseline/{}/"),
        ("leads", "method", "difference/{}/"),
        ("ablation", "variant", "difference/{}/"),
        ("categories", "category", ""),
    ],
)
def test_bars_are_the_summary_in_percent(chart, label, prefix, evaluated) -> None:
    rows = evaluated.run.table(f"charts/{chart}_table")
    names = {"ablation": {"transfer_crops=1"}, "leads": {"same_pixel"}, "categories": {"bird", "fish", "lamp"}}
    assert {row[label] for row in rows} == names.get(chart, {"prompt", "same_pixel", "transfer_crops=1"})
    for row in rows:
        key = "pck@0.10/per_point" + (f"/category/{row[label]}" if chart == "categories" else "")
        whose = "" if row[label] == "prompt" else prefix.format(row[label])
        for column, end in (("value", ""), ("low", "/low"), ("high", "/high")):
            assert row[column] == pytest.approx(100 * evaluated.summary[f"{whose}{key}{end}"]), (row, end)
    assert [row["value"] for row in rows] == sorted((row["value"] for row in rows), reverse=True)
    panel = evaluated.run.config["_wandb"]["visualize"][f"charts/{chart}"]
    assert panel["panel_config"]["fieldSettings"] == {"label": label, "value": "value"}


def test_the_curve_has_every_method_at_every_threshold(evaluated) -> None:
    rows = evaluated.run.table("charts/thresholds_table")
    lines = {name: [row for row in rows if row["lineKey"] == name] for name in ("prompt", "same_pixel")}
    assert all([row["step"] for row in line] == list(GRID) for line in lines.values())
    by_threshold = {row["step"]: row["lineVal"] for row in lines["prompt"]}
    assert by_threshold[0.1] == pytest.approx(100 * evaluated.summary["pck@0.10/per_point"])
    assert len(rows) == 3 * len(GRID)


def test_figures_are_pictures(evaluated) -> None:
    for name in ("methods", "leads", "ablation", "categories", "thresholds", "confidence", "best-1", "worst-1"):
        (value,) = evaluated.run.logged(f"figures/{name}")
        with Image.open(evaluated.run.picture(value)) as picture:
            assert min(picture.size) > 100
