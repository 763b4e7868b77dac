"""Labels in the forms that others read: key-points of COCO, and points of one object through many pictures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sdcorr.errors import UserError
from sdcorr.files import write_whole

FILES = {"coco": "labels.coco.json", "tracks": "labels.tracks.json"}
Row = Mapping[str, Any]  # of a folder of labels


def check_formats(formats: Sequence[str]) -> None:
    """Raises UserError if there is no such form."""
    if unknown := [name for name in formats if name not in FILES]:
        raise UserError(f"export={unknown[0]} is not legal: give a list of {', '.join(FILES)}, such as [coco].")


def export(form: str, rows: Iterable[Row], sizes: Mapping[str, tuple[int, int]], folder: Path) -> Path:
    """Writes labels in a form of `FILES` into their folder.

    Args:
        form: `coco` or `tracks`.
        rows: the labels to write, those of one source after each other.
        sizes: (W, H) of the pictures, by key.
        folder: of the labels.

    Returns:
        The file.

    Raises:
        UserError: if it cannot be written.
    """
    made = coco(rows, sizes) if form == "coco" else tracks(rows, sizes)
    path = folder / FILES[form]
    write_whole(path, json.dumps(made) + "\n")
    return path


def coco(rows: Iterable[Row], sizes: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """Labels as key-points of COCO.

    Points of one source picture are the key-points of a category of its own, which is called by the picture's key, for
    nobody knows which points of two sources are the same. The source and every target with a match has an annotation.
    """
    numbers = {key: 1 + number for number, key in enumerate(sizes)}
    images = [
        {"id": numbers[key], "file_name": key, "width": width, "height": height}
        for key, (width, height) in sizes.items()
    ]
    categories, annotations = [], []
    for source, members in _sources(rows):
        names = sorted({row["track"] for row in members})
        of_picture: dict[str, dict[str, tuple[float, float]]] = {source: {}}
        for row in members:
            of_picture[source][row["track"]] = row["source_x"], row["source_y"]
            of_picture.setdefault(row["target"], {})[row["track"]] = row["target_x"], row["target_y"]
        category = len(categories) + 1
        supercategory = members[0]["category"]
        categories.append({"id": category, "name": source, "supercategory": supercategory, "keypoints": names})
        for key, places in of_picture.items():
            found = [places.get(name) for name in names]
            width, height = sizes[key]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": numbers[key],
                    "category_id": category,
                    "keypoints": [number for place in found for number in ((*place, 2) if place else (0, 0, 0))],
                    "num_keypoints": len(places),
                    "bbox": [0, 0, width, height],  # nobody knows the object's
                    "area": width * height,
                    "iscrowd": 0,
                }
            )
    return {"images": images, "categories": categories, "annotations": annotations}


def tracks(rows: Iterable[Row], sizes: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """Labels as tracks through many pictures, as reconstruction from many views has them.

    `images` has the key and size of every picture; `objects` what was followed from one source: each of its `tracks`
    has `views`, the number of an image in `images`, xy in its pixels, and a confidence, 1 in the source itself.
    """
    numbers = {key: number for number, key in enumerate(sizes)}
    images = [{"key": key, "width": width, "height": height} for key, (width, height) in sizes.items()]
    objects = []
    for source, members in _sources(rows):
        views: dict[str, list[dict[str, Any]]] = {}
        for row in members:
            start = {"image": numbers[source], "xy": [row["source_x"], row["source_y"]], "confidence": 1.0}
            found = {"image": numbers[row["target"]], "xy": [row["target_x"], row["target_y"]]}
            views.setdefault(row["track"], [start]).append(found | {"confidence": row["confidence"]})
        made = [{"track": name, "views": each} for name, each in views.items()]
        objects.append({"source": source, "category": members[0]["category"], "tracks": made})
    return {"images": images, "objects": objects}


def _sources(rows: Iterable[Row]) -> Iterator[tuple[str, list[Row]]]:
    """The labels of each source picture."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["source"], []).append(row)
    yield from found.items()
