"""Training pictures: drawn once, kept on disk, read by every epoch."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from .world import SIZE, TRAIN, draw

CHUNK = 2000


def drawing_pool(folder: Path, count: int, workers: int = 2) -> tuple[np.ndarray, list[str]]:
    """The first `count` training drawings: `(count, SIZE, SIZE, 3)` uint8 mapped from disk, and their captions.

    Drawn in chunks of 2,000, each its own pair of files, so that an interrupted call goes on and a larger pool extends a smaller one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, count, CHUNK)
    missing = [start for start in starts if not (folder / f"{start:07d}.json").exists()]
    if missing:
        with ProcessPoolExecutor(workers) as processes:
            jobs = processes.map(_draw_chunk, [folder] * len(missing), missing)
            for _ in track(jobs, "drawing", total=len(missing)):
                pass
    images = np.concatenate([np.load(folder / f"{start:07d}.npy") for start in starts])
    captions = [caption for start in starts for caption in json.loads((folder / f"{start:07d}.json").read_text())]
    return images[:count], captions[:count]


def _draw_chunk(folder: Path, start: int) -> None:
    drawings = [draw((TRAIN, seed), annotate=False) for seed in range(start, start + CHUNK)]
    np.save(folder / f"{start:07d}.npy", np.stack([np.asarray(d.image) for d in drawings]))
    (folder / f"{start:07d}.json").write_text(json.dumps([d.caption for d in drawings]))


def to_unit_range(images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """`(B, SIZE, SIZE, 3)` uint8 to `(B, 3, SIZE, SIZE)` float in [-1, 1], what the autoencoder reads."""
    pixels = torch.as_tensor(images).permute(0, 3, 1, 2)  # (B, 3, SIZE, SIZE)
    assert pixels.shape[-1] == SIZE
    return pixels.float() / 127.5 - 1
