"""Which points of a source image are asked for: `dataset.ask`.

    visible   those that the target shows as well: what published numbers are of
    all       those that it hides, cuts off or has not as well, for which "not there" is the right answer

Scores such as PCK are of the visible points alone, whichever is asked for (`sdcorr.datasets.base.scorable`).
"""

from __future__ import annotations

import numpy as np

from sdcorr.errors import UserError

VISIBLE, ALL = "visible", "all"


def check_ask(ask: str) -> None:
    """Raises UserError if there is no such way to ask."""
    if ask not in (VISIBLE, ALL):
        raise UserError(f"There is no dataset.ask={ask}: choose {VISIBLE} or {ALL}.")


def hidden_points(ask: str, source: np.ndarray, target: np.ndarray) -> np.ndarray | None:
    """`Pair.hidden` from what each image shows.

    Args:
        ask: VISIBLE or ALL.
        source: (N,) bool, whether the source shows each point.
        target: (N,) bool, whether the target does.

    Returns:
        (N,) bool; None if hidden points are not asked for.
    """
    return source & ~target if ask == ALL else None
