import io
import json

from rich.console import Console

from sdcorr.run.missing import Missing, keep, missing, tell
from sdcorr.run.store import PredictionStore
from tests.run.fakes import FakeBenchmark, FakeMethod, Overflowing, claimed, evaluate


def test_broken_annotations_and_images_each_once(tmp_path):
    benchmark, store = FakeBenchmark(broken="c"), PredictionStore(tmp_path)
    for method in ("fake", "other"):
        evaluate(benchmark, FakeMethod(), store, method)
    benchmark.broken = (("x-y", "The annotation of x-y is damaged."),)  # what a data set says of annotations
    found = missing(benchmark, store, ["fake", "other"])
    assert found[0] == Missing("x-y", "The annotation of x-y is damaged.")
    assert sorted(found[1:]) == [
        Missing(pair, "The image c is damaged: replace the file.")
        for pair in ("a-c", "b-c", "c-a", "c-b", "c-d", "d-c")
    ]


def test_nan_is_told_with_the_method_that_gave_it(tmp_path):
    benchmark, store = FakeBenchmark("ab"), PredictionStore(tmp_path)
    benchmark.broken = ()
    evaluate(benchmark, FakeMethod(), store, "fake")
    for method in ("other", "third"):
        evaluate(benchmark, Overflowing("b", known=method == "other"), store, method)
    found = missing(benchmark, store, ["fake", "other", "third"])
    assert [pair for pair, _ in found] == ["a-b", "b-a"]
    assert (
        found[0].reason.startswith("other: The features of b are NaN") and "third: The features of b" in found[0].reason
    )


def test_pairs_that_are_no_more_are_not_missing(tmp_path):
    benchmark, store = FakeBenchmark(broken="c"), PredictionStore(tmp_path)
    evaluate(benchmark, FakeMethod(), store, "fake")
    whole = FakeBenchmark("abd")
    whole.broken = ()
    assert missing(whole, claimed(store, whole, "fake"), ["fake", "not run"]) == []


def test_all_are_kept_and_a_screenful_is_told(tmp_path):
    store, text = PredictionStore(tmp_path), io.StringIO()
    pairs = [Missing(f"[b]{number}", "It is damaged.") for number in range(1, 31)]
    keep(store, pairs)
    tell(Console(file=text, width=500), store, pairs)
    assert json.loads((tmp_path / "broken.json").read_text())[29] == {"pair": "[b]30", "reason": "It is damaged."}
    lines = text.getvalue().splitlines()
    assert lines[0].startswith("30 pairs have no prediction") and "broken.json" in lines[0]
    assert lines[1:3] == ["  [b]1: It is damaged.", "  [b]2: It is damaged."] and lines[-1] == "  and 10 more"


def test_nothing_missing_is_an_empty_list_and_not_told(tmp_path):
    store, text = PredictionStore(tmp_path), io.StringIO()
    keep(store, [Missing("a-b", "It is damaged.")])
    keep(store, [])
    tell(Console(file=text), store, [])
    assert json.loads((tmp_path / "broken.json").read_text()) == [] and text.getvalue() == ""
