"""The consensus, tried on the maps that a finished run has kept: neither optimization nor transfer.

    sdcorr eval dataset.split=val 'methods=[prompt]' run_dir=RUN
    python benchmarks/consensus.py RUN

The maps that a run keeps have 32 cells a side, so that `none` differs a little from the run's own score. A number
is PCK per point, longer side of the target's box, with the difference to `none` and its 95 % interval over the pairs.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from sdcorr.cli import build, origin
from sdcorr.cli.compose import compose
from sdcorr.datasets import Pair, group_by_source
from sdcorr.methods.consensus import GRID, PEAK_GRID, chosen_peaks, match_cells, peaks
from sdcorr.methods.layout import Layout
from sdcorr.methods.maps import Features, ScoreMaps
from sdcorr.methods.unet_features import read_features
from sdcorr.prompt.localize import soft_argmax
from sdcorr.run.store import PredictionStore

WAYS = ("none", "dense", "joint")
ALPHAS = (0.01, 0.05, 0.10)
RESAMPLES = 2000


def distances(run: Path) -> tuple[dict[str, list[np.ndarray]], list[Pair]]:
    """For each way, of each pair of a run on the toybox, how far its points are off in longer sides of the box."""
    store = PredictionStore(run)
    split = store.config()["dataset"]["split"]
    cfg = compose("eval", f"dataset.split={split}", "methods=[prompt]", "embeddings=null")
    benchmark, settings = origin.benchmark(cfg), build.prompt_settings(cfg)
    backbone = build.methods(cfg, benchmark)[0].resources.backbone()
    place = (settings.consensus_block, settings.consensus_timestep)

    @cache
    def read(key: str) -> Features:
        return read_features(backbone, key, benchmark.image, *place)

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
            matches = match_cells(
                read(pair.source).pooled(GRID), read(pair.target).pooled(GRID), pair.source_size, pair.target_size
            )
            points = torch.from_numpy(pair.query_points / max(pair.source_size)).float()
            assert pair.target_box is not None
            side = max(pair.target_box[2] - pair.target_box[0], pair.target_box[3] - pair.target_box[1])
            for way in WAYS:
                if way == "none":
                    cells = peaks(scores)[0][:, 0]
                else:
                    cells = chosen_peaks(scores, points, matches, pair.target_size, joint=way == "joint") * PEAK_GRID
                window = round(settings.window * PEAK_GRID / backbone.image_size)
                found = layout.from_grid(soft_argmax(values, window, cells).double().numpy(), values.shape)
                off[way].append(np.linalg.norm(found - pair.true_points, axis=1) / side)
    return off, pairs


def table(off: dict[str, list[np.ndarray]], pairs: list[Pair]) -> str:
    """The rows of a Markdown table."""
    alike = [pair.ambiguous[pair.visible] for pair in pairs if pair.ambiguous is not None]
    draws = np.random.default_rng(0).integers(0, len(pairs), (RESAMPLES, len(pairs)))
    lines = [
        "| consensus | PCK@0.10 | above none | look-alikes | others | @0.05 | @0.01 |",
        "|---|---|---|---|---|---|---|",
    ]
    sizes = np.array([len(each) for each in off["none"]])
    for way in WAYS:
        found = np.concatenate(off[way])
        flags = np.concatenate(alike)
        score = {alpha: 100 * (found <= alpha).mean() for alpha in ALPHAS}
        parts = [100 * (found[chosen] <= 0.1).mean() if chosen.any() else np.nan for chosen in (flags, ~flags)]
        gains = np.array([np.sum(a <= 0.1) - np.sum(b <= 0.1) for a, b in zip(off[way], off["none"], strict=True)])
        low, high = np.percentile(100 * gains[draws].sum(1) / sizes[draws].sum(1), (2.5, 97.5))
        gain = "" if way == "none" else f"{100 * gains.sum() / sizes.sum():+.1f} [{low:+.1f}, {high:+.1f}]"
        numbers = (f"{each:.1f}" for each in (*parts, score[0.05], score[0.01]))
        lines.append(f"| {way} | {score[0.10]:.1f} | {gain} | {' | '.join(numbers)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    print(table(*distances(Path(sys.argv[1]))))
