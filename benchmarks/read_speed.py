"""How long it takes to read the annotations of SPair-71k: `python benchmarks/read_speed.py`.

Writes made-up annotations of 70,958 pairs into a temporary folder (about 300 MB on most disks), in the archive's
format, and reads all splits twice: from the files, then from the cache that the first reading left. The files have just
been written, so the first reading does not wait for a disk.
"""

import json
import tempfile
import time
from pathlib import Path

import numpy as np

from sdcorr.datasets.spair import SIZES, TEST_PAIRS, SPair

PHOTOGRAPHS = 100  # per category


def annotation(line: str, draws: np.random.Generator) -> dict[str, object]:
    """Make up the annotation of a pair, with all fields of the archive's."""
    count = int(draws.integers(3, 15))
    number, source, rest = line.split("-")
    target, category = rest.split(":")
    points = draws.integers(0, 330, (2, count, 2)).tolist()
    return {
        "pair_id": int(number),
        "filename": line,
        "category": category,
        "src_imname": f"{source}.jpg",
        "trg_imname": f"{target}.jpg",
        "src_imsize": [500, 333, 3],
        "trg_imsize": [500, 332, 3],
        "src_bndbox": [210, 34, 475, 250],
        "trg_bndbox": [36, 92, 500, 200],
        "src_kps": points[0],
        "trg_kps": points[1],
        "kps_ids": [str(index) for index in range(count)],
        "src_pose": "Left",
        "trg_pose": "Rear",
        "mirror": 0,
        **{name: int(draws.integers(0, 3)) for name in ("viewpoint_variation", "scale_variation")},
        **{name: int(draws.integers(0, 4)) for name in ("truncation", "occlusion")},
    }


def write_tree(root: Path) -> None:
    """Write all splits of the large layout, with as many pairs as the published ones."""
    draws, categories = np.random.default_rng(0), list(TEST_PAIRS)
    (root / "Layout" / "large").mkdir(parents=True)
    for split, count in SIZES["large"].items():
        folder = root / "PairAnnotation" / split
        folder.mkdir(parents=True)
        test = [category for category, pairs in TEST_PAIRS.items() for _ in range(pairs)]
        lines = []
        for number in range(count):
            category = test[number] if split == "test" else categories[number * len(categories) // count]
            source, target = (f"2008_{image:06d}" for image in draws.integers(0, PHOTOGRAPHS, 2))
            lines.append(f"{number + 1:06d}-{source}-{target}:{category}")
            (folder / f"{lines[-1]}.json").write_text(json.dumps(annotation(lines[-1], draws)))
        (root / "Layout" / "large" / f"{split}.txt").write_text("".join(f"{line}\n" for line in lines))


def main() -> None:
    """Write the annotations, and time both readings."""
    with tempfile.TemporaryDirectory() as folder:
        write_tree(Path(folder))
        for turn in ("first", "second"):
            start = time.perf_counter()
            pairs = sum(len(SPair(folder, split=split).pairs) for split in SIZES["large"])
            print(f"{time.perf_counter() - start:6.1f} s  the {turn} time, {pairs:,} pairs")


if __name__ == "__main__":
    main()
