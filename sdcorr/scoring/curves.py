"""PCK over its threshold: a fine curve with its band says more than the few thresholds of a table."""

from __future__ import annotations

import numpy as np

from sdcorr.scoring.bootstrap import Bootstrap, Estimate
from sdcorr.scoring.counts import Counts
from sdcorr.scoring.metrics import PERCENT

GRID = tuple((np.arange(1, 31) / 100).tolist())  # fractions of the protocol's length


def curve(counts: Counts, average: str, *, samples: int = 1000, seed: int = 0) -> list[Estimate]:
    """PCK in percent at every threshold that was counted, and its 95 % interval.

    Args:
        counts: of n pairs, for example at GRID.
        average: a name in `sdcorr.scoring.averages.AVERAGES`.
        samples: bootstrap resamples; 0 for no intervals.
        seed: of the bootstrap, the same as of the scores.
    """
    means = Bootstrap(samples, seed).means(counts.ungrouped())
    found = (means.estimate(average, 0, index) for index in range(len(counts.measures)))
    return [each.times(PERCENT.factor) for each in found if each is not None]
