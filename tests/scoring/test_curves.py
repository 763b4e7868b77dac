import pytest

from sdcorr.scoring.curves import pck_curve
from sdcorr.scoring.pck import AVERAGES
from sdcorr.scoring.summary import summarize
from tests.scoring.tallies import ALPHAS, random_tally


@pytest.mark.parametrize("average", AVERAGES)
def test_a_curve_goes_through_the_numbers_of_the_summary(average: str) -> None:
    counts = random_tally()
    summary = summarize({"prompt": counts}, "prompt", ALPHAS, samples=50)
    names = [f"pck@0.05/{average}", f"pck@0.10/{average}"]
    wanted = [tuple(100 * summary[name + end] for end in ("", "/low", "/high")) for name in names]
    assert pck_curve(counts, average, samples=50) == [pytest.approx(each) for each in wanted]
    assert all(value == low == high for value, low, high in pck_curve(counts, average, samples=0))
