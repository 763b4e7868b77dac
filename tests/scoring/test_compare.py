import pytest

from sdcorr.errors import UserError
from sdcorr.scoring.arrays import collect
from sdcorr.scoring.compare import compare
from sdcorr.scoring.parts import Part
from sdcorr.scoring.protocols import PROTOCOLS
from tests.run.fakes import make_pair
from tests.scoring.fakes import ALPHAS, missed, pck, record

STANDARD = PROTOCOLS["standard"]
ERRORS = {"a-z": [0, 0, 0], "b-z": [0, 6, 20], "c-z": [6, 6, 20], "d-z": [20, 20, 20]}  # correct: 5 and 10 pixels
WORSE = {"b-z": [0, 20, 20], "c-z": [6, 20, 20], "d-z": [20, 20, 0], "e-z": [0]}


def arrays(errors, **changes):
    pairs = [
        make_pair(id, points=len(by), category="cat" if id < "c" else "bus", **changes) for id, by in errors.items()
    ]
    return collect([record([missed(pair, by)]) for pair, by in zip(pairs, errors.values(), strict=True)])


class TestCompare:
    def test_hand_computed_on_the_pairs_that_both_have(self):
        found = compare(arrays(ERRORS), arrays(WORSE), STANDARD, ALPHAS)
        assert {(each.pairs, each.points) for each in (found.first, found.second, found.difference)} == {(3, 9)}
        assert (found.only_first, found.only_second) == (1, 1)
        assert pck(found.first).value == pytest.approx(4 / 9)  # without a-z, which is easy
        assert pck(found.second).value == pytest.approx(3 / 9)
        assert pck(found.difference).value == pytest.approx(1 / 9)
        assert pck(found.difference, "hybrid").value == pytest.approx((1 * (2 - 1) / 3 + 2 * (2 - 2) / 6) / 3)
        cat, bus = (Part("category", name) for name in ("cat", "bus"))
        assert pck(found.difference, part=cat).value == pytest.approx(1 / 3)
        assert pck(found.difference, "per_image", bus, 0.05).value == pytest.approx(-1 / 6)

    def test_what_makes_a_pair_hard_for_both_cancels(self):
        """One run is right where the other is, and once more in every other pair: the difference is never below 0."""
        draws = [[0 if (k * j) % 3 else 30 for j in range(4)] for k in range(40)]
        ours = {f"{k:02d}-z": [0, *by] if k % 2 else [30, *by] for k, by in enumerate(draws)}
        theirs = {f"{k:02d}-z": [30, *by] for k, by in enumerate(draws)}
        found = compare(arrays(ours), arrays(theirs), STANDARD, ALPHAS)
        assert pck(found.difference).low > 0
        assert pck(found.second).high > pck(found.first).low  # each for itself would not tell

    def test_the_protocol_decides(self):
        standard, hedlin = (
            compare(arrays(ERRORS), arrays(WORSE), PROTOCOLS[p], ALPHAS) for p in ("standard", "hedlin")
        )
        assert pck(standard.first).value > pck(hedlin.first).value
        assert hedlin.headline == "per_image"


class TestRefusals:
    def test_other_data(self):
        other = collect([record([missed(make_pair("a-z", points=1), [0])], dataset="cub")])
        with pytest.raises(UserError, match="first run is on spair test and the second on cub test"):
            compare(arrays(ERRORS), other, STANDARD)

    def test_another_split(self):
        other = collect([record([missed(make_pair("a-z", points=1), [0])], split="val")])
        with pytest.raises(UserError, match="spair test and the second on spair val"):
            compare(arrays(ERRORS), other, STANDARD)

    @pytest.mark.parametrize("field", ["target_box", "target_points", "source_points", "target_size"])
    def test_other_annotations_of_the_same_pairs(self, field):
        changed = {"target_box": (5, 20, 45, 121), "target_size": (80, 161)}.get(field, [[1, 2], [3, 4], [5, 6]])
        with pytest.raises(UserError, match="annotations of pair b-z differ"):
            compare(arrays(ERRORS), arrays({"b-z": [0, 0, 0]}, **{field: changed}), STANDARD)

    def test_nothing_in_common(self):
        with pytest.raises(UserError, match="no pair in common"):
            compare(arrays(ERRORS), arrays({"x-z": [0]}), STANDARD)
