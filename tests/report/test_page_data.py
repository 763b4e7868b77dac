import html
import json
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from PIL import Image

from sdcorr.datasets import Match, Pair
from sdcorr.datasets.folder import Folder
from sdcorr.errors import UserError
from sdcorr.methods.base import Claim
from sdcorr.report.page import write_report
from sdcorr.report.results import gather
from sdcorr.report.table import number
from sdcorr.run.records import Failure, UnitRecord
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.metrics import Measure
from sdcorr.scoring.metrics.pck import METRIC as PCK
from sdcorr.scoring.parts import ALL, Part
from sdcorr.scoring.pck import ALPHAS
from sdcorr.scoring.protocols import protocol_named
from sdcorr.scoring.published import TEST_PAIRS
from sdcorr.scoring.scores import Measured
from tests.report.runs import CLAIMS
from tests.run.fakes import Pictureless, claimed, make_pair
from tests.scoring.fakes import write_records, write_run

STANDARD = protocol_named("standard")


def text(page: str) -> str:
    """What a reader sees of a page, on one line."""
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def table(page: str, caption: str) -> list[list[str]]:
    """The cells of the rows of a table, a value beside its interval."""
    found = re.search(rf"<caption>{caption}.*?</table>", page, flags=re.DOTALL)[0]
    rows = re.findall(r"<tr.*?</tr>", found, flags=re.DOTALL)
    return [[text(each) for each in re.findall(r"<t[hd]\b.*?</t[hd]>", row, flags=re.DOTALL)] for row in rows]


def shown(page: str) -> dict:
    """What the page's gallery is made of."""
    return json.loads(re.search(r'id="gallery-data">(.*?)</script>', page, flags=re.DOTALL)[1])


def report(store: PredictionStore, *, image=None, **how: int) -> str:
    return write_report(gather(store, "prompt", STANDARD, samples=20), image=image, **how).read_text()


def cell(measured: Measured, average: str, alpha: float = 0.1, part: Part = ALL, signed: bool = False) -> str:
    """A score as a table has it: `45.4 [43.9, 46.8]`."""
    score = measured.find(Measure(PCK, alpha), average, part)
    assert score is not None
    written = number(score, signed=signed)
    return f"{written.text} {written.interval}"


def test_its_numbers_are_those_of_the_scores(run, results) -> None:
    page, scores = run.page.read_text(), results.scores
    assert f"{cell(scores.ours, 'per_point').split()[0]} %" in text(page)
    for average in ("per_point", "per_image"):
        head, *rows = table(page, average.replace("_", " ") + ", protocol standard: 8 pairs")
        assert head[-1] == "prompt is better @0.10 by"
        assert [row[0] for row in rows] == ["prompt", "prompt_steps_1", "prompt_steps_2", "same_pixel"]
        for name, *cells, better in rows:
            assert cells[: len(ALPHAS)] == [cell(scores.methods[name], average, alpha) for alpha in ALPHAS]
            lead = "" if name == "prompt" else cell(scores.differences[name], average, signed=True)
            assert better == lead
    head, *rows = table(page, "prompt, per point; click")
    kinds = {row[0]: row[1:] for row in rows}
    categories = {pair.category for pair in run.benchmark.pairs}
    assert len(categories) == 2
    for name in categories:
        points = sum(int(pair.visible.sum()) for pair in run.benchmark.pairs if pair.category == name)
        assert kinds[name][:3] == ["category", "4", str(points)]
        assert kinds[name][5] == cell(scores.ours, "per_point", part=Part("category", name))
    protocols = table(page, "toybox demo, prompt: 8 pairs")
    assert {row[0] for row in protocols[1:]} > {"standard", "hedlin", "sd_dino"}


def test_variants_have_bars_and_a_curve(run, results) -> None:
    page = run.page.read_text()
    assert 'aria-label="PCK@0.10 per point over steps"' in page  # 1, 2, and the method's own 3
    assert 'aria-label="By how much prompt is better than each variant"' in page
    plain = text(page[page.index('id="variants"') :])
    assert "steps=3 is the method's own" in plain
    assert cell(results.scores.differences["prompt_steps_1"], "per_point", signed=True) in plain


def test_cost_is_of_every_method(run) -> None:
    rows = {row[0]: row[1:] for row in table(run.page.read_text(), "time and memory of each method")}
    records = run.store.records("prompt")
    points = sum(len(match.points) for record in records for _, match in record.predictions)
    seconds, peak = sum(record.seconds for record in records), max(record.peak_bytes for record in records)
    assert rows["prompt"] == [f"{points}", f"{seconds:.1f}", f"{seconds / points:.3f}", f"{peak / 2**20:,.0f}"]
    assert set(rows) == {"method", *CLAIMS}


def test_published_numbers_stand_beside_only_what_they_may(tmp_path) -> None:
    errors = {f"a{i}-b": [0.0, 30.0] for i in range(3)}
    page = report(PredictionStore(write_run(tmp_path, errors)))
    assert "No published result on spair may stand beside this one: ours has 3 of 12,234 pairs." in text(page)
    head, *rows = table(page, "published on spair, not comparable; ours has 3 of 12,234 pairs")
    assert len(rows) > 40 and head[:3] == ["labels", "method", "average"]
    dift = next(row for row in rows if row[1] == "DIFT adm")
    assert "52.0" in dift and dift[-2] == "-"  # but for ours it could stand there
    assert next(row for row in rows if row[1] == "DHPF weak res101")[-2].startswith("protocol a square of 240")


def test_published_numbers_of_the_same_rules_stand_below_ours(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(TEST_PAIRS, "spair", 3)  # as if these were all
    page = report(PredictionStore(write_run(tmp_path, {f"a{i}-b": [0.0, 30.0] for i in range(3)})))
    head, ours, *theirs = table(page, "published, protocol geoaware")
    assert ours[:2] == ["prompt", "per image"] and head[-2:] == ["labels", "known from"]
    maps = next(row for row in theirs if row[0] == "DIY-SC")
    assert maps[1:] == ["per image", "10.1", "53.8", "71.6", "weak labels", "3D-SC, Table C1 (quoted by one other)"]
    assert {row[1] for row in theirs} == {"per image"}
    apart = table(page, "published on spair, not comparable")
    assert next(row for row in apart if row[1] == "Shape-of-You")[-2:] == [
        *("protocol not stated", "notes on arXiv 2603.11618 (inferred)"),
    ]


def test_confidence_is_judged_where_there_is_something_to_judge(run, tmp_path) -> None:
    judged = text(run.page.read_text())
    assert re.search(r"with a chance of 0\.\d\d \[[01]\.\d\d, [01]\.\d\d\]", judged)
    assert "Without the less sure half of the points, PCK@0.10 per point is" in judged
    same = report(PredictionStore(write_run(tmp_path, {"a-b": [0, 30], "b-c": [0, 30]})))  # 1 for all
    assert "says the same confidence for all points" in text(same)


def one_record(folder, predictions: Sequence, failures: Sequence = (), about: Mapping = ()) -> PredictionStore:
    record = UnitRecord("folder", "all", "prompt", "s", 1.0, tuple(predictions), tuple(failures))
    return write_records(folder, [record], config={"dataset": {"name": "folder"}} | dict(about))


def test_all_right_leaves_nothing_to_tell_apart(tmp_path) -> None:
    pair = make_pair("s-t")
    page = report(one_record(tmp_path, [(pair, Match(pair.true_points, np.array([0.1, 0.5, 0.9])))]))
    assert "All points are right, or all are wrong" in text(page) and "100.0 %" in text(page)


def test_without_truth_matches_are_shown_and_not_scored(tmp_path, opened) -> None:
    pair = make_pair("s-t", target_points=np.full((3, 2), np.nan))
    store = one_record(tmp_path, [(pair, Match(np.ones((3, 2)), np.array([0.1, 0.5, 0.9])))])
    page = report(store)
    assert "The truth of no point is known" in text(page) and "PCK" not in text(page)
    on = opened(tmp_path / "report.html")
    assert on.page.inner_text(".count") == "1 of 1 pairs" and on.page.locator("[name=correct]").count() == 0
    assert on.page.locator(".match.open").count() == 3
    on.page.locator(".reach").first.dispatch_event("click")  # there are no maps, and it says so
    on.page.wait_for_selector('.pair-view[data-shown="0/0"]')
    assert on.page.locator(".layers").is_hidden() and "kept no maps" in on.page.inner_text("#pairs")
    on.check(tmp_path / "report.html")


def test_a_run_in_which_all_failed_has_a_report(tmp_path) -> None:
    page = report(one_record(tmp_path, [], [Failure("s-t", "t", "damaged")]))
    assert "No pair could be predicted" in text(page) and "There is no pair to show" in text(page)
    assert "without a prediction 1" in text(page)


EVIL = "<script>alert(1)</script>"
EVIL_FILE = 'it\'s "quoted" & <b>bold<'
EVIL_NAME = "$x$ </script><img src=x onerror=alert(2)>"


def test_names_from_the_data_are_only_text(tmp_path, opened) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for name in ("a.png", f"{EVIL_FILE}.png"):
        Image.new("RGB", (40, 30), "teal").save(own / name)
    there = {"source": "a.png", "target": f"{EVIL_FILE}.png", "category": EVIL, "names": [EVIL_NAME, "b"]}
    there |= {"points": [[5, 5], [20, 9]], "target_points": [[5, 5], [9, 9]]}
    back = {"source": there["target"], "target": "a.png", "category": "$y_{$", "points": [[5, 5]]}
    rows = [there, back | {"target_points": [[8, 8]]}]
    (own / "pairs.json").write_text(json.dumps(rows))
    benchmark, store = Folder(own), PredictionStore(tmp_path / "run")
    names = ("prompt", EVIL_NAME.replace("/", ""))
    claim = Claim("a.Method", 1, {"note": EVIL_NAME}, {"name": EVIL})
    claimed(
        store, Pictureless(benchmark.pairs, "folder", "all"), *names, claim=claim, config={"dataset": {"name": EVIL}}
    )
    for pair in benchmark.pairs:
        found = Match(pair.true_points, np.linspace(0.2, 0.9, len(pair.true_points)))
        for method in names:
            store.save(UnitRecord("folder", "all", method, pair.source, 1.0, ((pair, found),)))
    page = report(store, image=benchmark.image)
    assert EVIL not in page and EVIL_NAME not in page and "<img" not in page and "<b>bold" not in page
    on = opened(tmp_path / "run/report.html")
    titles = on.page.locator(".card h3").all_text_contents()
    assert sorted(titles) == sorted([EVIL, "$y_{$"])
    on.page.select_option("[name=category]", EVIL)
    assert on.page.inner_text(".count") == "1 of 2 pairs"
    assert EVIL_FILE in on.page.locator(".card .id").text_content()
    assert EVIL_NAME in on.page.locator(".match title").first.text_content()
    assert on.page.locator("#kinds tbody th").first.text_content() in (EVIL, "$y_{$")
    assert EVIL in on.page.locator("#kinds svg").first.text_content()  # the chart too
    on.check(tmp_path / "run/report.html")


def test_of_too_many_pairs_a_sample_is_shown_and_said(tmp_path) -> None:
    errors = {f"{source}{i}-x": [0.0, float(i)] for source in "ad" for i in range(10)}
    store = PredictionStore(write_run(tmp_path, errors))
    page = report(store, pairs=4)
    assert len(shown(page)["pairs"]) == 4 and "4 of all 20 pairs are here" in text(page)
    assert "There is no pair to show" in text(report(store, pairs=0))


def test_a_folder_that_cannot_be_written_is_told(run, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.store, "run_dir", tmp_path / "run")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/predictions").symlink_to(run.page.parent / "predictions")
    (tmp_path / "run/config.yaml").symlink_to(run.page.parent / "config.yaml")
    (tmp_path / "run/report.html").mkdir()  # in its place
    with pytest.raises(UserError, match="report.html"):
        report(run.store)


def test_a_pair_without_a_visible_point_is_not_shown(tmp_path) -> None:
    blind: Pair = make_pair("s-u", visible=np.zeros(3, bool))
    seen = make_pair("s-t")
    nothing, all_of = Match(np.empty((0, 2)), np.empty(0)), Match(seen.true_points, np.ones(3))
    page = report(one_record(tmp_path, [(blind, nothing), (seen, all_of)]))
    assert len(shown(page)["pairs"]) == 1
