"""Pictures find together by what they look like."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sdcorr.cli.label import main
from sdcorr.errors import UserError
from sdcorr.labels.folder import read_labels, read_settings
from sdcorr.labels.retrieval import DESCRIPTORS, linked, read_grouping
from sdcorr.labels.work import Extent, units_of

FILTERS = "filters={confidence:null,margin:null,way_back:null,likeness:null,layers:null,support:null}"


def at_angles(*degrees: float) -> torch.Tensor:
    turns = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([turns.cos(), turns.sin()], 1)


def test_pictures_belong_together_that_are_each_among_the_others_nearest() -> None:
    described = torch.cat([at_angles(0, 10, 25, 80), torch.full((1, 2), torch.nan)])
    links = linked("abcde", described, 1)
    assert links == {"a": ["b"], "b": ["a"], "c": [], "d": [], "e": []}  # b is nearest to c, which is not nearest to b
    assert linked("ab", at_angles(0, 10), 5) == {"a": ["b"], "b": ["a"]}


def test_points_are_followed_to_linked_pictures_the_nearest_first() -> None:
    links = {"a": ["c", "b"], "b": ["a"], "c": ["a"], "d": []}
    for targets, of_a in ((0, ("c", "b")), (1, ("c",))):
        units = units_of({"all": tuple(links)}, Extent(points=1, pictures=0, sources=0, targets=targets), links)
        assert {unit.source: unit.targets for unit in units} == {"a": of_a, "b": ("a",), "c": ("a",)}


def test_values_that_are_not_legal_are_refused() -> None:
    assert read_grouping("given", 5) is None
    with pytest.raises(UserError, match="group_by=likeness is not legal: give given or retrieval"):
        read_grouping("likeness", 5)
    with pytest.raises(UserError, match="neighbors=0 is not legal"):
        read_grouping("retrieval", 0)


class Colors(torch.nn.Module):
    """Features that are a picture's colors."""

    stride, version = 2, "1"

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels[..., ::2, ::2]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red and blue squares of several sizes somewhere on gray, in one folder, and a file that is no picture."""
    folder, draws = tmp_path_factory.mktemp("mixed"), np.random.default_rng(0)
    for number in range(4):
        for name, channel in (("red", 0), ("blue", 2)):
            pixels = draws.integers(110, 130, (64, 64, 3), dtype=np.uint8)
            x, y, side = draws.integers((6, 6, 20), (24, 24, 32))
            pixels[y : y + side, x : x + side] = 30
            pixels[y : y + side, x : x + side, channel] = 220
            Image.fromarray(pixels).save(folder / f"{number}-{name}.png")
    (folder / "damaged.png").write_bytes(b"no picture")
    return folder


def test_a_mixed_folder_is_labeled_within_its_kinds(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "labels"
    network = "network: 'tests.labels.test_retrieval:Colors', side: 64, layers: [0], mean: [0, 0, 0], std: [1, 1, 1]"
    method = f"methods=[{{method: vision, {network}}}]"
    words = [
        "dataset=pictures",
        f"dataset.root={mixed}",
        f"out={out}",
        "points=2",
        "group_by=retrieval",
        method,
        FILTERS,
    ]
    assert main([*words, "neighbors=3"]) == 0
    rows = read_labels(out).to_pylist()
    assert len(rows) == 8 * 2 * 3  # pictures, points, the others of the kind
    assert all(row["source"].partition("-")[2] == row["target"].partition("-")[2] for row in rows)
    assert read_settings(out)["grouping"] == {"neighbors": 3, "version": 1}

    made = (out / DESCRIPTORS).stat().st_mtime_ns
    assert main([*words, "neighbors=3", "targets=2"]) == 0
    assert (out / DESCRIPTORS).stat().st_mtime_ns == made  # nothing is read again to be described
    assert len(read_labels(out)) == 8 * 2 * 2
    assert main([*words, "neighbors=2"]) == 2
    assert "grouping.neighbors is 3 there and 2 here" in capsys.readouterr().err
