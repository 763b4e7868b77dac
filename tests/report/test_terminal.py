import io
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from sdcorr.report import tables
from sdcorr.report.table import Column, Number, Table
from sdcorr.report.terminal import show
from sdcorr.scoring.arrays import collect
from sdcorr.scoring.compare import compare
from sdcorr.scoring.metrics import PERCENT
from sdcorr.scoring.parts import AMBIGUOUS, Part
from sdcorr.scoring.protocols import PROTOCOLS
from tests.run.fakes import make_pair
from tests.scoring import test_published
from tests.scoring.fakes import ALPHAS, missed, pck, random_counts, record, scored


def printed(made, width=120):
    text = io.StringIO()
    show(made, Console(file=text, width=width))
    return text.getvalue()


def rows(text):
    """The cells of every row that has some."""
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if "  " in line.strip()]


def cell(estimate, sign=""):
    value, low, high = (100 * end for end in estimate)
    return f"{value:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"


class TestShow:
    def table(self):
        columns = [Column("name", "label", merged=True), Column("of", "words", needed=False), Column("x"), Column("y")]
        table = Table("A title", columns, notes=["A note."])
        for name, kind in (("a", "one"), ("a", "two"), ("b", "three")):
            table.add(name, kind, Number(0.5, PERCENT, 0.25, 0.75), Number(0.5, PERCENT, 0.25, 0.75))
        return table

    @pytest.mark.parametrize(("width", "kind", "lines"), [(60, True, 1), (50, False, 1), (44, True, 2), (36, False, 2)])
    def test_what_is_not_needed_goes_first_then_intervals_go_below(self, width, kind, lines):
        text = printed([self.table()], width)
        assert ("three" in text) == kind and max(map(len, text.splitlines())) <= width
        assert sum("50.0" in line or "[25.0" in line for line in text.splitlines()) == 3 * lines
        assert ("50.0 [25.0, 75.0]" in text) == (lines == 1)

    def test_what_still_does_not_fit_is_printed_below_with_the_names_of_the_rows(self):
        lines = printed([self.table()], width=26).splitlines()
        assert max(map(len, lines)) <= 26 and sum("A title" in line for line in lines) == 1
        assert [line.split() for line in lines if "name" in line] == [["name", "x"], ["name", "y"]]
        assert sum(line.split() == ["b", "50.0"] for line in lines) == 2
        assert sum("[25.0, 75.0]" in line for line in lines) == 6

    def test_words_are_folded_before_columns_are_parted(self):
        table = Table("title", [Column("name", "label"), Column("x"), Column("why", "words")])
        table.add("somebody", Number(0.5, PERCENT), "for a reason that takes many words to tell")
        text = printed([table], width=40)
        assert max(map(len, text.splitlines())) <= 40 and text.count("somebody") == 1
        assert " ".join(text.split()).startswith("title name x why")
        assert "for a reason that" in text and "takes many" in text

    def test_a_label_that_stands_above_is_not_written_again(self):
        labels = [row[0] for row in rows(printed([self.table()]))]
        assert labels == ["name", "a", "two", "b"] and "A note." in printed([self.table()])

    def test_words_are_words(self):
        table = Table("[red]title[/red]", [Column("[bold]name[/bold]", "label")])
        table.add("[link]cell[/link]")
        text = printed([table])
        assert all(word in text for word in ("[red]title[/red]", "[bold]name[/bold]", "[link]cell[/link]"))


class TestOverview:
    def test_methods_differences_and_parts(self):
        counts = {"prompt": random_counts(), "same_pixel": random_counts(seed=1, chance=0.2)}
        scores = scored(counts, protocol="hedlin", headline="per_image")
        text = printed(tables.overview(scores))
        titles = [
            f"{name}, protocol hedlin: 50 pairs, {scores.ours.points} points" for name in ("per image", "per point")
        ]
        assert -1 < text.find(titles[0]) < text.find(titles[1])  # the protocol's own average comes first
        assert "PCK@0.05" in text and "PCK@0.10" in text
        cells = rows(text)
        for average in ("per_point", "per_image"):
            for method in counts:
                expected = [cell(pck(scores.methods[method], average, alpha=alpha)) for alpha in ALPHAS]
                assert [method, *expected] in [row[:3] for row in cells]
        lead = scores.differences["same_pixel"]
        differences = [cell(pck(lead, average), "+") for average in ("per_point", "per_image")]
        assert ["less same_pixel", *differences] in cells
        for part in (Part("category", "bus"), AMBIGUOUS):
            expected = [cell(pck(scores.ours, "per_point", part, alpha)) for alpha in ALPHAS]
            assert expected in [row[-2:] for row in cells if row[:2] == [part.name, part.family]]

    def test_variants_come_before_other_methods(self):
        counts = {name: random_counts(seed=seed) for seed, name in enumerate(["subject", "a", "b"])}
        text = printed(tables.methods(scored(counts, samples=0), variants=["b"]))
        assert [row[0] for row in rows(text)][1:4] == ["subject", "b", "a"]

    def test_difficulties_are_rows(self):
        counts = replace(random_counts(), flags={"scale": np.where(np.arange(50) % 2, "hard", "easy")})
        labels = [row[:2] for row in rows(printed(tables.overview(scored({"m": counts}))))]
        for row in (["scale=easy", "scale"], ["scale=hard", "scale"], ["bus", "category"], ["cat", "category"]):
            assert row in labels

    def test_a_protocol_s_own_average_is_shown_before_the_usual_two(self):
        text = printed(tables.overview(scored({"m": random_counts()}, protocol="sd_dino", headline="hybrid")))
        found = [text.find(f"{name}, protocol sd_dino") for name in ("hybrid", "per point", "per image")]
        assert -1 < found[0] < found[1] < found[2]

    @pytest.mark.parametrize(("alphas", "width"), [((0.05, 0.1, 0.15), 80), ((0.01, 0.05, 0.1, 0.15), 80)])
    def test_narrow_terminals(self, alphas, width):
        counts = {name: random_counts(alphas=alphas) for name in ("prompt", "image_patches")}
        text = printed(tables.overview(scored(counts)), width=width)
        assert max(map(len, text.splitlines())) <= width
        assert text.count("]") >= len(alphas) * 3 * 2 and "…" not in text
        assert text.count("image_patches") >= 3  # and no name is broken

    def test_methods_without_a_common_pair_have_no_difference(self):
        counts = {"a": random_counts(10), "b": random_counts(20).rows(np.arange(10, 20))}
        assert ["less b", "-", "-"] in rows(printed(tables.overview(scored(counts))))


class TestPublished:
    def text(self, protocol, dataset="pfwillow", pairs=900):
        scores = test_published.scored(dataset, protocol, pairs=pairs)
        return printed(tables.overview(scores), width=160)

    def test_comparable_results_stand_under_ours_and_the_others_apart(self):
        text = self.text("hedlin")
        cells = rows(text)
        ours, theirs = (
            ["prompt", "per image", "50.0", "50.0", "this run"],
            ["Hedlin et al.", "per image", "53.0", "84.3"],
        )
        assert cells.index(ours) + 1 == [row[:4] for row in cells].index(theirs)
        before, apart = text.split("published on pfwillow, not comparable")
        assert "published, protocol hedlin" in before and "README" in apart and "paper (unverified)" in apart
        assert "SCorrSAN" in apart and "SCorrSAN" not in before
        assert "protocol cats_bbox" in apart
        assert [row[0] for row in rows(apart)].count("keypoints") == 1  # a group is named once

    def test_a_part_of_the_data_is_compared_with_nobody(self):
        text = self.text("hedlin", pairs=90)
        assert "published, protocol" not in text
        assert "not comparable; ours has 90 of 900 pairs" in text

    def test_labels_and_how_surely_a_number_is_known_are_told(self):
        before, apart = self.text("geoaware", "spair", 12_234).split("published on spair, not comparable")
        cells = {row[0]: row for row in rows(before.partition("published, protocol geoaware")[2])}
        assert cells["DIY-SC"][1:] == [
            *("per image", "10.1", "53.8", "71.6", "weak labels", "3D-SC, Table C1 (quoted by one other)"),
        ]
        assert cells["Jamais Vu"][-2] == "keypoints" and cells["SD+DINO"][-2] == "no labels"
        assert "Shape-of-You" not in before and "inferred" in apart

    @pytest.mark.parametrize("dataset", ["spair_u", "ap10k"])
    def test_pairs_that_nobody_counted_are_compared_with_nobody(self, dataset):
        text = self.text("geoaware", dataset, 1000)
        assert "published, protocol" not in text
        assert (
            f"published on {dataset}, not comparable; how many pairs the published split has is not known"
            in " ".join(text.split())
        )

    def test_the_toybox_has_no_rivals(self):
        assert "published" not in self.text("standard", "toybox", 84)


class TestProtocols:
    def test_protocols_and_their_own_averages(self):
        one = scored({"m": random_counts()}, protocol="sd_dino", headline="hybrid")
        two = scored({"m": random_counts(seed=1)}, protocol="hedlin", headline="per_image")
        text = printed([tables.protocols([("run: m", one), ("run: m", two)])])
        assert "toybox test, run: m: 50 pairs" in text
        labels = [row[:2] if row[0] in ("sd_dino", "hedlin") else row[:1] for row in rows(text)]
        assert [label for label in labels if label[0] != "protocol"] == [
            ["sd_dino", "hybrid"],
            ["per point"],
            ["per image"],
            ["hedlin", "per image"],
            ["per point"],
        ]
        expected = [cell(pck(two.ours, "per_image", alpha=alpha)) for alpha in ALPHAS]
        assert ["hedlin", "per image", *expected] in rows(text)

    def test_several_runs_have_rows_of_their_own(self):
        runs = [(name, scored({"m": random_counts(pairs)}, samples=0)) for name, pairs in (("one", 50), ("two", 40))]
        cells = [row for row in rows(printed([tables.protocols(runs)])) if "one" in row or "two" in row]
        assert [row[-4:-2] for row in cells] == [["one", "50"], ["two", "40"]] * 2


def test_comparison():
    def arrays(ids, by):
        return collect([record([missed(make_pair(id, points=len(by)), by)]) for id in ids])

    found = compare(arrays(["a-z", "b-z", "c-z"], [0, 30]), arrays(["b-z", "d-z"], [30, 30]), PROTOCOLS["standard"])
    text = printed(tables.comparison(found, "one: m", "two: m"), width=200)
    cells = rows(text)
    assert "spair test, protocol standard: 1 pairs that both have" in text
    assert ["per point", "A", *["50.0"] * 4] in [row[:6] for row in cells]
    assert ["A - B", *["+50.0"] * 4] in [row[:5] for row in cells]
    assert "A: one: m; 2 pairs that it alone has are left out" in text
    assert "B: two: m; 1 pairs that it alone has are left out" in text
