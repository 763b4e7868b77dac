"""Why a match is to be doubted, in a few words: what the page draws hollow, and JSON and CSV tell."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

# Of a match's own peak. With another one as high, some 55 % are right on the toybox, else 80 %; likewise with another
# one that is as likely under a consensus (`read_once` on val: 56 and 81 % by heights, 56 and 82 % by prices).
RIVAL = 0.8


def doubts(evidence: Mapping[str, np.ndarray]) -> list[str | None]:
    """Why each of some matches is to be doubted; None for those of which nothing speaks against it.

    Where a consensus has chosen between the peaks, the prices that it has made count; else the heights in the map.

    >>> doubts({"margin": np.array([0.1, 0.5])})
    ['a second peak is 90 % as high', None]
    >>> doubts({"margin": np.zeros(3), "lead": np.array([0.1, 0.1, 0.5]), "side": np.array([0.1, 0.4, 0.5])})
    ['if the object is mirrored, it is elsewhere: 90 % as likely', 'a second peak is 90 % as likely', None]

    Args:
        evidence: that of the V matches, see `sdcorr.methods.evidence`.
    """
    if "lead" not in evidence:
        return [_said(margin, "a second peak is", "as high") for margin in evidence["margin"].tolist()]
    return [
        _said(lead, "if the object is mirrored, it is elsewhere:" if side <= lead else "a second peak is", "as likely")
        for lead, side in zip(evidence["lead"].tolist(), evidence["side"].tolist(), strict=True)
    ]


def absent(there: float) -> str | None:
    """That a point is rather not there, as a doubt; None if it rather is.

    >>> absent(0.25)
    'not there: 75 % likely'
    """
    return f"not there: {100 * (1 - there):.0f} % likely" if there < 0.5 else None


def _said(lead: float, what: str, how: str) -> str | None:
    rival = min(math.exp(-lead), 1.0)
    return f"{what} {100 * rival:.0f} % {how}" if rival >= RIVAL else None
