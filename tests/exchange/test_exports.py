"""What is exported and imported again is the same, to the last bit."""

import json

import numpy as np
import pytest

from sdcorr.datasets import Match
from sdcorr.errors import UserError
from sdcorr.exchange.exports import export_predictions
from sdcorr.exchange.imports import Reading, import_predictions
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.arrays import read
from sdcorr.scoring.protocols import PROTOCOLS
from sdcorr.scoring.score import score
from sdcorr.scoring.summary import flatten
from tests.exchange.fakes import benchmark
from tests.run.fakes import CONFIG, make_pair
from tests.scoring.fakes import missed, record, write_records

HIDDEN = make_pair(
    "h-z", points=4, visible=[True, False, True, True], target_points=[[9, 9], [1, 1], [3, 4], [None, 2]]
)
NAMELESS = make_pair("n-z", names=["same", "same", "other"])
ALL = make_pair("i-z", points=4, visible=[True, False, False, True], hidden=[False, True, False, False])


def _drawn(draws, count):
    return draws.uniform(0, 80, (count, 2)), draws.random(count)


def made(folder, *pairs):
    draws = np.random.default_rng(0)
    predictions = [(pair, Match(*_drawn(draws, int(pair.asked.sum())))) for pair in pairs]
    return write_records(folder, [record([each], dataset="fake") for each in predictions], config=CONFIG)


@pytest.mark.parametrize("suffix", ["csv", "json"])
@pytest.mark.parametrize(
    "pairs", [[make_pair("a-b"), HIDDEN], [make_pair("a-b"), NAMELESS], [ALL]], ids=["names", "numbers", "all"]
)
def test_there_and_back(suffix, pairs, tmp_path):
    store, path = made(tmp_path / "run", *pairs), tmp_path / f"all.{suffix}"
    points = sum(int(pair.asked.sum()) for pair in pairs)
    assert export_predictions(store.records("prompt"), path) == points
    again = PredictionStore(tmp_path / "again")
    found = import_predictions(path, benchmark(pairs), again, "prompt", CONFIG, Reading())
    assert found.points == points
    for ours, theirs in zip(store.records("prompt"), again.records("prompt"), strict=True):
        for (pair, one), (other, two) in zip(ours.predictions, theirs.predictions, strict=True):
            assert pair.id == other.id and np.array_equal(one.points, two.points)
            assert np.array_equal(one.confidence, two.confidence)

    def summary(folder):
        scores = score(read(PredictionStore(folder), "prompt"), "prompt", PROTOCOLS["standard"], samples=50)
        return json.dumps({name: value for name, value in flatten(scores).items() if name != "seconds"})

    assert summary(tmp_path / "run") == summary(tmp_path / "again")


def test_the_file_says_which_points_are_hidden(tmp_path):
    store = made(tmp_path / "run", ALL)
    export_predictions(store.records("prompt"), tmp_path / "all.csv")
    head, *rows = (tmp_path / "all.csv").read_text().splitlines()
    assert head.endswith(",target_x,target_y,hidden") and [row[-1] for row in rows] == ["0", "1", "0"]
    assert rows[1].endswith(",,,1")  # no place in the target
    export_predictions(store.records("prompt"), tmp_path / "all.json")
    (entry,) = json.loads((tmp_path / "all.json").read_text())
    assert entry["hidden"] == [False, True, False] and entry["target_xy"][1] is None


def test_the_file_in_plain_words(tmp_path):
    store = write_records(
        tmp_path / "run", [record([missed(make_pair("a-b", points=1, target_points=[[3, 4]]), [0.5])])]
    )
    export_predictions(store.records("prompt"), tmp_path / "all.csv")
    header, row = (tmp_path / "all.csv").read_text().splitlines()
    assert header == "pair,source,target,point,x,y,score,target_x,target_y"
    assert row == "a-b,a,b,part 0,3.5,4.0,1.0,3.0,4.0"


def test_json_has_the_evidence_and_imports_do_without(tmp_path):
    pair = make_pair("a-b", points=2)
    match = Match(pair.true_points, [0.5, 0.25], evidence={"margin": [1.5, -0.25]})
    store, path = (
        write_records(tmp_path / "run", [record([(pair, match)], dataset="fake")], config=CONFIG),
        tmp_path / "a.json",
    )
    export_predictions(store.records("prompt"), path)
    assert json.loads(path.read_text())[0]["evidence"] == {"margin": [1.5, -0.25]}
    again = PredictionStore(tmp_path / "again")
    import_predictions(path, benchmark([pair]), again, "prompt", CONFIG, Reading())
    ((_, imported),) = again.records("prompt")[0].predictions
    assert np.array_equal(imported.points, match.points) and not imported.evidence


def test_other_files_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"end its name in .csv or .json"):
        export_predictions([], tmp_path / "all.txt")
