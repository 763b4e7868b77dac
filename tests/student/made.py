"""A handful of labels whose truth is known: random textures, and the same ones shifted."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet

SIDE = 32


def write_labels(folder: Path, sources: int = 4, targets: int = 2, tracks: int = 6, wrong: int = 0) -> Path:
    """Labels of textures and their shifted copies, in the format of `sdcorr label`.

    Args:
        folder: is made.
        sources: source pictures, each with targets of its own.
        targets: of each source.
        tracks: points of each source.
        wrong: so many labels more, none of which was kept.
    """
    rng = np.random.default_rng(0)
    pictures, rows = {}, []
    for number in range(sources):
        texture = np.kron(rng.integers(0, 256, (8, 8, 3)), np.ones((4, 4, 1))).astype(np.uint8)  # (SIDE, SIDE, 3)
        pictures[f"s{number}"] = texture
        points = rng.uniform(8, 24, (tracks, 2))
        for target in range(targets):
            dx, dy = (int(each) for each in rng.integers(-6, 7, 2))
            pictures[f"s{number}t{target}"] = np.roll(texture, (dy, dx), (0, 1))
            for track, (x, y) in enumerate(points):
                place = (x, y, x + dx, y + dy)
                rows.append((f"s{number}#{track}", "any", f"s{number}", f"s{number}t{target}", *place, 0.9, 0.0, True))
    rows += [("w", "any", "s0", "s0t0", 1.0, 1.0, 2.0, 2.0, 0.9, 0.5, False)] * wrong
    names = "track category source target source_x source_y target_x target_y confidence way_back kept".split()
    columns = [[row[number] for row in rows] for number in range(len(names))]
    for part in ("labels", "pictures"):
        (folder / part).mkdir(parents=True)
    parquet.write_table(pa.table(dict(zip(names, columns, strict=True))), folder / "labels" / "part-00000.parquet")
    table = {"key": list(pictures), "png": [_png(each) for each in pictures.values()]}
    table |= {name: [SIDE] * len(pictures) for name in ("width", "height")} | {"category": ["any"] * len(pictures)}
    parquet.write_table(pa.table(table), folder / "pictures" / "part-00000.parquet")
    return folder


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
