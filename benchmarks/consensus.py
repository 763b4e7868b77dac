"""The consensus, tried on the maps that a finished run has kept: neither optimization nor transfer.

    sdcorr eval dataset.split=val 'methods=[prompt]' run_dir=RUN
    python benchmarks/consensus.py RUN

The maps that a run keeps have 32 cells a side, so that `none` differs a little from the run's own score. A number
is PCK per point, longer side of the target's box, with the difference to `none` and its 95 % interval over the pairs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sdcorr.cli import build, origin
from sdcorr.cli.compose import compose
from sdcorr.datasets import ImageReader, Pair, group_by_source
from sdcorr.methods.consensus import GRID, PEAK_GRID, match_cells, peaks, weighed_peaks
from sdcorr.methods.layout import Layout
from sdcorr.methods.maps import MirrorImages, ScoreMaps
from sdcorr.methods.mirror import Views, seen_mirrored
from sdcorr.methods.prompt import Prompt
from sdcorr.methods.unet_features import read_features
from sdcorr.prompt.localize import soft_argmax
from sdcorr.run.store import PredictionStore

WAYS = ("none", "dense", "dense_flip", "joint")
ALPHAS = (0.01, 0.05, 0.10)
RESAMPLES = 2000


def distances(run: Path) -> tuple[dict[str, list[np.ndarray]], list[Pair]]:
    """For each way, of each pair of a run on the toybox, how far its points are off in longer sides of the box."""
    store = PredictionStore(run)
    split = store.config()["dataset"]["split"]
    cfg = compose("eval", f"dataset.split={split}", "methods=[prompt]", "embeddings=null")
    benchmark, settings = origin.benchmark(cfg), build.prompt_settings(cfg)
    (entry,) = build.methods(cfg, benchmark)
    assert isinstance(entry.method, Prompt)
    backbone, place = entry.resources.backbone(), entry.method.place

    @cache
    def read(key: str, reader: ImageReader = benchmark.image) -> Tensor:
        return read_features(backbone, key, reader, *place).pooled(GRID)

    mirror_images = MirrorImages(benchmark.image)

    off: dict[str, list[np.ndarray]] = {way: [] for way in WAYS}
    pairs = []
    for unit in group_by_source(benchmark.pairs):
        kept = store.maps("prompt", unit.source)
        for target in unit.targets:
            pair = target.pair
            pairs.append(pair)
            small = torch.from_numpy(kept[pair.id].target[:, -1:]).float()
            values = F.interpolate(small, size=(PEAK_GRID, PEAK_GRID), mode="bilinear")[:, 0]  # (V, 64, 64)
            layout = Layout(pair.target_size, (PEAK_GRID, PEAK_GRID), (0, 0, PEAK_GRID, PEAK_GRID))
            scores = ScoreMaps(values, layout, "attention").log_scores((PEAK_GRID, PEAK_GRID))
            source, found = (
                Views(read(key), read(key, mirror_images), size)
                for key, size in ((pair.source, pair.source_size), (pair.target, pair.target_size))
            )
            matches = match_cells(source.straight, found.straight, source.size, found.size)
            mirrored = seen_mirrored(source, found, matches)
            points = torch.from_numpy(pair.query_points / max(pair.source_size)).float()
            for way in WAYS:
                if way == "none":
                    cells = peaks(scores)[0][:, 0]
                else:
                    heard = {"joint": way == "joint", "mirrored": mirrored if way == "dense_flip" else None}
                    cells = weighed_peaks(scores, points, matches, pair.target_size, **heard).taken * PEAK_GRID
                window = round(settings.window * PEAK_GRID / backbone.image_size)
                found = layout.from_grid(soft_argmax(values, window, cells).double().numpy(), values.shape)
                off[way].append(off_by(pair, found))
    return off, pairs


def off_by(pair: Pair, found: np.ndarray) -> np.ndarray:
    """How far (V, 2) points are from the truth, in longer sides of the target's box."""
    assert pair.target_box is not None
    side = max(pair.target_box[2] - pair.target_box[0], pair.target_box[3] - pair.target_box[1])
    return np.linalg.norm(found - pair.true_points, axis=1) / side


def table(off: Mapping[str, Sequence[np.ndarray]], pairs: Sequence[Pair]) -> str:
    """The rows of a Markdown table."""
    alike = [pair.ambiguous[pair.visible] for pair in pairs if pair.ambiguous is not None]
    draws = np.random.default_rng(0).integers(0, len(pairs), (RESAMPLES, len(pairs)))
    lines = [
        "| consensus | PCK@0.10 | above none | look-alikes | others | above none | @0.05 | @0.01 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for way in off:
        found = np.concatenate(off[way])
        flags = np.concatenate(alike)
        score = {alpha: 100 * (found <= alpha).mean() for alpha in ALPHAS}
        parts = [100 * (found[chosen] <= 0.1).mean() if chosen.any() else np.nan for chosen in (flags, ~flags)]
        gain, of_others = (
            "" if way == "none" else _gain(off[way], off["none"], chosen, draws)
            for chosen in ([np.ones_like(each) for each in alike], [~each for each in alike])
        )
        cells = [way, f"{score[0.10]:.1f}", gain, *(f"{each:.1f}" for each in parts), of_others]
        lines.append(f"| {' | '.join([*cells, f'{score[0.05]:.1f}', f'{score[0.01]:.1f}'])} |")
    return "\n".join(lines)


def _gain(
    found: Sequence[np.ndarray], before: Sequence[np.ndarray], chosen: Sequence[np.ndarray], draws: np.ndarray
) -> str:
    """The difference in PCK@0.10 over the chosen points of all pairs, with its interval over resampled pairs."""
    pairs = list(zip(found, before, chosen, strict=True))
    gains = np.array([int(np.sum(now[which] <= 0.1)) - int(np.sum(then[which] <= 0.1)) for now, then, which in pairs])
    sizes = np.array([which.sum() for which in chosen])
    low, high = np.percentile(100 * gains[draws].sum(1) / sizes[draws].sum(1), (2.5, 97.5))
    return f"{100 * gains.sum() / sizes.sum():+.1f} [{low:+.1f}, {high:+.1f}]"


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    print(table(*distances(Path(sys.argv[1]))))
