"""What charts show is what the summary says, in percent."""

import pytest

from sdcorr.report import estimates
from sdcorr.scoring.summary import Summary, summarize
from tests.scoring.tallies import ALPHAS, random_tally

SCORE = "pck@0.10/per_point"


def summary(samples: int = 50, alphas=ALPHAS, headline: str = "per_point") -> Summary:
    tallies = {"m": random_tally(), "pixel": random_tally(seed=1), "restarts=1": random_tally(seed=2)}
    return {"headline": headline} | summarize(tallies, "m", alphas, samples=samples)


def test_values_come_with_their_intervals() -> None:
    found = summary()
    expected = [100 * found[f"{SCORE}{end}"] for end in ("", "/low", "/high")]
    assert estimates.methods(found, "m", SCORE)["m"] == pytest.approx(expected)
    assert list(estimates.methods(found, "m", SCORE)) == ["m", "pixel", "restarts=1"]
    lead = estimates.leads(found, SCORE)["restarts=1"]
    assert lead[0] == pytest.approx(100 * found[f"difference/restarts=1/{SCORE}"]) and lead[1] < lead[0] < lead[2]


def test_without_a_bootstrap_intervals_have_no_width() -> None:
    value, low, high = estimates.estimate(summary(samples=0), SCORE)
    assert value == low == high > 1


def test_categories_are_of_the_average_that_they_have() -> None:
    found = summary()
    assert set(estimates.categories(found, SCORE)) == {"bus", "cat"}
    per_image = estimates.categories(found, "pck@0.10/per_image")
    assert per_image["bus"][0] == pytest.approx(100 * found["pck@0.10/per_image/category/bus"])
    assert estimates.categories(found, "pck@0.10/hybrid") == estimates.categories(found, SCORE)


@pytest.mark.parametrize(
    "alphas, headline, score",
    [
        ((0.05, 0.1), "per_image", "pck@0.10/per_image"),
        ((0.01, 0.05), "hybrid", "pck@0.05/hybrid"),
        ((0.05, 0.1), "unknown", "pck@0.10/per_point"),
    ],
)
def test_the_score_that_is_spoken_of(alphas, headline, score) -> None:
    assert estimates.score_name(summary(0, alphas, headline)) == score
