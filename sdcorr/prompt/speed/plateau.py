"""An optimization whose queries stop when they have learned: it saves steps, and changes results (`plateau`)."""

from typing import cast

import torch
from torch import Tensor

from sdcorr.diffusion import FrozenModel
from sdcorr.prompt.module import CropBatch, PromptOptimization
from sdcorr.prompt.settings import PromptSettings

_WINDOW = 10  # steps over which a query's loss is averaged, to tell whether it still falls


class StoppingOptimization(PromptOptimization):
    """As `PromptOptimization`, but a query whose loss no longer falls keeps its embedding and costs nothing more.

    With `plateau=0` none stops, and it is the same computation.
    """

    def __init__(self, backbone: FrozenModel, start: Tensor, settings: PromptSettings) -> None:
        """As `PromptOptimization`."""
        super().__init__(backbone, start, settings)
        self._active = torch.arange(len(start))  # the queries that still learn
        self._stopped: dict[int, Tensor] = {}  # query -> its embedding (T, D) when it stopped

    @property
    def learning(self) -> int:
        """How many queries have not stopped."""
        return len(self._active)

    def on_train_batch_start(self, batch: CropBatch, batch_idx: int) -> int | None:
        """Lets queries stop; -1, which ends the optimization, when none is left."""
        if not self.settings.plateau or batch_idx < 2 * _WINDOW:
            return None
        losses = torch.stack(self.losses[-2 * _WINDOW :])  # (2 windows, Q)
        before, now = losses.unflatten(0, (2, _WINDOW)).mean(1)
        falls = (now < (1 - self.settings.plateau) * before).cpu()[self._active]
        for query in self._active[~falls].tolist():
            self._stopped[query] = self.embeddings[query].detach().clone()  # Adam's momentum would carry it on
        self._active = self._active[falls]
        return None if len(self._active) else -1

    def training_step(self, batch: CropBatch, batch_idx: int) -> Tensor:
        """Sum of the losses of those that still learn; the others' are kept as 0."""
        if not self._stopped:
            return super().training_step(batch, batch_idx)
        rows = self._active.to(self.embeddings.device)
        everyones = cast(dict[str, Tensor], batch)
        some = cast(CropBatch, {name: value[rows.to(value.device)] for name, value in everyones.items()})
        losses = self.query_losses(some, self.embeddings[rows])  # (active,)
        self.losses.append(losses.new_zeros(len(self.embeddings)).index_copy(0, rows, losses.detach()))
        return losses.sum()

    def result(self) -> Tensor:
        """The embeddings, (Q, T, D): the last iterates, or those at which queries stopped."""
        result = super().result()
        for query, embedding in self._stopped.items():
            result[query] = embedding
        return result
