import pytest

from sdcorr.scoring.averages import AVERAGES
from sdcorr.scoring.curves import curve
from tests.scoring.fakes import ALPHAS, pck, random_counts, scored


@pytest.mark.parametrize("average", AVERAGES)
def test_a_curve_goes_through_the_scores(average: str) -> None:
    counts = random_counts()
    scores = scored({"prompt": counts}, samples=50)
    expected = [[100 * end for end in pck(scores.ours, average, alpha=alpha)] for alpha in ALPHAS]
    assert curve(counts, average, samples=50) == [pytest.approx(each) for each in expected]
    assert [each[1:] for each in curve(counts, average, samples=0)] == [(None, None)] * len(ALPHAS)
