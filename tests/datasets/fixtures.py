"""Small trees of SPair-71k, PF-Willow and PF-PASCAL, in the exact format of the archives, and eval.py run on them."""

import json
import runpy
import struct
import sys
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

ROOT = Path(__file__).parent.parent.parent
QUICK = [
    *("methods=[image_patches,same_pixel]", "model=toybox"),  # the first reads every picture
    *("logger=none", "pictures=0", "bootstrap=20", "embeddings=null"),
]


def evaluate(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture, *overrides: str) -> SimpleNamespace:
    """`python eval.py QUICK overrides`, in this process and the current folder."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(sys, "argv", ["eval.py", *QUICK, *overrides])
    GlobalHydra.instance().clear()
    code = 0
    try:
        runpy.run_path(str(ROOT / "eval.py"), run_name="__main__")
    except SystemExit as end:
        code = end.code
    out, err = capfd.readouterr()
    return SimpleNamespace(returncode=code, stdout=out, stderr=err)


def save_image(path: Path, size: tuple[int, int], seed: int = 0) -> None:
    """An image of coarse noise, of which no two are the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([seed, *path.name.encode()]).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize(size).save(path)


# ---------------------------------------------------------------------------------------------------------- SPair-71k

REAL = {  # PairAnnotation/test/000001-2008_002719-2008_004100:aeroplane.json, as it is in the archive
    "pair_id": 1,
    "filename": "000001-2008_002719-2008_004100:aeroplane",
    "src_imname": "2008_002719.jpg",
    "trg_imname": "2008_004100.jpg",
    "src_imsize": [500, 333, 3],
    "trg_imsize": [500, 332, 3],
    "src_bndbox": [210, 34, 475, 250],
    "trg_bndbox": [36, 92, 500, 200],
    "category": "aeroplane",
    "src_pose": "Left",
    "trg_pose": "Left",
    "src_kps": [[212, 153], [300, 130], [330, 127]],
    "trg_kps": [[39, 145], [364, 171], [416, 173]],
    "kps_ids": ["0", "7", "11"],
    "mirror": 0,
    "viewpoint_variation": 0,
    "scale_variation": 0,
    "truncation": 2,
    "occlusion": 2,
}
SPAIR_SIZES = {"2008_002719": (500, 333), "2008_004100": (500, 332), "2010_005805": (60, 80)}
SPAIR_LINES = (
    *("000001-2008_002719-2008_004100:aeroplane", "000028-2008_004100-2008_002719:aeroplane"),
    *("000029-2008_002719-2010_005805:tvmonitor",),  # the same photograph, annotated for another category
)


def spair_note(line: str, **changes: object) -> dict[str, object]:
    """The annotation of a pair of images in SPAIR_SIZES."""
    number, source, rest = line.split("-")
    target, category = rest.split(":")
    names = {"filename": line, "pair_id": int(number), "category": category}
    images = {"src_imname": f"{source}.jpg", "trg_imname": f"{target}.jpg"}
    sizes = {"src_imsize": [*SPAIR_SIZES[source], 3], "trg_imsize": [*SPAIR_SIZES[target], 3]}
    if line == SPAIR_LINES[0]:
        return REAL | names | images | sizes | changes
    points = {"src_kps": [[20, 30], [50, 60]], "trg_kps": [[59, 79], [10, 5]], "kps_ids": ["3", "4"]}
    boxes = {"src_bndbox": [10, 20, 55, 75], "trg_bndbox": [5, 4, 60, 80]}
    return REAL | names | images | sizes | points | boxes | changes


def spair_file(root: Path, line: str, split: str = "test", colon: str = ":") -> Path:
    return root / "PairAnnotation" / split / f"{line.replace(':', colon)}.json"


def spair_tree(
    root: Path, lines: Sequence[str] = SPAIR_LINES, *, split: str = "test", size: str = "large", colon: str = ":"
) -> Path:
    """A tree with these pairs, and returns its root."""
    layout = root / "Layout" / size / f"{split}.txt"
    layout.parent.mkdir(parents=True, exist_ok=True)
    layout.write_text("".join(f"{line}\n" for line in lines))
    for line in lines:
        note = spair_note(line)
        path = spair_file(root, line, split, colon)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(note))
        for name in (note["src_imname"], note["trg_imname"]):
            save_image(root / "JPEGImages" / note["category"] / name, SPAIR_SIZES[Path(name).stem])
    return root


# ---------------------------------------------------------------------------------------------------------- PF-Willow

WILLOW_SIZES = {"car(G)/Cars_006a": (90, 60), "car(G)/Cars_012b": (70, 50), "duck(S)/060_0071": (40, 60)}
WILLOW_HEADER = ["imageA", "imageB", *(f"{axis}{image}{i}" for image in "AB" for axis in "XY" for i in range(1, 11))]


def willow_row(source: str, target: str, folder: str = "PF-dataset") -> list[str]:
    """A row of the list: points at 3.25 i + 1 (x) and 2.5 i + 2 (y) of the source, a little off in the target."""
    x, y = 1 + 3.25 * np.arange(10), 2 + 2.5 * np.arange(10)
    numbers = np.concatenate([x, y, x + 0.125, y + 1])
    return [f"{folder}/{source}.png", f"{folder}/{target}.png", *(f"{number:.12g}" for number in numbers)]


def willow_rows(folder: str = "PF-dataset") -> list[list[str]]:
    """Three rows."""
    first, second, duck = WILLOW_SIZES
    return [willow_row(*images, folder) for images in ((first, second), (second, first), (duck, duck))]


def write_csv(path: Path, rows: Iterable[Sequence[str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{','.join(row)}\n" for row in rows))
    return path


def willow_tree(folder: Path, csv: Path | None = None) -> Path:
    """Images in a folder, with the list there as test_pairs.csv or elsewhere, and returns the list's path."""
    for name, size in WILLOW_SIZES.items():
        save_image(folder / f"{name}.png", size)
    return write_csv(csv or folder / "test_pairs.csv", [WILLOW_HEADER, *willow_rows()])


# ---------------------------------------------------------------------------------------------------------- PF-PASCAL

NAN = [np.nan, np.nan]
PASCAL_SIZES = {"2008_000001": (300, 200), "2009_000002": (150, 300), "2010_000003": (300, 225)}
PASCAL_POINTS = {  # kps of Annotations/cat
    "2008_000001": [[10.5, 20.25], NAN, [100.125, 50], [280, 190]],
    "2009_000002": [[12, 200], [40, 50], [140.5, 290.75], NAN],
    "2010_000003": [[1, 2], [3, 4], [5, 6], [7, 8]],
}
PASCAL_BOXES = {"2008_000001": [5, 10, 290, 195], "2009_000002": [2, 30, 149, 299], "2010_000003": [1, 1, 300, 225]}
PASCAL_PAIRS = (("2008_000001", "2009_000002"), ("2009_000002", "2010_000003"))
CAT = "8"  # the class of a list, counted from 1


def pascal_image(name: str) -> str:
    return f"PF-dataset-PASCAL/JPEGImages/{name}.jpg"


def pascal_test_rows() -> list[list[str]]:
    """Header and rows of a test list: the points that both have, separated by semicolons."""
    rows = [["source_image", "target_image", "class", "XA", "YA", "XB", "YB"]]
    for names in PASCAL_PAIRS:
        points = np.array([PASCAL_POINTS[name] for name in names])  # (2, 4, 2)
        points = points[:, np.isfinite(points).all((0, 2))]
        axes = points.transpose(0, 2, 1).reshape(4, -1)
        rows.append([*map(pascal_image, names), CAT, *(";".join(f"{value:.15g}" for value in axis) for axis in axes)])
    return rows


def pascal_flip_rows(flips: Sequence[int] = (0, 1)) -> list[list[str]]:
    """Header and rows of a train or val list."""
    rows = [["source_image", "target_image", "class", "flip"]]
    return rows + [[*map(pascal_image, names), CAT, str(flip)] for flip in flips for names in PASCAL_PAIRS]


def pascal_tree(folder: Path) -> Path:
    """Images and annotations in a folder, without a list; returns it."""
    for name, size in PASCAL_SIZES.items():
        save_image(folder / "JPEGImages" / f"{name}.jpg", size)
        mat = folder / "Annotations" / "cat" / f"{name}.mat"
        mat.parent.mkdir(parents=True, exist_ok=True)
        mat.write_bytes(mat_file(kps=PASCAL_POINTS[name], bbox=[PASCAL_BOXES[name]]))
    return folder


def mat_file(*, order: str = "<", compressed: bool = True, **matrices: Sequence[Sequence[float]]) -> bytes:
    """A MAT-file of level 5 with these matrices as doubles, in the byte order "<" or ">"."""
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}H", 0x0100) + {"<": b"IM", ">": b"MI"}[order]
    content = [header]
    for name, rows in matrices.items():
        values = np.array(rows, dtype=np.float64)
        parts = [
            _element(order, 6, struct.pack(f"{order}II", 6, 0)),  # class: double
            _element(order, 5, struct.pack(f"{order}{values.ndim}i", *values.shape)),
            _element(order, 1, name.encode()),
            _element(order, 9, values.astype(f"{order}f8").tobytes(order="F")),
        ]
        matrix = _element(order, 14, b"".join(parts))
        packed = zlib.compress(matrix)
        content.append(struct.pack(f"{order}II", 15, len(packed)) + packed if compressed else matrix)
    return b"".join(content)


def _element(order: str, kind: int, data: bytes) -> bytes:
    if 0 < len(data) <= 4:  # packed into its tag
        return struct.pack(f"{order}I", len(data) << 16 | kind) + data.ljust(4, b"\0")
    return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)
