"""Weights & Biases: what an evaluation and a training leave there.

One run folder is one W&B run, however many processes work on it and however often it is gone on with. Sections of the
default workspace: `pck@0.10` and kin (one number a run, so bars over runs), `charts` (W&B's own, over runs too),
`figures` (the same with intervals, and the best and worst pairs), `tables` (of scores, and of pairs, to sort and
filter) and `attention` (loss and maps of a watched source image over the steps of its optimization).
"""

from sdcorr.tracking.session import make_logger
from sdcorr.tracking.watch import Watch

__all__ = ["Watch", "make_logger"]
