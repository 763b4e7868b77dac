"""PCK over its threshold: a fine curve with its band says more than the few thresholds of a table."""

from __future__ import annotations

import numpy as np

from sdcorr.scoring.bootstrap import estimate, interval, resampled
from sdcorr.scoring.counts import Tally
from sdcorr.scoring.pck import AVERAGES
from sdcorr.visualize.charts import LINE_COLORS, Estimate

GRID = tuple((np.arange(1, 31) / 100).tolist())  # fractions of the protocol's length
LINES = len(LINE_COLORS)  # in one chart at most


def pck_curve(counts: Tally, average: str, *, samples: int = 1000, seed: int = 0) -> list[Estimate]:
    """PCK in percent at every threshold that the tally was made with, and its 95 % interval.

    Args:
        counts: of n pairs, for example at GRID.
        average: a name in `sdcorr.scoring.pck.AVERAGES`.
        samples: bootstrap resamples; 0 for intervals without width.
        seed: of the bootstrap, the same as of a summary's.
    """
    which = AVERAGES.index(average)
    values = 100 * estimate(counts)[which, 0]  # (A,)
    resamples = 100 * resampled(counts, samples, seed)[:, which, 0]  # (samples, A)
    ends = [interval(resamples[:, index]) for index in range(len(values))]
    return [(float(value), *(end or (float(value), float(value)))) for value, end in zip(values, ends, strict=True)]
