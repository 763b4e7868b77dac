"""A source image's points in all its targets, by prompt embeddings: optimized once, transferred, localized."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from lightning import Callback
from torch import Tensor

from sdcorr.datasets import AttentionMaps, ImageReader, Match, Pair, SourceUnit, Target
from sdcorr.images import image_to_tensor
from sdcorr.methods.ballot import ballot
from sdcorr.methods.maps import Agreed
from sdcorr.prompt.localize import combine_layers
from sdcorr.prompt.settings import PromptSettings
from sdcorr.prompt.speed import FastMatcher
from sdcorr.prompt.speed.fast import TargetMaps, Wanted


def match_unit(
    matcher: FastMatcher,
    unit: SourceUnit,
    image: ImageReader,
    *,
    callbacks: Sequence[Callback] = (),
    map_cells: int = 0,
    answer: Callable[[Target, TargetMaps], tuple[Match, Agreed | None]] | None = None,
    source_done: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Pair, Match]]:
    """Matches a source image's points in all its targets; the embeddings are optimized once.

    Args:
        matcher: the method on a model.
        unit: a source image, its query points, its targets.
        image: reads an image by its key.
        callbacks: Lightning callbacks that look on at the optimization.
        map_cells: cells a side of the small attention maps that a match brings; 0 for none.
        answer: takes a target and what is seen of its points, and gives their matches and what a consensus has come
            to; by default the maps alone decide.
        source_done: called when the embeddings are optimized.

    Yields:
        Each pair with the matches of its asked points, in their order; pairs without any come first.
    """
    for target in unit.targets:
        if not target.points:
            yield target.pair, Match(np.empty((0, 2)), np.empty(0))
    at_source: np.ndarray | None = None
    for target, seen, embeddings in transferred(matcher, unit, image, callbacks, source_done):
        pair = target.pair
        match, agreed = answer(target, seen) if answer else (matcher.localize(seen.maps, pair.target_size), None)
        if map_cells:
            if at_source is None:
                on_source = matcher.source_maps(image(unit.source), embeddings, unit.points, unit.source)
                at_source = small_maps(on_source, matcher.settings, map_cells)
            small = small_maps(seen.maps, matcher.settings, map_cells)
            weighed = ballot(agreed, pair.source_size, pair.target_size) if agreed else None
            at_points = at_source[list(target.points)]
            match = replace(match, maps=AttentionMaps(matcher.map_names, at_points, small, weighed))
        yield pair, match


def transferred(
    matcher: FastMatcher,
    unit: SourceUnit,
    image: ImageReader,
    callbacks: Sequence[Callback] = (),
    source_done: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Target, TargetMaps, Tensor]]:
    """Optimizes a source image's points, and transfers their embeddings to all its targets.

    Args:
        matcher: the method on a model.
        unit: a source image, its query points, its targets.
        image: reads an image by its key.
        callbacks: Lightning callbacks that look on at the optimization.
        source_done: called when the embeddings are optimized.

    Yields:
        Each target that asks for a point, with what is seen of its points, and all embeddings (P, R, T, D).
    """
    asking = [target for target in unit.targets if target.points]
    if not asking:
        return
    source = image(unit.source)
    # All targets are read before the long work, so that a broken one is noticed at once.
    keys = [target.pair.target for target in asking]
    pixels = {key: image_to_tensor(image(key), matcher.backbone.image_size) for key in dict.fromkeys(keys)}
    wanted = [Wanted(pixels[key], key, target.points) for key, target in zip(keys, asking, strict=True)]
    embeddings = matcher.optimize(source, unit.points, unit.source, callbacks, strict=False)
    source_done()
    found = matcher.transfer_to_all(wanted, embeddings, unit.points, unit.source)
    for target, seen in zip(asking, found, strict=True):
        yield target, seen, embeddings


def small_maps(maps: Tensor, settings: PromptSettings, cells: int) -> np.ndarray:
    """Maps to keep and to look at: that of each layer and, last, that of all combined, averaged over square cells.

    Args:
        maps: (P, L, S, S), as `PromptMatcher.transfer` gives them.
        settings: of the method, for the way that layers are combined.
        cells: k, cells a side.

    Returns:
        (P, L + 1, k, k) float32.
    """
    combined = combine_layers(maps, settings.combination)
    return F.adaptive_avg_pool2d(torch.cat((maps, combined[:, None]), 1), cells).float().cpu().numpy()
