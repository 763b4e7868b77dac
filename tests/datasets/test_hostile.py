"""Tables in which any one thing is something else: they are read or refused in one sentence, and never crash."""

import copy
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sdcorr.datasets.folder import Folder
from sdcorr.errors import UserError
from tests.datasets.fixtures import save_image
from tests.datasets.test_coco import SIZE, plain, thing

ANYTHING = (
    *(None, True, 0, -1, 2, 3.5, 1e308, 10**400, math.nan, math.inf, "", "a", "1.png", "../1.png", "/", "\0", "\ud800"),
    *([], [1], [1, 2], [[1, 2]], {}, {"id": 1}, "é" * 3000),
)
CSV = """source,target,x,y,target_x,target_y,name,category,visible,source_mask,target_mask
1.png,2.png,1,2,3,4,a,b,1,m.png,
1.png,2.png,5,6,,,"q,q",b,0,m.png,
3.png,2.png,5,6,7,8,,,2,,
"""
PAIRS = [
    {"source": "1.png", "target": "2.png", "points": [[1, 2], [3, 4]], "target_points": [[1, 2], None]}
    | {"names": ["a", "b"], "visible": [1, 0], "category": "x", "source_box": [1, 2, 30, 30]},
    {"source": "1.png", "target": "3.png", "points": [[1, 2]], "source_mask": "m.png"},
]
COCO = plain([thing(1, 1), thing(2, 2)], range(1, 3))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(1, 4):
        save_image(tmp_path / f"{number}.png", SIZE)
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[3:9, 3:9] = 1
    Image.fromarray(mask).save(tmp_path / "m.png")
    return tmp_path


def read(root: Path, name: str, content: bytes) -> bool:
    """Whether a table is read rather than refused; what is read can be written down again."""
    (root / name).write_bytes(content)
    try:
        found = Folder(root, name)
    except UserError as error:
        assert str(error).endswith(".")
        return False
    for pair in found.pairs:
        json.dumps([pair.id, pair.category, *pair.names], ensure_ascii=False).encode()
        assert np.isfinite(pair.query_points).all()
    return True


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*path, key))


def with_another(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    if not path:
        return other
    changed = copy.deepcopy(value)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = other
    return changed


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("whole", [PAIRS, COCO], ids=["pairs", "coco"])
def test_anything_in_any_place_of_a_json(root, whole):
    assert read(root, "t.json", json.dumps(whole).encode())
    changed = [with_another(whole, path, other) for path in places(whole) for other in ANYTHING]
    kept = sum(read(root, "t.json", json.dumps(each).encode()) for each in changed)
    assert 0 < kept < len(changed) / 2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name, whole", [("t.csv", CSV), ("t.json", json.dumps(PAIRS)), ("c.json", json.dumps(COCO))])
def test_torn_and_scrambled_files(root, name, whole):
    draws, content = np.random.default_rng(0), whole.encode()
    assert read(root, name, content)
    for _ in range(300):
        torn = bytearray(content)
        for place in draws.integers(0, len(content) - 8, draws.integers(1, 4)).tolist():
            if draws.random() < 0.5:
                torn[place] = draws.choice(list(b'",\n\r\t;{}[]:019.-+eE_ \x00\xff\xc3nul\\/'))
            else:
                del torn[place : place + int(draws.integers(1, 6))]
        read(root, name, bytes(torn))
