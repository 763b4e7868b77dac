"""The pairs that a page shows, with all that it needs to show them, as plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from sdcorr.datasets import Ballot, ImageReader
from sdcorr.errors import UserError
from sdcorr.methods.doubts import absent
from sdcorr.report.data_urls import NO_PICTURE, Room, maps_url, picture_url
from sdcorr.report.pairs import ALPHA, Judged
from sdcorr.run.store import PredictionStore
from sdcorr.scoring.calibration import THERE, Calibration

A_PAIR = 24_000  # characters of the file that a pair may take; 1,000 pairs keep below 25 MB with all the rest
AT_LEAST = 1_000 * A_PAIR  # which the pictures of few pairs may fill
FOR_MAPS = 0.35  # share of what points and names leave; pictures get what the maps leave
MANY = 200  # pairs from which on it is said that it takes a while


def gallery(
    store: PredictionStore,
    method: str,
    pairs: Sequence[Judged],
    image: ImageReader | None,
    console: Console,
    by: Calibration | None = None,
) -> dict[str, Any]:
    """Everything that `report.js` needs; what can be shared by pairs is held once.

    Args:
        store: where the maps are.
        method: whose maps are shown.
        pairs: those to show.
        image: reads a picture; one that cannot be read is gray, and all are if this is None.
        console: where it is said that it takes a while.
        by: a calibration that fits the method.

    Returns:
        `images`: url, width and height (of the original picture) of each; `layers`; `sources`: url of the maps of each
        source image; `names` of keypoints; `alpha`; `pairs`: id, category, source and target (indices of images),
        fraction of correct points, mean confidence, points (source, target and true x and y, right, confidence, index
        of the name, whether the target hides it, what speaks against its being there), and `maps` where there are some:
        index of the source's, its row of each point, url of the target's; `ballot` where a consensus has chosen:
        `candidates` of each point and `grid`.
    """
    if len(pairs) > MANY:
        console.print(f"making the pictures of {len(pairs):,} pairs for the report", highlight=False)
    sizes = {each.pair.source: each.pair.source_size for each in pairs}
    sizes |= {each.pair.target: each.pair.target_size for each in pairs}
    images = {key: index for index, key in enumerate(sizes)}
    names = {name: index for index, name in enumerate(sorted({name for each in pairs for name in each.pair.names}))}
    shown = [_pair(each, images, names, by) for each in pairs]
    left = max(A_PAIR * len(pairs), AT_LEAST) - len(json.dumps([shown, list(names)]))
    layers, sources = _add_maps(shown, store, method, pairs, FOR_MAPS * left)
    left -= sum(map(len, sources)) + sum(len(each["maps"]["target"]) for each in shown if each["maps"])
    left -= sum(len(json.dumps(each["ballot"])) for each in shown if each["ballot"])
    room = Room(left, len(sizes))
    keys = track(sizes, "report", console=console, disable=not console.is_terminal, transient=True)
    pictures = [{"url": _picture(key, image, room), "width": sizes[key][0], "height": sizes[key][1]} for key in keys]
    return {
        "images": pictures,
        "layers": layers,
        "sources": sources,
        "names": list(names),
        "alpha": ALPHA,
        "pairs": shown,
    }


def _add_maps(
    shown: list[dict[str, Any]], store: PredictionStore, method: str, pairs: Sequence[Judged], characters: float
) -> tuple[tuple[str, ...], list[str]]:
    """Gives each pair its `maps` if it has any; the layers, and the url of the maps of each source image."""
    units: dict[str, list[int]] = {}
    for index, each in enumerate(pairs):
        units.setdefault(each.pair.source, []).append(index)
    layers: tuple[str, ...] = ()
    sources: list[str] = []
    room = Room(characters, len(pairs) + len(units))
    for source, members in units.items():
        kept = store.maps(method, source)
        rows: dict[tuple[float, float], int] = {}  # query point -> where its map is in the source's picture
        tiles: list[np.ndarray] = []
        for index in members:
            pair, maps = pairs[index].pair, kept.get(pairs[index].pair.id)
            if maps is None or len(maps.target) != len(pairs[index].right):
                continue
            layers = layers or maps.layers
            if maps.layers != layers:
                continue
            places = [(x, y) for x, y in pair.query_points.tolist()]
            for place, each in zip(places, maps.source, strict=True):
                if place not in rows:
                    rows[place] = len(tiles)
                    tiles.append(each)
            target = maps_url(maps.target, room)
            shown[index]["maps"] = {"source": len(sources), "rows": [rows[place] for place in places], "target": target}
            shown[index]["ballot"] = _ballot(maps.ballot) if maps.ballot else None
        if tiles:
            sources.append(maps_url(np.stack(tiles), room))
    return layers, sources


def _ballot(ballot: Ballot) -> dict[str, Any]:
    """`candidates`: of each point the peaks, x, y, share of the map and what votes add; `grid`: rows of nodes, x, y."""
    rows = np.concatenate(
        (ballot.places.round(1), ballot.shares[..., None].round(3), ballot.votes[..., None].round(2)), -1
    )
    candidates = [[_plain(peak) for peak in peaks if peak[2] > 0] for peaks in rows]
    return {"candidates": candidates, "grid": [[_plain(node) for node in row] for row in ballot.grid.round(1)]}


def _plain(values: np.ndarray) -> list[float]:
    return [round(float(value), 3) for value in values]


def _picture(key: str, image: ImageReader | None, room: Room) -> str:
    if image is None:
        return NO_PICTURE
    try:
        return picture_url(image(key), room)
    except UserError:
        return NO_PICTURE


def _pair(each: Judged, images: Mapping[str, int], names: Mapping[str, int], by: Calibration | None) -> dict[str, Any]:
    pair, match = each.pair, each.match
    there = by.of_match(match, THERE) if by else None
    missing = [None] * len(match.points) if there is None else [absent(share) for share in there.tolist()]
    called = [names[name] for name in pair.asked_names]
    points = [
        [*chain(*map(_rounded, places)), right, round(float(confidence), 3), name, bool(hidden), why]
        for *places, right, confidence, name, hidden, why in zip(
            *(pair.query_points, match.points, pair.true_points, each.right, match.confidence, called),
            *(pair.is_hidden, missing),
            strict=True,
        )
    ]
    return {
        "id": pair.id,
        "category": pair.category,
        "source": images[pair.source],
        "target": images[pair.target],
        "fraction": each.fraction,
        "confidence": round(float(match.confidence.mean()), 4),
        "points": points,
        "maps": None,
        "ballot": None,
    }


def _rounded(point: np.ndarray) -> list[float | None]:
    return [round(float(value), 1) if np.isfinite(value) else None for value in point]
