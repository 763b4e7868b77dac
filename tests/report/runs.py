"""A run folder of a few pairs of the toybox: real pictures and key points, made-up matches and maps."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sdcorr.datasets import AttentionMaps, Match, Pair, group_by_source
from sdcorr.methods.base import Claim
from sdcorr.run.records import UnitRecord
from sdcorr.run.store import PredictionStore
from sdcorr.toybox.dataset import Toybox

CELLS, LAYERS = 8, ("up_blocks.1.attentions.0", "combined")
KIND = "sdcorr.methods.prompt.Prompt"
ERRORS = {"prompt": 5.0, "prompt_steps_1": 9.0, "prompt_steps_2": 7.0, "same_pixel": 14.0}  # pixels, of 64
SETTINGS = {"prompt": {"steps": 3}, "prompt_steps_1": {"steps": 1}, "prompt_steps_2": {"steps": 2}}
CLAIMS: Mapping[str, Claim] = {
    name: Claim(KIND, 1, SETTINGS[name]) if name in SETTINGS else Claim("position.SamePixel", 1, {}) for name in ERRORS
}


class Few:
    """The first pairs of the toybox's demo, two categories of four."""

    name, split = "toybox", "demo"

    def __init__(self) -> None:
        self.pairs: tuple[Pair, ...] = Toybox("demo").pairs[:8]

    def image(self, key: str) -> Image.Image:
        return Toybox("demo").image(key)

    def digest(self, key: str) -> str:
        return Toybox("demo").digest(key)


@dataclass(frozen=True)
class Run:
    """The run folder, and what it was made of."""

    store: PredictionStore
    benchmark: Few
    page: Path  # its report


def make_run(folder: Path) -> PredictionStore:
    """Records of a subject with maps, two variants of it and another method."""
    benchmark, store, draws = Few(), PredictionStore(folder), np.random.default_rng(7)
    store.claim_run({"dataset": {"name": "toybox", "split": "demo"}}, benchmark)
    for method, error in ERRORS.items():
        store.claim(method, CLAIMS[method])
        for unit in group_by_source(benchmark.pairs):
            found = [(pair, _match(pair, error, method == "prompt", draws)) for pair in unit.pairs]
            seen = {key: benchmark.digest(key) for pair in unit.pairs for key in (pair.source, pair.target)}
            about = {"peak_bytes": 3 * 2**27, "pictures": seen}
            store.save(UnitRecord("toybox", "demo", method, unit.source, 1.5, tuple(found), **about))
    return store


def _match(pair: Pair, error: float, with_maps: bool, draws: np.random.Generator) -> Match:
    """A miss by about so many pixels, the less sure the farther."""
    misses = draws.normal(0, error, pair.true_points.shape)
    points = np.clip(pair.true_points + misses, 0, pair.target_size)
    confidence = np.clip(np.exp(-np.hypot(*misses.T) / 20) + draws.normal(0, 0.1, len(misses)), 0, 1)
    maps = AttentionMaps(LAYERS, _hills(pair.query_points, pair), _hills(points, pair)) if with_maps else None
    return Match(points, confidence, maps)


def _hills(points: np.ndarray, pair: Pair) -> np.ndarray:
    """A hill at each point, the wider the coarser the layer, (V, L, k, k)."""
    centers = points / pair.target_size * CELLS  # (V, 2); pictures of the toybox have one size
    grid = np.stack(np.meshgrid(*[np.arange(CELLS) + 0.5] * 2), axis=-1)  # (k, k, 2)
    squares = ((grid - centers[:, None, None]) ** 2).sum(-1)  # (V, k, k)
    return np.stack([np.exp(-squares / width) for width in (8, 3)], axis=1).astype(np.float32)
