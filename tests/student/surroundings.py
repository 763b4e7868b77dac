"""A student without weights whose matches are plain: a cell's features are the colors round it."""

import torch.nn.functional as F
from torch import Tensor, nn


class Surroundings(nn.Module):
    """The 3 x 3 surroundings of every cell of the picture at half its side; `gain` is there to be saved."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side, self.gain = side, nn.Conv2d(27, 27, 1, groups=27, bias=False)
        nn.init.ones_(self.gain.weight)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, 27, S / 2, S / 2) of unit length."""
        cells = F.avg_pool2d(pixels, 2) - 0.5
        around = F.unfold(F.pad(cells, (1, 1, 1, 1), mode="replicate"), 3).unflatten(-1, cells.shape[-2:])
        return F.normalize(self.gain(around), dim=1)
