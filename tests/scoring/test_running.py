import numpy as np
import pytest

from sdcorr.datasets import Match
from sdcorr.scoring.arrays import collect
from sdcorr.scoring.protocols import PROTOCOLS
from sdcorr.scoring.running import RunningPCK
from sdcorr.scoring.score import score
from tests.run.fakes import make_pair
from tests.scoring import stored
from tests.scoring.fakes import missed, pck, record

STANDARD = PROTOCOLS["standard"]


@pytest.mark.parametrize("name", [name for name, protocol in PROTOCOLS.items() if protocol.knows("spair")])
def test_at_the_end_it_is_the_score(name):
    records, running = stored.records()["half"], RunningPCK(PROTOCOLS[name], "spair")
    said = [running(each) for each in records]
    scores = score({"m": collect(records)}, "m", PROTOCOLS[name], [0.1], samples=0)
    assert running.average == scores.usual_headline
    for average in ("per_point", "per_image"):
        found = running.metric.compute()[f"pck@0.10/{average}"].item()
        assert found == pytest.approx(pck(scores.ours, average).value, abs=1e-12)
    percent, average = 100 * pck(scores.ours, running.average).value, running.average.replace("_", " ")
    assert said[-1] == f"PCK@0.10 {average} {percent:.1f} so far ({scores.ours.points} points)"
    assert len(set(said)) > 3  # it moves


def test_hand_computed_as_it_goes():
    running = RunningPCK(STANDARD, "spair")  # 10 pixels are correct
    assert running(record([missed(make_pair("a-z"), [0, 0, 11])])) == "PCK@0.10 per point 66.7 so far (3 points)"
    assert running(record([missed(make_pair("b-z"), [11, 11, 11])])) == "PCK@0.10 per point 33.3 so far (6 points)"


def test_ranks_add_up():
    records = stored.records()["prompt"]
    whole, ranks = RunningPCK(STANDARD, "spair"), [RunningPCK(STANDARD, "spair") for _ in range(3)]
    for number, each in enumerate(records):
        whole(each)
        ranks[number % 2](each)  # the last rank has nothing to do
    for other in ranks[1:]:
        ranks[0].metric.merge_state(other.metric)
    assert str(ranks[0]) == str(whole)


def test_points_without_a_truth_count_for_nothing():
    unknown = make_pair("a-z", target_points=[[1, 1], [np.nan, np.nan], [3, 3]])
    blind = make_pair("b-z", target_points=np.full((3, 2), np.nan))
    running = RunningPCK(STANDARD, "spair")
    assert running(record([(blind, Match(np.ones((3, 2)), np.ones(3)))])) == ""
    assert "(2 points)" in running(record([(unknown, Match(np.ones((3, 2)), np.ones(3)))]))


def test_a_box_that_is_lacking_stops_nothing():
    running = RunningPCK(STANDARD, "spair")
    running(record([missed(make_pair("a-z"), [0, 0, 11])]))
    assert "(3 points)" in running(record([missed(make_pair("b-z", target_box=None), [0, 0, 0])]))
