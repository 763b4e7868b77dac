import dataclasses
import io
import re
from collections.abc import Callable

import numpy as np
import pytest
from rich.console import Console

from sdcorr.report.terminal import print_comparison, print_side_by_side, print_summary
from sdcorr.scoring.arrays import collect
from sdcorr.scoring.compare import compare
from sdcorr.scoring.counts import Tally
from sdcorr.scoring.pck import pck_name
from sdcorr.scoring.protocols import PROTOCOLS
from sdcorr.scoring.summary import summarize
from tests.run.fakes import make_pair
from tests.scoring.tallies import ALPHAS, missed, random_tally, record


def about(protocol="standard", headline="per_point", dataset="toybox", split="test"):
    return {"protocol": protocol, "headline": headline, "dataset": dataset, "split": split}


def printed(function: Callable, *arguments, width=120):
    text = io.StringIO()
    function(*arguments, Console(file=text, width=width))
    return text.getvalue()


def rows(text):
    """The cells of every row that has some."""
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if "  " in line.strip()]


def cell(summary, name):
    value, low, high = (100 * summary[f"{name}{end}"] for end in ("", "/low", "/high"))
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


class TestSummary:
    def test_methods_differences_and_kinds(self):
        tallies = {"prompt": random_tally(), "same_pixel": random_tally(seed=1, chance=0.2)}
        summary = about("hedlin", "per_image") | summarize(tallies, "prompt", ALPHAS)
        text = printed(print_summary, summary, "prompt")
        titles = [
            f"{name}, protocol hedlin: 50 pairs, {summary['points']} points" for name in ("per image", "per point")
        ]
        assert -1 < text.find(titles[0]) < text.find(titles[1])  # the protocol's own average comes first
        assert "PCK@0.05" in text and "PCK@0.10" in text
        cells = rows(text)
        averages = ("per_point", "per_image")
        for average in averages:
            for method, prefix in (("prompt", ""), ("same_pixel", "baseline/same_pixel/")):
                expected = [cell(summary, f"{prefix}pck@{alpha:.2f}/{average}") for alpha in ALPHAS]
                assert [method, *expected] in cells
        differences = [cell(summary, f"difference/same_pixel/pck@0.10/{average}") for average in averages]
        assert ["less same_pixel", *differences] in cells
        for name in ("category/bus", "ambiguous"):
            expected = [cell(summary, f"pck@{alpha:.2f}/per_point/{name}") for alpha in ALPHAS]
            assert [name.rpartition("/")[2], *expected] in cells

    def test_difficulties_are_rows(self):
        counts = random_tally()
        flags = {"scale": np.where(np.arange(50) % 2, "hard", "easy")}
        counts = Tally(counts.ids, counts.categories, counts.points, counts.correct, flags)
        text = printed(print_summary, about() | summarize({"m": counts}, "m", ALPHAS), "m")
        labels = [row[0] for row in rows(text)]
        assert {"scale=easy", "scale=hard", "bus", "cat"} <= set(labels)
        assert not {"low", "high"} & set(labels)

    def test_a_protocol_s_own_average_is_shown_before_the_usual_two(self):
        text = printed(print_summary, about("sd_dino", "hybrid") | summarize({"m": random_tally()}, "m", ALPHAS), "m")
        found = [text.find(f"{name}, protocol sd_dino") for name in ("hybrid", "per point", "per image")]
        assert -1 < found[0] < found[1] < found[2]

    @pytest.mark.parametrize(("alphas", "width"), [((0.05, 0.1, 0.15), 80), ((0.01, 0.05, 0.1, 0.15), 80)])
    def test_narrow_terminals(self, alphas, width):
        correct = np.repeat(random_tally().correct[..., 1:], len(alphas), axis=-1)
        tallies = {name: dataclasses.replace(random_tally(), correct=correct) for name in ("prompt", "image_patches")}
        text = printed(print_summary, about() | summarize(tallies, "prompt", alphas), "prompt", width=width)
        assert max(map(len, text.splitlines())) <= width
        assert text.count("]") >= len(alphas) * 3 * 2 and "…" not in text
        assert text.count("image_patches") >= 3  # and no name is broken

    def test_methods_without_a_common_pair_have_no_difference(self):
        tallies = {"a": random_tally(10), "b": random_tally(20).rows(slice(10, 20))}
        text = printed(print_summary, about() | summarize(tallies, "a", ALPHAS), "a")
        assert ["less b", "-", "-"] in rows(text)


class TestPublished:
    def summary(self, protocol, headline, dataset="pfwillow", pairs=900):
        summary = about(protocol, headline, dataset) | {"pairs": pairs, "points": 10 * pairs}
        return summary | {f"{pck_name(a)}/{name}": 0.5 for a in (0.05, 0.1) for name in ("per_point", "per_image")}

    def test_comparable_results_stand_under_ours_and_the_others_apart(self):
        text = printed(print_summary, self.summary("hedlin", "per_image"), "prompt", width=140)
        cells = rows(text)
        ours, theirs = (
            ["prompt", "per image", "50.0", "50.0", "this run"],
            ["Hedlin et al.", "per image", "53.0", "84.3"],
        )
        assert cells.index(ours) + 1 == [row[:4] for row in cells].index(theirs)
        before, apart = text.split("published on pfwillow, not comparable")
        assert "paper (unverified)" in before and "published, protocol hedlin" in before
        assert "SCorrSAN" in apart and "SCorrSAN" not in before
        assert "protocol cats_bbox" in apart

    def test_a_part_of_the_data_is_compared_with_nobody(self):
        text = printed(print_summary, self.summary("hedlin", "per_image", pairs=90), "prompt", width=140)
        assert "published, protocol" not in text
        assert "not comparable; ours has 90 of 900 pairs" in text

    def test_the_toybox_has_no_rivals(self):
        assert "published" not in printed(print_summary, self.summary("standard", "per_point", "toybox", 84), "prompt")


class TestSideBySide:
    def test_protocols_and_their_own_averages(self):
        one = about("sd_dino", "hybrid") | summarize({"m": random_tally()}, "m", ALPHAS)
        two = about("hedlin", "per_image") | summarize({"m": random_tally(seed=1)}, "m", ALPHAS)
        text = printed(print_side_by_side, [("run", "m", one), ("run", "m", two)])
        assert "toybox test, run: m: 50 pairs" in text
        labels = [row[:2] if row[0] in ("sd_dino", "hedlin") else row[:1] for row in rows(text)]
        assert [label for label in labels if label[0] != "protocol"] == [
            ["sd_dino", "hybrid"],
            ["per point"],
            ["per image"],
            ["hedlin", "per image"],
            ["per point"],
        ]
        expected = [cell(two, f"pck@{alpha:.2f}/per_image") for alpha in ALPHAS]
        assert ["hedlin", "per image", *expected] in rows(text)

    def test_data_sets_are_not_mixed(self):
        counts = random_tally()
        runs = [
            (name, "m", about(dataset=name) | summarize({"m": counts}, "m", ALPHAS)) for name in ("toybox", "folder")
        ]
        text = printed(print_side_by_side, runs)
        assert "toybox test, toybox: m" in text and "folder test, folder: m" in text


def test_comparison():
    def answers(ids, by):
        return collect([record([missed(make_pair(id, points=len(by)), by)]) for id in ids])

    summary = compare(answers(["a-z", "b-z", "c-z"], [0, 30]), answers(["b-z", "d-z"], [30, 30]), PROTOCOLS["standard"])
    text = printed(print_comparison, summary, "one: m", "two: m")
    assert "spair test, protocol standard: 1 pairs that both have" in text
    assert ["per point", "A", *["50.0 [50.0, 50.0]"] * 4] in rows(text)
    assert ["A - B", *["50.0 [50.0, 50.0]"] * 4] in rows(text)
    assert "A: one: m; 2 pairs that it alone has are left out" in text
    assert "B: two: m; 1 pairs that it alone has are left out" in text
