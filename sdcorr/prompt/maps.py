"""The maps behind matches, made small enough to keep."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sdcorr.prompt.localize import combine_layers
from sdcorr.prompt.settings import PromptSettings

COMBINED = "combined"  # the name of the map that a point is found in


def shrink(maps: Tensor, settings: PromptSettings, cells: int) -> Tensor:
    """The map of each layer and, last, that of all combined, averaged over square cells.

    Args:
        maps: (P, L, S, S), as `PromptMatcher.transfer` gives them.
        settings: of the method, for the way that layers are combined.
        cells: k, cells a side.

    Returns:
        (P, L + 1, k, k) float32 on the CPU.
    """
    combined = combine_layers(maps, settings.combination)
    return F.adaptive_avg_pool2d(torch.cat((maps, combined[:, None]), 1), cells).float().cpu()
