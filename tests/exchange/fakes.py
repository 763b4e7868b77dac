"""A benchmark of three pairs, and files of predictions for it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sdcorr.datasets import Pair
from sdcorr.exchange.imports import Imported, Reading, import_predictions
from sdcorr.run.store import PredictionStore
from tests.run.fakes import CONFIG, Pictureless, make_pair

# Pictures are 80 x 160 pixels (targets). Of the second pair's four points the second is not asked for.
PAIRS = (
    make_pair("a-b", target_points=[[10, 20], [30, 40], [50, 60]], names=["nose", "tail", "ear"]),
    make_pair(
        "a-c",
        points=4,
        target_points=[[1, 2], [3, 4], [5, 6], [7, 8]],
        names=["nose", "tail", "ear", "paw"],
        visible=[True, False, True, True],
    ),
    make_pair("b-c", points=2, target_points=[[11, 12], [13, 14]], names=["nose", "tail"]),
)
HEADER = "pair,point,x,y"
ROWS = (  # every asked point, off by (1, -2)
    *("a-b,nose,11,18", "a-b,tail,31,38", "a-b,ear,51,58"),
    *("a-c,nose,2,0", "a-c,ear,6,4", "a-c,paw,8,6"),
    *("b-c,nose,12,10", "b-c,tail,14,12"),
)
OFF = (1, -2)


def benchmark(pairs: Sequence[Pair] = PAIRS) -> Pictureless:
    made = Pictureless(pairs)
    made.broken = ()
    return made


def write(folder: Path, rows: Sequence[str] = ROWS, header: str = HEADER, name: str = "mine.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def run(folder: Path, path: Path, reading: Reading | None = None, method: str = "mine") -> Imported:
    store = PredictionStore(folder / "run")
    return import_predictions(path, benchmark(), store, method, CONFIG, reading or Reading())


def errors(folder: Path, method: str = "mine") -> np.ndarray:
    """By how much each point is off, over all pairs in their order, (m, 2)."""
    found = {pair.id: (pair, match) for each in records(folder, method) for pair, match in each.predictions}
    return np.concatenate([found[pair.id][1].points - pair.true_points for pair in PAIRS if pair.id in found])


def records(folder: Path, method: str = "mine"):
    return PredictionStore(folder / "run").records(method)
