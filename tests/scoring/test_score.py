import pytest

from sdcorr.errors import UserError
from sdcorr.run.records import Failure
from sdcorr.scoring.arrays import read
from sdcorr.scoring.parts import Part
from sdcorr.scoring.protocols import PROTOCOLS
from sdcorr.scoring.score import protocols_for, score
from tests.run.fakes import make_pair
from tests.scoring.fakes import ALPHAS, missed, pck, record, write_records

STANDARD = PROTOCOLS["standard"]
ERRORS = {"a-z": [0, 0, 0], "b-z": [0, 6, 20], "c-z": [6, 6, 20], "d-z": [20, 20, 20]}  # correct: 5 and 10 pixels


@pytest.fixture
def store(tmp_path):
    records = []
    for id, errors in ERRORS.items():
        pair = make_pair(id, points=3, category="cat" if id < "c" else "bus")
        records.append(record([missed(pair, errors)], failures=[Failure(f"{pair.source}-x", "x", "damaged")]))
        records.append(record([missed(pair, [20, 20, 0])], method="same_pixel", seconds=0.25))
    return write_records(tmp_path, records)


class TestScore:
    def test_a_run_folder(self, store):
        scores = score(read(store, "prompt"), "prompt", STANDARD, ALPHAS)
        assert (scores.protocol, scores.headline, scores.dataset, scores.split) == (
            *("standard", "per_point"),
            *("spair", "test"),
        )
        assert (scores.ours.pairs, scores.ours.points, scores.failures) == (4, 12, 4)
        assert scores.seconds == {"prompt": 8, "same_pixel": 1}
        assert pck(scores.ours, alpha=0.05).value == pytest.approx(4 / 12)
        assert pck(scores.ours).value == pytest.approx(7 / 12)
        assert pck(scores.ours, part=Part("category", "cat")).value == pytest.approx(5 / 6)
        assert pck(scores.methods["same_pixel"]).value == pytest.approx(4 / 12)
        value, low, high = pck(scores.differences["same_pixel"])
        assert value == pytest.approx(3 / 12) and low < 3 / 12 < high

    def test_the_subject_comes_first_whatever_the_order(self, store):
        scores = score(read(store, "prompt"), "same_pixel", STANDARD, ALPHAS, samples=0)
        assert list(scores.methods) == ["same_pixel", "prompt"] and scores.others == ("prompt",)
        assert pck(scores.differences["prompt"]).value == pytest.approx(-3 / 12)

    def test_protocols_differ_on_the_same_records(self, store):
        arrays = read(store, "prompt")
        standard, hedlin = (score(arrays, "prompt", PROTOCOLS[name], ALPHAS) for name in ("standard", "hedlin"))
        assert hedlin.protocol == "hedlin"
        assert pck(standard.ours).value > pck(hedlin.ours).value

    def test_tss_is_averaged_by_image_then_by_subset(self, tmp_path):
        """Errors in pixels; the source image is 100 wide, so 5 are allowed."""
        errors = {"JODS": [[0, 0, 9, 9], [0]], "PASCAL": [[0, 0, 0], [0, 9], [9, 9]], "FG3DCar": [[4]]}
        records = []
        for subset, of_pairs in errors.items():
            pairs = [make_pair(f"{subset}{k}-z", points=len(by), category=subset) for k, by in enumerate(of_pairs)]
            for pair, by in zip(pairs, of_pairs, strict=True):
                records.append(record([missed(pair, by)], dataset="tss"))
        scores = score(read(write_records(tmp_path, records), "prompt"), "prompt", STANDARD, [0.05])
        assert scores.headline == "category_per_image"
        subsets = {name: pck(scores.ours, "per_image", Part("category", name), 0.05).value for name in errors}
        assert subsets == pytest.approx({"JODS": 0.75, "PASCAL": 0.5, "FG3DCar": 1})
        assert pck(scores.ours, "category_per_image", alpha=0.05).value == pytest.approx(0.75)

    def test_a_method_without_records(self, store):
        with pytest.raises(UserError, match="no predictions of oracle .*only prompt, same_pixel"):
            read(store, "oracle")


class TestProtocolsFor:
    def test_all_are_those_with_a_rule(self):
        names = [protocol.name for protocol in protocols_for(["all"], "cub")]
        assert names == ["standard", "hedlin", "asic"]

    def test_named_ones_once_and_in_order(self):
        assert [p.name for p in protocols_for(["hedlin", "standard", "hedlin"], "spair")] == ["hedlin", "standard"]
