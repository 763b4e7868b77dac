"""The scores of a run in W&B, read back from an offline run."""

from collections.abc import Iterator

import pytest
import wandb
from lightning.pytorch.loggers import WandbLogger
from omegaconf import OmegaConf
from PIL import Image

from sdcorr import visualize
from sdcorr.report import charts
from sdcorr.report.results import Results
from sdcorr.report.table import Column, Number, Table
from sdcorr.report.wandb import log_scores, to_wandb
from sdcorr.report.wandb_pairs import log_pairs
from sdcorr.scoring.curves import GRID
from sdcorr.scoring.metrics import METRICS, PERCENT
from sdcorr.scoring.parts import ALL
from sdcorr.scoring.summary import flatten, key
from tests import offline
from tests.report.runs import CLAIMS, Few

CELL = "PCK@0.10"


@pytest.fixture(scope="module")
def logged(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Iterator[offline.OfflineRun]:
    folder = tmp_path_factory.mktemp("wandb")
    run = wandb.init(project="test", dir=str(folder), settings=wandb.Settings(mode="offline", console="off"))
    logger = WandbLogger(experiment=run, save_dir=folder)
    log_scores(logger, results, {"best-1": visualize.bars({"a": (1, 0, 2)}, "%")})
    log_pairs(logger, results, Few(), OmegaConf.create({"pairs": 6}))
    run.finish()
    wandb.teardown()
    (made,) = folder.glob("wandb/offline-run-*")
    yield offline.read(made)


def test_the_summary_is_whole(logged, results) -> None:
    plain = flatten(results.scores)
    assert {name: logged.summary[name] for name in plain} == plain
    assert "pck@0.10/per_point/high" in plain


def test_main_scores_are_panels_and_details_are_not(logged, results) -> None:
    panels = {name for row in logged.history for name in row if not name.startswith("_")}
    main = {key(score): score.estimate.value for score in results.scores.ours.scores if score.part == ALL}
    assert {"pck@0.10/per_point", "pck@0.05/per_image"} <= set(main)
    for name, value in main.items():
        assert logged.logged(name) == [value]
    assert {name.partition("/")[0] for name in panels - set(main)} == {"charts", "figures", "tables"}


def test_tables_are_those_of_the_page(logged, results) -> None:
    rows = {row["method"]: row for row in logged.table("tables/per_point")}
    assert list(rows) == list(CLAIMS)
    for name, row in rows.items():
        score = results.scores.methods[name].find(results.scores.ours.main, "per_point")
        assert [row[f"{CELL}{end}"] for end in ("", " low", " high")] == pytest.approx(score.shown)
    lead = "prompt is better @0.10 by"
    assert rows["prompt"][lead] is None and rows["same_pixel"][f"{lead} low"] < rows["same_pixel"][lead]
    differences = {row["prompt"]: row for row in logged.table("tables/differences")}
    assert differences["less same_pixel"][f"{CELL} per point"] == rows["same_pixel"][lead]
    parts = {row["part"]: row for row in logged.table("tables/parts")}
    assert {row["of"] for row in parts.values()} == {"category", "look-alikes"} and parts["bird"]["pairs"] == 4


def test_a_table_with_words_numbers_and_gaps() -> None:
    table = Table("title", [Column("name", "label"), Column("x"), Column("n"), Column("why", "words")])
    table.add("a", Number(0.25, PERCENT, 0.125, 0.5), Number(3), "good")
    table.add_section()
    table.add("b", Number(None), "", "-")
    made = to_wandb(table)
    assert made.columns == ["name", "x", "x low", "x high", "n", "why"]
    assert made.data == [["a", 25, 12.5, 50, 3, "good"], ["b", None, None, None, None, "-"]]


@pytest.mark.parametrize("chart", ["methods", "leads", "ablation", "categories"])
def test_bars_are_the_scores_in_percent(chart, logged, results) -> None:
    leads, variants = charts.leads(results.scores), set(results.variants)
    assert variants == {"prompt_steps_1", "prompt_steps_2"}
    wanted = {
        "methods": charts.methods(results.scores),
        "leads": {name: lead for name, lead in leads.items() if name not in variants},
        "ablation": {name: lead for name, lead in leads.items() if name in variants},
        "categories": charts.parts(results.scores)["category"],
    }[chart]
    label = {"ablation": "variant", "categories": "category"}.get(chart, "method")
    rows = logged.table(f"charts/{chart}_table")
    assert {row[label] for row in rows} == set(wanted)
    for row in rows:
        assert (row["value"], row["low"], row["high"]) == pytest.approx(wanted[row[label]])
    assert [row["value"] for row in rows] == sorted((row["value"] for row in rows), reverse=True)
    panel = logged.config["_wandb"]["visualize"][f"charts/{chart}"]
    assert panel["panel_config"]["fieldSettings"] == {"label": label, "value": "value"}


def test_the_curve_has_every_method_at_every_threshold(logged, results) -> None:
    rows = logged.table("charts/thresholds_table")
    lines = {name: [row for row in rows if row["lineKey"] == name] for name in CLAIMS}
    assert all([row["step"] for row in line] == list(GRID) for line in lines.values())
    by_threshold = {row["step"]: row["lineVal"] for row in lines["prompt"]}
    score = results.scores.ours.find(METRICS[0].measures([0.1])[0], "per_point")
    assert by_threshold[0.1] == pytest.approx(score.shown.value)
    assert len(rows) == len(CLAIMS) * len(GRID)


def test_figures_are_pictures(logged) -> None:
    for name in ("methods", "leads", "ablation", "categories", "thresholds", "confidence", "best-1"):
        (value,) = logged.logged(f"figures/{name}")
        with Image.open(logged.picture(value)) as picture:
            assert min(picture.size) > 100


class TestPairs:
    def test_rows_are_bounded_and_of_every_category(self, logged) -> None:
        rows = logged.table("tables/pairs")
        assert len(rows) == 6 and {row["category"] for row in rows} == {"bird", "fish"}

    def test_numbers_are_those_of_the_records(self, logged, results) -> None:
        records = {
            pair.id: (record, match) for record in results.store.records("prompt") for pair, match in record.predictions
        }
        judged = {each.pair.id: each for each in results.pairs}
        for row in logged.table("tables/pairs"):
            record, match = records[row["pair"]]
            assert row["seconds of source"] == record.seconds and row["points"] == len(match.points)
            assert row["confidence"] == pytest.approx(match.confidence.mean())
            assert row["PCK@0.10"] == judged[row["pair"]].fraction
            for name in (name for name in CLAIMS if name != "prompt"):
                assert row[f"PCK@0.10 {name}"] == results.fractions[name][row["pair"]]

    def test_pictures_are_there(self, logged) -> None:
        for row in logged.table("tables/pairs"):
            sizes = {}
            for name in ("source", "target", "attention"):
                with Image.open(row[name]) as picture:
                    sizes[name] = picture.size
            assert sizes["source"] == sizes["target"] == (224, 224)
            assert sizes["attention"][0] > sizes["attention"][1] > 100


def test_nothing_is_logged_without_a_logger(results) -> None:
    log_scores(None, results, {})
    log_pairs(None, results, Few(), OmegaConf.create({"pairs": 6}))
