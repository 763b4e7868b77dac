"""Labels become clusters: tracks of a source through its targets, and nothing that was not kept."""

from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from sdcorr.errors import UserError
from sdcorr.student.labels import divided, read_labels
from tests.student.made import SIDE, write_labels


def test_a_cluster_has_every_target_and_track(tmp_path: Path) -> None:
    labels = read_labels(write_labels(tmp_path / "l", sources=2, targets=3, tracks=5, wrong=4))
    assert labels.count == 30 and len(labels.clusters) == 2 and len(labels.pictures) == 8
    cluster = labels.clusters[0]
    assert cluster.source == "s0" and cluster.targets == ("s0t0", "s0t1", "s0t2")
    assert cluster.points.shape == (5, 4, 2) and cluster.found.all()
    rows = parquet.read_table(tmp_path / "l" / "labels").to_pylist()
    row = next(each for each in rows if each["track"] == "s0#3" and each["target"] == "s0t1")
    assert np.allclose(cluster.points[3, 0] * SIDE, (row["source_x"], row["source_y"]))
    assert np.allclose(cluster.points[3, 2] * SIDE, (row["target_x"], row["target_y"]))


def test_more_labels_move_no_source_between_the_two_parts(tmp_path: Path) -> None:
    few = read_labels(write_labels(tmp_path / "few", sources=12)).clusters
    many = read_labels(write_labels(tmp_path / "many", sources=40)).clusters
    _, held_few = divided(few, 0.3)
    learned, held = divided(many, 0.3)
    assert {each.source for each in held_few} == {each.source for each in held} & {each.source for each in few}
    assert 0 < len(held) < 25 and len(learned) + len(held) == 40


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no pictures/part-\*.parquet"):
        read_labels(tmp_path)
    with pytest.raises(UserError, match="no label that was kept"):
        read_labels(write_labels(tmp_path / "none", tracks=0, wrong=3))
    folder = write_labels(tmp_path / "l")
    file = folder / "labels" / "part-00000.parquet"
    parquet.write_table(parquet.read_table(file).drop_columns(["kept"]), file)
    with pytest.raises(UserError, match="part-00000.parquet .*: make it again"):
        read_labels(folder)
    file.write_bytes(b"no table")
    with pytest.raises(UserError, match="part-00000.parquet cannot be read"):
        read_labels(folder)
