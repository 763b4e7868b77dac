import pytest

from sdcorr.scoring.pck import AVERAGES
from sdcorr.scoring.protocols import PROTOCOLS
from sdcorr.scoring.published import PUBLISHED, STATUS, TEST_PAIRS, beside, comparable, differences, lacks


def scored(dataset="spair", protocol="hedlin", split="test", pairs=None, alphas=("0.05", "0.10")):
    """A summary as far as published results care."""
    summary = {"dataset": dataset, "split": split, "protocol": protocol, "pairs": pairs or TEST_PAIRS[dataset]}
    return summary | {f"pck@{alpha}/{average}": 0.5 for alpha in alphas for average in AVERAGES}


def row(method, dataset="spair", **fields):
    found = [r for r in PUBLISHED if r.method == method and r.dataset == dataset]
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
        assert differences(row("MARCO"), scored()) == ["protocol not stated", "average not stated"]

    def test_only_with_a_threshold_in_common(self):
        assert differences(row("Hedlin et al."), scored(alphas=["0.15"])) == ["no threshold in common"]

    def test_each_average_of_a_protocol_has_its_own_numbers(self):
        summary = scored(protocol="sd_dino")
        assert [(r.average, r.values) for r in PUBLISHED if r.dataset == "spair" and comparable(r, summary)] == [
            ("hybrid", {0.1: 64.0})
        ]

    def test_true_and_padded_key_point_boxes_of_pfwillow_never_meet(self):
        def methods(protocol):
            ((_, rows),), _ = beside([scored("pfwillow", protocol)])
            return {(r.method, r.values[0.1]) for r in rows}

        assert ("WarpC-SemanticGLU-Net", 75.1) in methods("standard")
        assert ("SCorrSAN", 80.0) in methods("cats_bbox")
        assert methods("hedlin") == {("Hedlin et al.", 84.3)}
        assert not methods("standard") & methods("cats_bbox")

    def test_a_subset_of_tss_is_compared_with_that_subset(self):
        subset = row("SD+DINO", "tss", average="per_image/category/JODS")
        assert subset.values == {0.05: 73.2}
        assert "no threshold in common" in differences(subset, scored("tss", "standard", pairs=800))


class TestBeside:
    def test_every_result_is_shown_once_or_more_with_its_reason(self):
        summaries = [scored(protocol=name) for name in ("hedlin", "dift", "standard")]
        theirs, others = beside(summaries)
        assert {summary["protocol"]: [r.method for r in rows] for summary, rows in theirs} == {
            "hedlin": ["Hedlin et al."],
            "dift": ["DIFT adm", "DIFT sd 2.1"],
        }
        shown = sum(len(rows) for _, rows in theirs) + len(others)
        assert shown == len([r for r in PUBLISHED if r.dataset == "spair"])
        assert dict((r.method, reason) for r, reason in others)["GeoAware-SC"] == "protocol geoaware"

    def test_nobody_else_has_scored_the_toybox(self):
        assert beside([scored("toybox", "standard", pairs=168)]) == ([], [])


class TestRows:
    def test_they_name_things_that_exist(self):
        for r in PUBLISHED:
            assert r.status in STATUS and r.supervision in ("none", "weak", "strong")
            assert r.average.partition("/")[0] in (*AVERAGES, "")
            assert all(0 < alpha < 1 and 1 < value < 100 for alpha, value in r.values.items()) and r.values
            if r.protocol in PROTOCOLS:
                assert r.dataset in PROTOCOLS[r.protocol].normalizers

    def test_none_is_there_twice(self):
        keys = [(r.method, r.dataset, r.average, r.protocol, r.source, *r.values) for r in PUBLISHED]
        assert len(set(keys)) == len(keys)

    @pytest.mark.parametrize(
        ("method", "dataset", "value", "status"),
        [
            ("HPF res101", "spair", 28.2, "V"),
            ("CATs, frozen backbone", "pfpascal", 89.1, "V"),
            ("Hedlin et al.", "cub", 77.5, "M"),
            ("SD+DINO, supervised head", "spair", 74.6, "Vi"),
        ],
    )
    def test_some_of_them(self, method, dataset, value, status):
        assert (row(method, dataset).values[0.1], row(method, dataset).status) == (value, status)
