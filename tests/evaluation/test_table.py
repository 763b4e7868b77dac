import dataclasses
import io
import re

import numpy as np
from rich.console import Console

from sdcorr.evaluation.score import summarize
from sdcorr.evaluation.table import print_summary
from tests.evaluation.test_score import ALPHAS, random_tally


def printed(summary, method, width=120):
    text = io.StringIO()
    print_summary(summary, method, Console(file=text, width=width))
    return text.getvalue()


def rows(text):
    """The cells of every row that has some."""
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if "  " in line.strip()]


class TestPrintSummary:
    def test_methods_differences_and_kinds(self):
        tallies = {"prompt": random_tally(), "same_pixel": random_tally(seed=1, chance=0.2)}
        summary = {"protocol": "hedlin"} | summarize(tallies, "prompt", ALPHAS)
        text = printed(summary, "prompt")
        for average in ("per point", "per image"):
            assert f"{average}, protocol hedlin: 50 pairs, {summary['points']} points" in text
        assert "PCK@0.05" in text and "PCK@0.10" in text

        def cell(name):
            value, low, high = (100 * summary[f"{name}{end}"] for end in ("", "/low", "/high"))
            return f"{value:.1f} [{low:.1f}, {high:.1f}]"

        cells = rows(text)
        for average in ("per_point", "per_image"):
            for method, prefix in (("prompt", ""), ("same_pixel", "baseline/same_pixel/")):
                expected = [cell(f"{prefix}pck@{alpha:.2f}/{average}") for alpha in ALPHAS]
                assert [method, *expected] in cells
        averages = ("per_point", "per_image")
        differences = [cell(f"difference/same_pixel/pck@0.10/{average}") for average in averages]
        assert ["less same_pixel", *differences] in cells
        category = [f"{100 * summary[f'pck@{alpha:.2f}/per_point/category/bus']:.1f}" for alpha in ALPHAS]
        assert ["bus", *category] in cells
        assert ["ambiguous", *(cell(f"pck@{alpha:.2f}/per_point/ambiguous") for alpha in ALPHAS)] in cells

    def test_three_thresholds_fit_into_80_columns(self):
        alphas = (0.05, 0.1, 0.15)
        correct = np.repeat(random_tally().correct[..., 1:], 3, axis=-1)
        tallies = {name: dataclasses.replace(random_tally(), correct=correct) for name in ("prompt", "image_patches")}
        text = printed({"protocol": "standard"} | summarize(tallies, "prompt", alphas), "prompt", width=80)
        assert max(map(len, text.splitlines())) <= 80
        assert text.count("]") >= 3 * 3 * 2 and "…" not in text

    def test_methods_without_a_common_pair_have_no_difference(self):
        tallies = {"a": random_tally(10), "b": random_tally(20).rows(slice(10, 20))}
        summary = {"protocol": "standard"} | summarize(tallies, "a", ALPHAS)
        assert ["less b", "-", "-"] in rows(printed(summary, "a"))
