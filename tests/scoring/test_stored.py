"""Scores of made-up records are what they were when these were stored, to the last digit and in the same order."""

import json
from pathlib import Path

import pytest

from sdcorr.scoring.arrays import read
from sdcorr.scoring.metrics.pck import METRIC as PCK
from sdcorr.scoring.protocols import PROTOCOLS
from sdcorr.scoring.score import score
from sdcorr.scoring.summary import flatten
from tests.scoring import stored
from tests.scoring.fakes import write_records


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory):
    records = [record for records in stored.records().values() for record in records]
    return read(write_records(tmp_path_factory.mktemp("stored"), records), "prompt")


def text(path: Path) -> str:
    return path.read_text().rstrip("\n")


@pytest.mark.parametrize("name", stored.PROTOCOLS)
class TestSummary:
    def test_of_pck_is_what_it_was(self, name, arrays):
        protocol, settings = PROTOCOLS[name], {"samples": stored.SAMPLES, "metrics": [PCK]}
        summary = flatten(score(arrays, "prompt", protocol, stored.ALPHAS, **settings))
        assert json.dumps(summary, indent=1) == text(stored.DATA / f"summary-{name}.json")

    def test_further_metrics_change_nothing_of_it(self, name, arrays):
        summary = flatten(score(arrays, "prompt", PROTOCOLS[name], stored.ALPHAS, samples=stored.SAMPLES))
        then = json.loads(text(stored.DATA / f"summary-{name}.json"))
        assert json.dumps({key: summary[key] for key in summary if key in then}) == json.dumps(then)
