"""Training images: drawn once, kept on disk, read in every epoch."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from sdcorr.files import write_whole
from sdcorr.toybox.world import SIZE, TRAIN, draw

CHUNK = 2000  # drawings per file


def drawing_pool(folder: Path, count: int, workers: int = 2) -> tuple[np.ndarray, list[str]]:
    """Return the first `count` training drawings, and draw those that are not yet on disk.

    They are kept in chunks of one file of images and one file of captions, so an interrupted call continues where it
    stopped and a larger pool extends a smaller one.

    Args:
        folder: where the chunks are kept.
        count: how many drawings.
        workers: processes that draw.

    Returns:
        `(count, SIZE, SIZE, 3)` uint8, and the captions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chunks = {start: min(CHUNK, count - start) for start in range(0, count, CHUNK)}  # first drawing -> how many
    missing = [start for start, size in chunks.items() if len(_captions(folder, start)) < size]
    if missing:
        with ProcessPoolExecutor(workers) as processes:
            jobs = processes.map(_draw_chunk, [folder] * len(missing), missing, [chunks[start] for start in missing])
            for _ in track(jobs, "drawing", total=len(missing)):
                pass
    images = np.concatenate([np.load(_file(folder, start, ".npy")) for start in chunks])
    captions = [caption for start in chunks for caption in _captions(folder, start)]
    return images[:count], captions[:count]


def _draw_chunk(folder: Path, start: int, size: int) -> None:
    drawings = [draw((TRAIN, seed), annotate=False) for seed in range(start, start + size)]
    np.save(_file(folder, start, ".npy"), np.stack([np.asarray(drawing.image) for drawing in drawings]))
    # the captions are written last: a chunk that has them is complete
    write_whole(_file(folder, start, ".json"), json.dumps([drawing.caption for drawing in drawings]))


def _captions(folder: Path, start: int) -> list[str]:
    file = _file(folder, start, ".json")
    return json.loads(file.read_text()) if file.exists() else []


def _file(folder: Path, start: int, suffix: str) -> Path:
    return folder / f"{start:07d}{suffix}"


def to_unit_range(images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Convert `(B, SIZE, SIZE, 3)` uint8 to `(B, 3, SIZE, SIZE)` float in [-1, 1], as the autoencoder expects."""
    pixels = torch.as_tensor(images).permute(0, 3, 1, 2)  # (B, 3, SIZE, SIZE)
    assert pixels.shape[-1] == SIZE
    return pixels.float() / 127.5 - 1
