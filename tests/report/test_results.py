"""Everything is computed once, and says the same wherever it is shown."""

import numpy as np
import pytest

from sdcorr.datasets import Match
from sdcorr.report.results import gather
from sdcorr.run.records import Failure, UnitRecord
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.curves import GRID
from sdcorr.scoring.protocols import PROTOCOLS
from tests.report.runs import CLAIMS
from tests.run.fakes import make_pair
from tests.scoring.fakes import pck, write_records

STANDARD = PROTOCOLS["standard"]


def test_curves_and_fractions_agree_with_the_scores(results) -> None:
    at, points = GRID.index(0.1), {each.pair.id: len(each.right) for each in results.pairs}
    for name in CLAIMS:
        for average in ("per_point", "per_image"):
            score = pck(results.scores.methods[name], average)
            assert results.curves[average][name][at] == pytest.approx([100 * end for end in score])
        fractions = results.fractions.get(name, {each.pair.id: each.fraction for each in results.pairs})
        correct = sum(fraction * points[id] for id, fraction in fractions.items())
        assert correct / sum(points.values()) == pytest.approx(pck(results.scores.methods[name]).value)
    assert results.reliability.kept[-1].value == pytest.approx(pck(results.scores.ours).value)


def test_elsewhere_is_every_other_protocol(results) -> None:
    names = {protocol.name for protocol in PROTOCOLS.values() if protocol.knows("toybox")}
    assert {each.protocol for each in results.elsewhere} == names - {"standard"}
    assert all(list(each.methods) == ["prompt"] for each in results.elsewhere)


def store_of(folder, predictions, failures=()) -> PredictionStore:
    record = UnitRecord("folder", "all", "prompt", "s", 1.0, tuple(predictions), tuple(failures))
    return write_records(folder, [record], config={"dataset": {"name": "folder"}})


def test_why_nothing_is_scored(tmp_path) -> None:
    unknown = make_pair("s-t", target_points=np.full((3, 2), np.nan))
    found = gather(
        store_of(tmp_path / "a", [(unknown, Match(np.ones((3, 2)), np.ones(3)))]), "prompt", STANDARD, samples=0
    )
    assert found.scores is None and "truth of no point is known" in found.unscored and len(found.pairs) == 1
    failed = gather(store_of(tmp_path / "b", [], [Failure("s-t", "t", "damaged")]), "prompt", STANDARD, samples=0)
    assert failed.scores is None and "No pair could be predicted" in failed.unscored


def test_the_same_confidence_for_all_points_is_not_judged(tmp_path) -> None:
    pair = make_pair("s-t")
    found = gather(store_of(tmp_path, [(pair, Match(pair.true_points, np.ones(3)))]), "prompt", STANDARD, samples=0)
    assert found.reliability is None and found.unscored is None
