"""PCK under the protocol `hedlin` against the released code's own evaluator and data sets, to the last bit."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sdcorr.datasets import Pair
from sdcorr.scoring.pck import point_distances, within
from sdcorr.scoring.protocols import NORMALIZERS, PROTOCOLS
from sdcorr.scoring.torch_metric import PCK
from tests.golden.released import FOLDER

HEDLIN = PROTOCOLS["hedlin"]
ALPHAS = (0.05, 0.10)


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(FOLDER / "g_eval.npz"))


def spair() -> list[Pair]:
    root = FOLDER / "fake_datasets" / "SPair-71k"
    pairs = []
    for line in (root / "Layout" / "large" / "test.txt").read_text().split():
        note = json.loads((root / "PairAnnotation" / "test" / f"{line}.json").read_text())
        _, source, target = line.split(":")[0].split("-")
        pictures = root / "JPEGImages" / note["category"]
        boxes = {"source_box": note["src_bndbox"], "target_box": note["trg_bndbox"]}
        images = [pictures / f"{name}.jpg" for name in (source, target)]
        pairs.append(make(line, images, note["src_kps"], note["trg_kps"], **boxes))
    return pairs


def pfwillow() -> list[Pair]:
    root = FOLDER / "fake_datasets"
    with open(root / "PF-WILLOW" / "test_pairs.csv", newline="") as file:
        rows = list(csv.reader(file))[1:]
    pairs = []
    for index, row in enumerate(rows):
        source, target = np.array(row[2:], dtype=float).reshape(2, 2, 10).transpose(0, 2, 1)  # each (10, 2)
        pairs.append(make(str(index), [root / name for name in row[:2]], source, target))
    return pairs


def make(id: str, images: list[Path], source, target, **boxes) -> Pair:
    sizes = []
    for path in images:
        with Image.open(path) as image:
            sizes.append(image.size)
    names = [str(index) for index in range(len(source))]
    keys = [str(path) for path in images]
    return Pair(id, "thing", *keys, *sizes, source, target, np.ones(len(names), bool), names, **boxes)


DATASETS = {"spair": spair, "pfwillow": pfwillow}


@pytest.mark.parametrize("dataset", DATASETS)
class TestDatasets:
    def test_points_in_the_frame(self, golden, dataset):
        for index, pair in enumerate(DATASETS[dataset]()):
            count = golden[f"{dataset}_n_pts"][index]
            assert len(pair.names) == count
            source = HEDLIN.to_frame(pair.source_points, pair.source_size)
            target = HEDLIN.to_frame(pair.target_points, pair.target_size)
            assert np.array_equal(source.T, golden[f"{dataset}_src_kps"][index][:, :count])
            assert np.array_equal(target.T, golden[f"{dataset}_trg_kps"][index][:, :count])

    def test_lengths(self, golden, dataset):
        lengths = [HEDLIN.length(dataset, pair) for pair in DATASETS[dataset]()]
        assert lengths == golden[f"{dataset}_auto_pckthres"].tolist()

    def test_evaluation_of_saved_predictions(self, golden, dataset):
        for index, pair in enumerate(DATASETS[dataset]()):
            predicted = golden[f"{dataset}_eval{index}_prd"][:, : len(pair.names)].T.astype(np.float64)
            predicted = predicted * pair.target_size / HEDLIN.side  # as a method would save them
            correct = HEDLIN.correct(dataset, pair, predicted, ALPHAS)
            right = golden[f"{dataset}_eval{index}_correct_ids_010"]
            assert np.flatnonzero(correct[:, 1]).tolist() == right.tolist()
            assert correct.mean(0) * 100 == pytest.approx(golden[f"{dataset}_eval{index}_pck"], abs=1e-9)


def test_pfwillow_length_without_the_padding(golden):
    lengths = [NORMALIZERS["key_points"](HEDLIN, pair) for pair in pfwillow()]
    assert lengths == golden["pfwillow_bbox-kp_pckthres"].tolist()


def cases(golden):
    """Hand-made cases, some with distances exactly on the threshold: (points, truth, length, right at each alpha)."""
    for index, count in enumerate(golden["case_n_pts"]):
        points, truth = (golden[f"case_{name}"][index][:, :count].T for name in ("prd", "trg"))  # (N, 2) float32
        right = [golden[f"case_correct_{name}"][index][:count].tolist() for name in ("005", "010")]
        yield points, truth, golden["case_pckthres"][index], right


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_every_point_of_the_hand_made_cases(golden, kind):
    for points, truth, length, right in cases(golden):
        distances = point_distances(kind(points.copy()), kind(truth.copy()))
        assert [within(distances, length, alpha).tolist() for alpha in ALPHAS] == right


def test_pck_of_the_hand_made_cases(golden):
    metric = PCK(alphas=ALPHAS)
    for index, (points, truth, length, _) in enumerate(cases(golden)):
        one = PCK(alphas=ALPHAS)
        for each in (one, metric):
            each.update(torch.tensor(points), torch.tensor(truth), torch.tensor(length))
        percent = [100 * one.compute()[f"pck@{alpha:.2f}/per_image"].item() for alpha in ALPHAS]
        assert percent == pytest.approx(golden["case_pck_005_010"][index], abs=1e-9)
    percent = [100 * metric.compute()[f"pck@{alpha:.2f}/per_image"].item() for alpha in ALPHAS]
    assert percent == pytest.approx(golden["batched_pck_flat"].reshape(-1, 2).mean(0), abs=1e-9)
