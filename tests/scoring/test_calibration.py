"""Calibrations of made-up runs: what is learned, kept, found again and refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sdcorr.cli import build, origin
from sdcorr.cli.compose import compose
from sdcorr.datasets import Match
from sdcorr.errors import UserError
from sdcorr.methods.base import Claim
from sdcorr.scoring.arrays import Arrays, collect
from sdcorr.scoring.calibration import RIGHT, THERE, calibrate, evidence_of, fit_outcome, judge
from sdcorr.scoring.calibration_file import judged_by, read_calibration, shipped, write_calibration
from sdcorr.scoring.protocols import PROTOCOLS
from tests.run.fakes import CLAIM, make_pair
from tests.scoring.fakes import record

STANDARD = PROTOCOLS["standard"]  # of `make_pair`: right at 0.1 is within 10 pixels


def arrays(seed: int = 0, sources: int = 12, shuffled: bool = False) -> Arrays:
    """24 pairs a source of 4 points, right with a probability that the evidence `says` knows, and `idle` does not."""
    draws, records = np.random.default_rng(seed), []
    for source in range(sources):
        for target in range(24):
            pair = make_pair(f"{chr(97 + source)}-{target}", points=4, target_points=draws.uniform(20, 60, (4, 2)))
            odds = draws.normal(size=4) * 2 + 1
            wrong = draws.random(4) > 1 / (1 + np.exp(-odds))
            said = draws.normal(size=4) * 2 + 1 if shuffled else odds
            left = {"says": said, "idle": draws.normal(size=4)}
            match = Match(pair.true_points + np.stack([wrong * 30.0, np.zeros(4)], 1), np.full(4, 0.5), evidence=left)
            records.append(record([(pair, match)], dataset="fake", split="val"))
    return collect(records)


@pytest.fixture(scope="module")
def known() -> Arrays:
    return arrays()


def test_what_the_evidence_knows_is_learned(known: Arrays) -> None:
    found = calibrate(known, CLAIM, STANDARD, 0.1)
    outcome = found.outcomes[RIGHT]
    assert (found.pairs, found.points, found.dataset, found.split) == (288, 1152, "fake", "val")
    assert outcome.model.names == ("confidence", "says", "idle")
    weights = dict(zip(outcome.model.names, outcome.model.weights, strict=True))
    assert weights["says"] > 1.5 and abs(weights["idle"]) < 0.2 and weights["confidence"] == 0
    other = judge(found, arrays(seed=1), samples=50)  # pairs that it has not seen
    assert other.score.error.value < 0.04 and other.score.brier.value < 0.8 * other.score.without
    assert other.score.error.low is not None and other.score.error.low <= other.score.error.high
    assert other.reliability.auroc is not None and other.reliability.auroc.value > 0.8
    assert outcome.unseen["error"] < 0.04 and outcome.unseen["auroc"] > 0.8


def test_shuffled_evidence_is_told_from_it(known: Arrays) -> None:
    """Probabilities that were learned from evidence that knows are wrong of evidence that does not."""
    found = calibrate(known, CLAIM, STANDARD, 0.1)
    other = judge(found, arrays(seed=1, shuffled=True), samples=0)
    assert other.score.error.value > 0.1 and other.score.brier.value > other.score.without
    learned = calibrate(arrays(shuffled=True), CLAIM, STANDARD, 0.1).outcomes[RIGHT]
    assert abs(learned.unseen["auroc"] - 0.5) < 0.06 and abs(learned.model.weights[1]) < 0.2


def test_any_outcome_can_be_learned(known: Arrays) -> None:
    label = known.evidence["idle"] > 0
    found = fit_outcome(evidence_of(known), label, known.rows, known.rows)
    assert found.unseen["auroc"] > 0.99 and found.share == label.mean()


def test_a_file_says_all_of_it(known: Arrays, tmp_path: Path) -> None:
    found, path = calibrate(known, CLAIM, STANDARD, 0.1), tmp_path / "calibration.yaml"
    there = fit_outcome(evidence_of(known), known.evidence["idle"] > 0, known.rows, known.rows)
    write_calibration(replace(found, outcomes=found.outcomes | {"there": there}), path)
    again = read_calibration(path)
    assert (again.method, again.alpha, again.protocol, again.origin) == (CLAIM, 0.1, "standard", "fake val, 288 pairs")
    for outcome, expected in ((RIGHT, found.outcomes[RIGHT]), ("there", there)):
        assert again.outcomes[outcome].model.names == expected.model.names
        ours = again.probability(evidence_of(known), outcome)
        theirs = expected.model.probability(np.column_stack(list(evidence_of(known).values())))
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def with_hidden(known: bool, seed: int = 0) -> Arrays:
    """40 pairs of 4 points, of which the target hides the last; the evidence `says` knows it, or does not."""
    draws, records = np.random.default_rng(seed), []
    for number in range(40):
        pair = make_pair(f"{number}-z", points=4, visible=[1, 1, 1, 0], hidden=[0, 0, 0, 1])
        left = {"says": draws.normal(size=4) + (3 * pair.visible if known else 0)}
        places = np.nan_to_num(pair.true_points) + np.stack([[0, 0, 30, 0], np.zeros(4)], 1)
        records.append(record([(pair, Match(places, np.full(4, 0.5), evidence=left))], dataset="fake", split="val"))
    return collect(records)


def test_whether_a_point_is_there_is_learned_where_hidden_ones_were_asked_for(known: Arrays) -> None:
    found = calibrate(with_hidden(known=True), CLAIM, STANDARD, 0.1)
    there = found.outcomes[THERE]
    assert there.share == 3 / 4 and there.unseen["auroc"] > 0.95 and found.points == 120
    judged = judge(found, with_hidden(known=True, seed=1), samples=50)
    assert judged.there is not None and judged.there.reliability.auroc.value > 0.95
    assert judged.there.score.error.value < 0.2 and "there or not: AUROC 0.9" in judged.said
    fooled = judge(found, with_hidden(known=False, seed=1), samples=0)
    assert fooled.there is not None and abs(fooled.there.reliability.auroc.value - 0.5) < 0.15
    assert THERE not in calibrate(known, CLAIM, STANDARD, 0.1).outcomes  # asked for none
    assert judge(found, known, samples=0).there is None


def test_whether_a_point_is_there_can_be_learned_from_other_pairs(known: Arrays, tmp_path: Path) -> None:
    found = calibrate(known, CLAIM, STANDARD, 0.1, with_hidden(known=True))
    assert found.outcomes[RIGHT] == calibrate(known, CLAIM, STANDARD, 0.1).outcomes[RIGHT]
    write_calibration(found, tmp_path / "c.yaml")
    there = read_calibration(tmp_path / "c.yaml").outcomes[THERE]
    assert there.learned_from == "fake val, 40 pairs, 40 of 160 points hidden" and there.share == 3 / 4


@pytest.mark.parametrize("text", ["", "[1]", "format: sdcorr calibration 1", "format: other", "a: [", "\0"])
def test_what_is_no_calibration_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError, match="c.yaml is no whole calibration"):
        read_calibration(tmp_path / "c.yaml")
    with pytest.raises(UserError, match="Cannot read .*other.yaml"):
        read_calibration(tmp_path / "other.yaml")


def test_it_holds_for_its_own_method(known: Arrays, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    write_calibration(calibrate(known, CLAIM, STANDARD, 0.1), path)
    assert judged_by(CLAIM, known, path) is not None
    assert judged_by(CLAIM, known) is None  # it does not come with the program
    for claim, why in (
        (replace(CLAIM, settings={"steps": 5}), "settings.steps is 129 there and 5 here"),
        (replace(CLAIM, kind="other.Method"), "it is of tests.run.fakes.FakeMethod, and they are of other.Method"),
        (replace(CLAIM, model={"unet/weights": "else"}), "model.unet/weights is 3fa0 there"),
    ):
        with pytest.raises(UserError, match=why):
            judged_by(claim, known, path)
    with pytest.raises(UserError, match=r"have not all left the evidence that it judges \(says, idle\)"):
        judged_by(CLAIM, replace(known, evidence={}), path)


def test_the_seed_moves_matches_and_not_what_they_say(known: Arrays, tmp_path: Path) -> None:
    first, second = (replace(CLAIM, settings={"steps": 129, "seed": seed}) for seed in (0, 1))
    write_calibration(calibrate(known, first, STANDARD, 0.1), tmp_path / "c.yaml")
    assert judged_by(second, known, tmp_path / "c.yaml") is not None


def test_too_little_to_learn_from(known: Arrays) -> None:
    few = arrays(sources=1)
    with pytest.raises(UserError, match="96 points are too few"):
        calibrate(few, CLAIM, STANDARD, 0.1)
    right = replace(known, predicted=known.truth)
    with pytest.raises(UserError, match="1152 of 1152 points are right at 0.1, so there is nothing to tell apart"):
        calibrate(right, CLAIM, STANDARD, 0.1)
    with pytest.raises(UserError, match="points are wrong at 1e-06"):
        calibrate(replace(known, predicted=known.truth + 1), CLAIM, STANDARD, 1e-6)


def test_what_comes_with_the_program_fits_what_comes_with_it() -> None:
    """A new setting of the method, or other weights, asks for a new calibration: `sdcorr calibrate` on val."""
    joined = ["method.parts=[read_once,student]", "method.weight=3", "method.refine=pixels"]  # as the README has it
    flipped = ["method.consensus=dense_flip", "method.refine=pixels"]
    ways = (("prompt", []), ("read_once", []), ("read_once", flipped), ("fused", joined))
    assert len(shipped()) == len(ways)
    for name, words in ways:
        claim = claim_of(name, *words)
        (found,) = (each for each in shipped() if not each.unlike(claim))
        assert found.lacking(claim, dict.fromkeys(found.outcomes[RIGHT].model.names, np.zeros(1))) is None
        assert (found.dataset, found.split, found.alpha) == ("toybox", "val", 0.1)


def claim_of(method: str, *words: str) -> Claim:
    """That of a method as an evaluation of the toybox makes it."""
    cfg = compose("eval", f"methods=[{method}]", f"method={method}", "embeddings=null", *words)
    (entry,) = build.methods(cfg, origin.benchmark(cfg), lambda source: [])
    return entry.claim()
