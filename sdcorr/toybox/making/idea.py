"""The README's first figure: one query point of the toybox, followed through the method."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from sdcorr import visualize
from sdcorr.prompt import PromptMatcher
from sdcorr.prompt.localize import combine_layers
from sdcorr.toybox.dataset import drawing


def idea(matcher: PromptMatcher, source_key: str, target_key: str, name: str) -> Figure:
    """Follow a keypoint from one drawing to another through every step of the method.

    Args:
        matcher: the method.
        source_key: key of the drawing with the query point.
        target_key: key of the drawing in which to find it.
        name: of the keypoint.
    """
    source, target = drawing(source_key), drawing(target_key)
    point = source.points[[source.names.index(name)]]  # (1, 2)
    module, _ = matcher.problem(source.image, point, source_key)
    start = module.embeddings.detach()[None]  # (1, R, T, D), before the first step
    embeddings = matcher.optimize(source.image, point, source_key)

    def seen(prompt: Tensor) -> np.ndarray:
        maps = matcher.transfer(source.image, prompt, point, source_key, source_key)
        return combine_layers(maps, matcher.settings.combination)[0].cpu().numpy()

    on_target = matcher.transfer(target.image, embeddings, point, source_key, target_key)
    match = matcher.localize(on_target, target.image.size)
    maps = {
        "before": seen(start),
        "after": seen(embeddings),
        "target": combine_layers(on_target, matcher.settings.combination)[0].cpu().numpy(),
    }
    return visualize.idea(source.image, target.image, point[0], match.points[0], maps)
