"""Scores of made-up records are what they were when this was stored, to the last digit and in the same order."""

import json

import pytest

from sdcorr.run.records import PredictionStore
from sdcorr.scoring.protocols import PROTOCOLS
from sdcorr.scoring.score import score
from tests.scoring import stored


@pytest.mark.parametrize("name", stored.PROTOCOLS)
def test_summary(name, tmp_path):
    store = PredictionStore(tmp_path)
    for records in stored.records().values():
        for record in records:
            store.save(record)
    summary = score(store, "prompt", PROTOCOLS[name], stored.ALPHAS, samples=stored.SAMPLES)
    then = json.loads((stored.DATA / f"summary-{name}.json").read_text())
    assert list(summary) == list(then)
    assert summary == then
