import pytest

from sdcorr.scoring.averages import AVERAGES
from sdcorr.scoring.bootstrap import Estimate
from sdcorr.scoring.metrics import Measure
from sdcorr.scoring.metrics.pck import METRIC as PCK
from sdcorr.scoring.parts import ALL, Part
from sdcorr.scoring.protocols import PROTOCOLS
from sdcorr.scoring.published import (
    STATUS,
    TEST_PAIRS,
    Published,
    comparable,
    differences,
    lacks,
    published,
    side_by_side,
)
from sdcorr.scoring.scores import Measured, Score, Scores


def scored(dataset="spair", protocol="hedlin", split="test", pairs=None, alphas=(0.05, 0.1), parts=(ALL,)) -> Scores:
    """Scores as far as published results care: 0.5 everywhere."""
    pairs = pairs or TEST_PAIRS[dataset]
    half = Estimate(0.5)
    scores = [
        Score(Measure(PCK, alpha), average, part, half, pairs, 10 * pairs)
        for part in parts
        for alpha in alphas
        for average in AVERAGES
    ]
    ours = Measured(pairs, 10 * pairs, tuple(scores))
    headline = PROTOCOLS[protocol].on(dataset).headline
    return Scores(protocol, headline, dataset, split, "prompt", {"prompt": ours}, {}, {"prompt": 0.0}, 0)


def row(method, dataset="spair", **fields) -> Published:
    found = [r for r in published() if r.method == method and r.dataset == dataset]
    (one,) = [r for r in found if all(getattr(r, name) == value for name, value in fields.items())]
    return one


class TestComparable:
    def test_only_with_the_same_protocol(self):
        paper = row("Hedlin et al.")
        assert comparable(paper, scored(protocol="hedlin"))
        assert differences(paper, scored(protocol="standard")) == ["protocol hedlin"]

    def test_only_on_the_whole_test_split(self):
        paper, part, val = row("Hedlin et al."), scored(pairs=360), scored(split="val", pairs=12_234)
        assert not comparable(paper, part) and not comparable(paper, val)
        assert lacks(part) == ["ours has 360 of 12,234 pairs"] and lacks(val) == ["ours is on val"]
        assert lacks(scored()) == []

    def test_only_if_the_average_is_known(self):
        assert differences(row("SimpleMatch"), scored()) == ["protocol not stated", "average not stated"]

    def test_only_with_a_threshold_in_common(self):
        assert differences(row("Hedlin et al."), scored(alphas=[0.15])) == ["no threshold in common"]

    def test_each_average_of_a_protocol_has_its_own_numbers(self):
        scores = scored(protocol="sd_dino")
        assert [(r.average, r.values) for r in published() if r.dataset == "spair" and comparable(r, scores)] == [
            ("hybrid", {0.1: 64.0})
        ]

    def test_per_image_and_per_point_are_two_numbers(self):
        ((_, rows),), apart = side_by_side([scored(protocol="geoaware")])
        assert {(r.method, r.average) for r in rows if r.method == "DIY-SC"} == {("DIY-SC", "per_image")}
        maps = [(r.average, r.values[0.1]) for r, _ in apart if r.method == "SphericalMaps"]
        assert maps == [("per_image", 64.4), ("per_point", 67.3)]
        scores = scored(protocol="geoaware")
        assert {r.ours(scores, 0.1).average for r in rows} == {"per_image"}

    def test_labels_do_not_forbid_it_and_are_told(self):
        ((_, rows),), _ = side_by_side([scored(protocol="geoaware")])
        seen = {r.method: r.supervision for r in rows}
        assert (seen["SD+DINO"], seen["DIY-SC"], seen["Jamais Vu"]) == ("none", "weak", "strong")

    @pytest.mark.parametrize("dataset", ["spair_u", "ap10k"])
    def test_no_data_whose_pairs_nobody_counted_or_drew_for_all(self, dataset):
        scores = scored(dataset, "geoaware", pairs=1000)
        assert lacks(scores) == ["how many pairs the published split has is not known"]
        together, apart = side_by_side([scores])
        assert not together and len(apart) > 10
        if dataset == "ap10k":
            assert {reason.partition(";")[0] for _, reason in apart} == {"protocol its own draw of pairs"}

    def test_true_and_padded_keypoint_boxes_of_pfwillow_never_meet(self):
        def methods(protocol):
            ((_, rows),), _ = side_by_side([scored("pfwillow", protocol)])
            return {(r.method, r.values[0.1]) for r in rows}

        assert ("WarpC-SemanticGLU-Net", 75.1) in methods("standard")
        assert ("SCorrSAN", 80.0) in methods("cats_bbox")
        assert methods("hedlin") == {("Hedlin et al.", 84.3)}
        assert not methods("standard") & methods("cats_bbox")

    def test_a_subset_of_tss_is_compared_with_that_subset(self):
        subset = row("SD+DINO", "tss", average="per_image", category="JODS")
        assert subset.values == {0.05: 73.2} and subset.average_name == "per image, JODS"
        assert "no threshold in common" in differences(subset, scored("tss", "standard", pairs=800))
        with_subsets = scored("tss", "standard", pairs=800, parts=[ALL, Part("category", "JODS")])
        assert "no threshold in common" not in differences(subset, with_subsets)
        assert subset.ours(with_subsets, 0.05).part == Part("category", "JODS")


class TestSideBySide:
    def test_every_result_is_shown_once_or_more_with_its_reason(self):
        together, apart = side_by_side([scored(protocol=name) for name in ("hedlin", "dift", "standard")])
        assert {scores.protocol: [r.method for r in rows] for scores, rows in together} == {
            "hedlin": ["Hedlin et al."],
            "dift": ["DIFT adm", "DIFT sd 2.1"],
        }
        shown = sum(len(rows) for _, rows in together) + len(apart)
        assert shown == len([r for r in published() if r.dataset == "spair"])
        assert {r.method: reason for r, reason in apart}["GeoAware-SC"] == "protocol geoaware"

    def test_nobody_else_has_scored_the_toybox(self):
        assert side_by_side([scored("toybox", "standard", pairs=168)]) == ([], [])


class TestRows:
    def test_they_name_things_that_exist(self):
        for r in published():
            assert r.status in STATUS and r.supervision in ("none", "weak", "strong")
            assert r.average in (*AVERAGES, "")
            assert all(0 < alpha < 1 and 1 < value < 100 for alpha, value in r.values.items()) and r.values
            if r.protocol in PROTOCOLS:
                assert r.dataset in PROTOCOLS[r.protocol].normalizers

    def test_none_is_there_twice(self):
        keys = [(r.method, r.dataset, r.average, r.category, r.protocol, r.source, *r.values) for r in published()]
        assert len(set(keys)) == len(keys) > 100

    @pytest.mark.parametrize(
        ("method", "dataset", "value", "status"),
        [
            ("HPF res101", "spair", 28.2, "V"),
            ("CATs, frozen backbone", "pfpascal", 89.1, "V"),
            ("Hedlin et al.", "cub", 77.5, "V"),
            ("SD+DINO, supervised head", "spair", 74.6, "Q"),
            ("Shape-of-You", "spair", 67.9, "Vi"),
            ("DINO+MLS", "pfwillow", 66.5, "V2"),
            ("SD4Match", "spair", 75.5, "R"),
            ("MARCO, across families", "ap10k", 83.4, "V"),
            ("GECO", "spair_u", 55.2, "Q"),
        ],
    )
    def test_some_of_them(self, method, dataset, value, status):
        assert (row(method, dataset).values[0.1], row(method, dataset).status) == (value, status)
