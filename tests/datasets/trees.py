"""Small trees of CUB-200-2011, TSS and AP-10K, in the exact format of the archives, and a folder of own pictures."""

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.datasets.fixtures import save_image

# ------------------------------------------------------------------------------------------------------- CUB-200-2011

CUB_CLASSES = ("001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Sooty_Albatross", "004.Groove_billed_Ani")
CUB_PARTS = (
    *("back", "beak", "belly", "breast", "crown", "forehead", "left eye", "left leg", "left wing", "nape"),
    *("right eye", "right leg", "right wing", "tail", "throat"),
)
# image 1 to 9: class, whether it is for training. Test images: 1, 3, 4 of class 1; 5, 6 of 2; 8 of 3, 9 of 4
CUB_IMAGES = ((1, 0), (1, 1), (1, 0), (1, 0), (2, 0), (2, 0), (3, 1), (3, 0), (4, 0))


def cub_path(number: int) -> str:
    """Path of an image below images/; the folder's name and the file's differ in their capitals."""
    name = CUB_CLASSES[CUB_IMAGES[number - 1][0] - 1]
    return f"{name}/{name[4:].title()}_{number:04d}_796111.jpg"


def cub_part(image: int, part: int) -> tuple[float, float, int]:
    """x, y and whether it is visible of a part (from 1): image 3 lacks its beak, and image 6 all but its tail."""
    seen = part == 14 if image == 6 else (image, part) != (3, 2)
    return (10.0 * image + part, 5.5 * part, 1) if seen else (0.0, 0.0, 0)


def cub_tree(root: Path) -> Path:
    """Nine images of 120 x 100 pixels."""
    numbers = range(1, len(CUB_IMAGES) + 1)
    tables = {
        "images.txt": [f"{n} {cub_path(n)}" for n in numbers],
        "image_class_labels.txt": [f"{n} {label}" for n, (label, _) in enumerate(CUB_IMAGES, start=1)],
        "train_test_split.txt": [f"{n} {train}" for n, (_, train) in enumerate(CUB_IMAGES, start=1)],
        "classes.txt": [f"{n} {name}" for n, name in enumerate(CUB_CLASSES, start=1)],
        "bounding_boxes.txt": [f"{n} {n}.0 7.0 80.0 60.5" for n in numbers],
        "parts/parts.txt": [f"{n} {name}" for n, name in enumerate(CUB_PARTS, start=1)],
        "parts/part_locs.txt": [
            " ".join(map(str, (image, part, *cub_part(image, part)))) for image in numbers for part in range(1, 16)
        ],
    }
    for name, lines in tables.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("\n".join(lines) + "\n")
    for number in numbers:
        save_image(root / "images" / cub_path(number), (120, 100))
    return root


# ---------------------------------------------------------------------------------------------------------------- TSS

TSS_SIZES = {1: (40, 30), 2: (24, 50)}  # (W, H) of both images


def write_flow(path: Path, flow: np.ndarray) -> None:
    """A .flo file of (H, W, 2)."""
    height, width = flow.shape[:2]
    path.write_bytes(struct.pack("<fii", 202021.25, width, height) + flow.astype("<f4").tobytes())


def tss_mask(view: int) -> np.ndarray:
    """(H, W) uint8: a block of 200 pixels, 20 x 10 in the first image and 10 x 20 in the second."""
    width, height = TSS_SIZES[view]
    mask = np.zeros((height, width), dtype=np.uint8)
    if view == 1:
        mask[5:15, 10:30] = 255
    else:
        mask[20:40, 4:14] = 255
    return mask


def tss_flow(view: int) -> np.ndarray:
    """(H, W, 2): turns the block by a quarter and back, (x, y) -> (y - 1, x + 10); unknown elsewhere."""
    rows, columns = np.indices(tss_mask(view).shape)
    x, y = (rows - 1, columns + 10) if view == 1 else (rows - 10, columns + 1)
    flow = np.stack([x - columns, y - rows], axis=-1).astype(np.float32)
    return np.where(tss_mask(view)[..., None] > 0, flow, np.float32(1e10))


def tss_tree(root: Path, folders: Sequence[str] = ("FG3DCar/car1", "JODS/a-b", "PASCAL/p_1")) -> Path:
    """Folders of pairs; the object of JODS is mirrored."""
    for name in folders:
        folder = root / name
        for view, size in TSS_SIZES.items():
            save_image(folder / f"image{view}.png", size)
            Image.fromarray(tss_mask(view)).save(folder / f"mask{view}.png")
            write_flow(folder / f"flow{view}.flo", tss_flow(view))
        (folder / "flip_gt.txt").write_text("1\n" if name.startswith("JODS") else "0")
    return root


# ------------------------------------------------------------------------------------------------------------- AP-10K

AP10K_SPECIES = {
    1: ("antelope", "Bovidae"),
    2: ("bison", "Bovidae"),
    3: ("cat", "Felidae"),
    4: ("king cheetah", "Felidae"),
    5: ("cow", "Bovidae"),
}
AP10K_SIZE = (64, 48)


def ap10k_animal(image: int, species: int, seen: Sequence[int] = (2,) * 17, **changes: Any) -> dict[str, Any]:
    """An annotation; an unlabeled key-point is 0, 0, 0."""
    points = [(image % 40 + k, 2.0 * k, v) if v else (0, 0, 0) for k, v in enumerate(seen)]
    return {
        "id": 1000 + image,
        "image_id": image,
        "category_id": species,
        "bbox": [3, 4, 50, 40.5],
        "area": 2025.0,
        "iscrowd": 0,
        "num_keypoints": sum(v > 0 for v in seen),
        "keypoints": [number for point in points for number in point],
    } | changes


def ap10k_tree(root: Path, animals: Sequence[Mapping[str, Any]], pictures: bool = False) -> Path:
    """The three files of split 1, over which the images are dealt, and with `pictures` the images themselves."""
    (root / "annotations").mkdir(parents=True)
    numbers = sorted({animal["image_id"] for animal in animals}, reverse=True)
    for share, part in enumerate(("train", "val", "test")):
        mine = numbers[share::3]
        images = [
            {"id": n, "file_name": f"{n:012d}.jpg", "width": AP10K_SIZE[0], "height": AP10K_SIZE[1]} for n in mine
        ]
        categories = [{"id": n, "name": name, "supercategory": over} for n, (name, over) in AP10K_SPECIES.items()]
        plain = {
            "info": {},
            "images": images,
            "annotations": [dict(animal) for animal in animals if animal["image_id"] in mine],
            "categories": categories,
        }
        (root / "annotations" / f"ap10k-{part}-split1.json").write_text(json.dumps(plain))
    for number in numbers if pictures else ():
        save_image(root / "data" / f"{number:012d}.jpg", AP10K_SIZE)
    return root


# ----------------------------------------------------------------------------------------------------- a user's folder

FOLDER_HEADER = "source,target,x,y,target_x,target_y,name,category,visible\n"
FOLDER_ROWS = """a.png,sub/b.png,12,20,7.5,40,left eye,cat,1
a.png,sub/b.png,60,0,30,50,tail,cat,
a.png,c d.jpg,12,20,1,2,left eye,dog,1
"""
FOLDER_SIZES = {"a.png": (60, 40), "sub/b.png": (30, 50), "c d.jpg": (20, 20)}


def own_folder(root: Path) -> Path:
    """Three pictures, without a table."""
    for name, size in FOLDER_SIZES.items():
        save_image(root / name, size)
    return root


def write_csv(root: Path, text: str, name: str = "pairs.csv", encoding: str = "utf-8") -> None:
    """A table with exactly these characters."""
    (root / name).write_bytes(text.encode(encoding))


def folder_entry(**changes: Any) -> dict[str, Any]:
    """A pair of a JSON table, of two points whose truth is unknown."""
    return {"source": "a.png", "target": "sub/b.png", "points": [[12, 20], [60, 0.5]]} | changes


def write_json(root: Path, *entries: Mapping[str, Any]) -> None:
    """A table of these pairs."""
    (root / "pairs.json").write_text(json.dumps(list(entries)))
