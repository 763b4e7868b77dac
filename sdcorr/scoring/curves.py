"""PCK over its threshold: a fine curve with its band says more than the few thresholds of a table."""

from __future__ import annotations

from collections.abc import Sequence

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
    return curves(counts, [average], samples=samples, seed=seed)[average]


def curves(counts: Counts, averages: Sequence[str], *, samples: int = 1000, seed: int = 0) -> dict[str, list[Estimate]]:
    """The curve under each of several averages, all from one bootstrap; see `curve`."""
    means, thresholds = Bootstrap(samples, seed).means(counts.ungrouped()), range(len(counts.measures))
    found = {name: [means.estimate(name, 0, index) for index in thresholds] for name in averages}
    return {name: [each.times(PERCENT.factor) for each in of if each is not None] for name, of in found.items()}
