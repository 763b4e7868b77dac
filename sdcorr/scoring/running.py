"""PCK of what has been predicted so far, to be seen while an evaluation works."""

from __future__ import annotations

import torch

from sdcorr.datasets import scorable
from sdcorr.errors import UserError
from sdcorr.run.records import UnitRecord
from sdcorr.scoring.arrays import Arrays
from sdcorr.scoring.averages import USUAL, average_name
from sdcorr.scoring.pck import pck_name
from sdcorr.scoring.protocols import Protocol
from sdcorr.scoring.scores import SPOKEN_OF
from sdcorr.scoring.torch_metric import PCK


class RunningPCK:
    """Adds up the records of one method as they are made, in the sums of a `PCK`.

    Of several ranks each sees its own share; the sums of all together (`PCK.merge_state`) are those of the whole run.
    What is reported at the end is scored from the records, with intervals (`sdcorr.scoring.score`).

    Args:
        protocol: what correct means.
        dataset: name of the data set that the records are of.
        alpha: the threshold, a fraction of the protocol's length.
    """

    def __init__(self, protocol: Protocol, dataset: str, alpha: float = SPOKEN_OF) -> None:
        self.protocol, self.name = protocol, pck_name(alpha)
        here = protocol.on(dataset)
        self.average = here.headline if here.headline in USUAL else USUAL[0]
        # a merge with the sums of another rank would not clear the cache
        self.metric = PCK([alpha], comparison=here.comparison, compute_with_cache=False)

    def __call__(self, record: UnitRecord) -> str:
        """Adds a record, and says what the PCK is now; nothing as long as the truth of no point is known."""
        known = [scorable(pair, match) for pair, match in record.predictions if pair.has_truth.any()]
        arrays = Arrays.of(record.dataset, [(pair, match.points) for pair, match in known])
        try:
            predicted, truth, lengths = (torch.from_numpy(each) for each in self.protocol.in_frame(arrays))
        except UserError:  # a box is lacking: hours of predictions are no worse for it, and scoring will say so
            return str(self)
        for row, length in enumerate(lengths):
            points = torch.from_numpy(arrays.rows == row)
            self.metric.update(predicted[points], truth[points], length)
        return str(self)

    def __str__(self) -> str:
        points = int(self.metric.points.sum())
        if not points:
            return ""
        percent = 100 * float(self.metric.compute()[f"{self.name}/{self.average}"])
        return f"{self.name.upper()} {average_name(self.average)} {percent:.1f} so far ({points:,} points)"
