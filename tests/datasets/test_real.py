"""The loaders on real files: `SDCORR_REAL=FOLDER python -m pytest tests/datasets/test_real.py`, else it is skipped.

The data are not ours to hand out. FOLDER has what was found of them in public, each data set in its own folder: all of
PF-Willow with its .mat files, CUB-200-2011 cut to the three classes, and slices of SPair-71k, TSS and AP-10K; and in
`peer` what another project's code has read from PF-Willow.
"""

import csv
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sdcorr.datasets.ap10k import AP10K
from sdcorr.datasets.base import Benchmark
from sdcorr.datasets.boxes import read_mask
from sdcorr.datasets.cub import CUB
from sdcorr.datasets.inspect import card, counts, digest
from sdcorr.datasets.pfwillow import PFWillow
from sdcorr.datasets.spair import SIZES, TEST_PAIRS, SPair
from sdcorr.datasets.tss import TSS, read_flow
from sdcorr.errors import UserError
from sdcorr.images import as_seen, read_image

REAL = Path(os.environ.get("SDCORR_REAL", ""))
pytestmark = [
    pytest.mark.skipif(not os.environ.get("SDCORR_REAL"), reason="real data: set SDCORR_REAL to their folder"),
    pytest.mark.filterwarnings("ignore:.* lists .* here, and the published"),
    pytest.mark.filterwarnings("ignore:.*published AP-10K has"),
]
TSS_FOREGROUND = {  # pixels whose flow is known, of both images, which the official kit scores
    "FG3DCar/001_021": (180_507, 200_404),
    "JODS/car_01_02": (29_935, 27_489),
    "PASCAL/bike_01_03": (68_448, 73_134),
}


def totals(found: Benchmark) -> tuple[int, int, int]:
    """Pairs, images and points."""
    known = counts(found)
    return known["pairs"], known["images"], known["points"]


def every_picture_is_read(found: Benchmark) -> None:
    sizes = {key: size for p in found.pairs for key, size in ((p.source, p.source_size), (p.target, p.target_size))}
    for key, size in sizes.items():
        assert found.image(key).size == size


class TestPFWillow:
    def test_counts_and_digest(self):
        found = PFWillow(str(REAL / "PF-WILLOW"))
        assert totals(found) == (900, 100, 9000) and not found.broken
        assert digest(found.pairs) == "fe3f82d740b89108"
        assert card(found).count("as published") == 13  # pairs, images, points and ten classes
        every_picture_is_read(found)

    def test_the_mat_files_say_what_the_list_says(self, tmp_path):
        shutil.copytree(REAL / "PF-WILLOW", tmp_path / "PF-dataset-WILLOW", ignore=shutil.ignore_patterns("*.csv"))
        pairs = PFWillow(str(tmp_path)).pairs
        assert digest(pairs) == "862e1f21cd3ab66f"
        for listed, made in zip(PFWillow(str(REAL / "PF-WILLOW")).pairs, pairs, strict=True):
            assert (listed.id, listed.source, listed.target) == (made.id, made.source, made.target)
            assert np.abs(listed.source_points - made.source_points).max() < 1e-6  # the list has ten digits
            assert np.abs(listed.target_points - made.target_points).max() < 1e-6

    def test_another_project_has_read_the_same_truth(self):
        with (REAL / "peer/pfwillow_dinov2_base_zero_shot.csv").open() as file:
            rows = [row for row in csv.DictReader(file) if row["threshold"] == "0.05"]
        pairs = PFWillow(str(REAL / "PF-WILLOW")).pairs
        assert len(rows) == 9000
        for row in rows:
            pair, point = pairs[int(row["image_idx"])], int(row["keypoint_id"])
            assert json.loads(row["gt"]) == pytest.approx(pair.target_points[point].tolist(), abs=1e-4)


class TestCUB:
    @pytest.mark.parametrize(
        "settings, expected, name",
        [
            ({}, (1248, 88, 11_512), "561534e99b66cb77"),
            ({"pairs": "acsm"}, (2496, 88, 23_024), "577662bcec2027bf"),
            ({"split": "train"}, (1305, 90, 12_026), "fe854088dd536a02"),
        ],
    )
    def test_counts_and_digests(self, settings, expected, name):
        found = CUB(REAL / "CUB_200_2011", **settings)
        assert totals(found) == expected and digest(found.pairs) == name and not found.broken
        every_picture_is_read(found)

    def test_a_box_leaves_its_picture_by_a_pixel(self):
        pairs = CUB(REAL / "CUB_200_2011", split="train").pairs + CUB(REAL / "CUB_200_2011").pairs
        beyond = [
            max(box[2] - size[0], box[3] - size[1])
            for pair in pairs
            for box, size in ((pair.source_box, pair.source_size), (pair.target_box, pair.target_size))
        ]
        assert 0 < max(beyond) <= 1

    def test_pictures_lie_as_they_are_stored(self):
        """Some say in their EXIF that they have an orientation of 0, which turns nothing."""
        for path in sorted((REAL / "CUB_200_2011/images").glob("*/*.jpg"))[::9]:
            assert np.array_equal(np.asarray(read_image(path)), np.asarray(read_image(path, as_seen)))


class TestSPair:
    @pytest.mark.parametrize(
        "split, expected, name", [("test", (13, 14, 89), "8359eaa58205f116"), ("val", (1, 2, 9), "78fe78da212353da")]
    )
    def test_counts_and_digests(self, split, expected, name):
        found = SPair(str(REAL / "SPair-71k"), split)
        assert totals(found) == expected and digest(found.pairs) == name and not found.broken

    def test_pictures_have_the_size_that_their_annotations_say(self):
        found = SPair(str(REAL / "SPair-71k"))
        read = 0
        for pair in found.pairs:
            if (REAL / f"SPair-71k/JPEGImages/{pair.source}.jpg").exists():
                assert found.image(pair.source).size == pair.source_size
                read += 1
        assert read == 12

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("split", ["trn", "val", "test"])
    def test_every_line_of_the_whole_layouts_is_one_of_a_pair(self, tmp_path, size, split):
        content = (REAL / f"SPair-71k/Layout/{size}/{split}-full.txt").read_text()
        (tmp_path / "Layout" / size).mkdir(parents=True)
        (tmp_path / f"PairAnnotation/{split}").mkdir(parents=True)
        (tmp_path / f"Layout/{size}/{split}.txt").write_text(content.replace(":", "_"))
        with pytest.raises(
            UserError, match=f"lists {SIZES[size][split]:,} pairs here, of which none .* There is no annotation"
        ):
            SPair(str(tmp_path), split, size)
        categories = Counter(line.rpartition(":")[2] for line in content.splitlines())
        assert categories.keys() == TEST_PAIRS.keys()
        assert (split, size) != ("test", "large") or categories == TEST_PAIRS

    def test_a_copy_from_windows(self, tmp_path):
        for path in (REAL / "SPair-71k/PairAnnotation/test").iterdir():
            (tmp_path / "PairAnnotation/test").mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / "PairAnnotation/test" / path.name.replace(":", "_"))
        (tmp_path / "Layout/large").mkdir(parents=True)
        layout = (REAL / "SPair-71k/Layout/large/test.txt").read_text()
        (tmp_path / "Layout/large/test.txt").write_text(layout.replace(":", "_"))
        assert digest(SPair(str(tmp_path)).pairs) == "8359eaa58205f116"


class TestTSS:
    def test_counts_and_digest(self):
        found = TSS(REAL / "TSS_CVPR2016")
        assert totals(found) == (6, 6, 240) and digest(found.pairs) == "8f10fe7c68480752" and not found.broken
        assert {pair.category: pair.flags["flip"] for pair in found.pairs} == {
            "FG3DCar": "no",
            "JODS": "no",
            "PASCAL": "yes",
        }
        every_picture_is_read(found)

    @pytest.mark.parametrize("name", TSS_FOREGROUND)
    def test_all_pixels_that_the_kit_scores_can_be_asked_for(self, name):
        for view, known in zip((1, 2), TSS_FOREGROUND[name], strict=True):
            flow = read_flow(REAL / f"TSS_CVPR2016/{name}/flow{view}.flo")
            mask = read_mask(REAL / f"TSS_CVPR2016/{name}/mask{view}.png")
            assert np.array_equal(mask, np.isfinite(flow[..., 0])) and mask.sum() == known
        for pair, known in zip(self.pairs(name), TSS_FOREGROUND[name], strict=True):
            assert len(pair.names) == known

    @pytest.mark.parametrize("name", TSS_FOREGROUND)
    def test_truths_agree_with_what_the_kit_s_authors_clicked(self, name):
        """corr.txt: x and y in the first image and in the second, as shares; the flow was made to fit them."""
        clicked = np.loadtxt(REAL / f"TSS_CVPR2016/{name}/corr.txt").reshape(-1, 2, 2)  # (n, image, axis)
        for pair, ends in zip(self.pairs(name), (clicked, clicked[:, ::-1]), strict=True):
            places, truths = ends[:, 0] * pair.source_size, ends[:, 1] * pair.target_size
            known = {
                tuple(point): truth
                for point, truth in zip(np.floor(pair.source_points).tolist(), pair.target_points, strict=True)
            }
            errors = [
                np.linalg.norm(known[tuple(np.floor(place))] - truth) / max(pair.target_size)
                for place, truth in zip(places, truths, strict=True)
                if tuple(np.floor(place)) in known
            ]
            assert len(errors) > 0.8 * len(clicked) and np.median(errors) < 0.006

    def pairs(self, name):
        return [pair for pair in TSS(REAL / "TSS_CVPR2016", points=10**6).pairs if pair.source.startswith(name)]


class TestAP10K:
    def test_two_animals_of_two_families_are_one_pair(self):
        found = AP10K(REAL / "ap10k", kind="cross_family")
        assert totals(found) == (1, 2, 16) and digest(found.pairs) == "20a8f56949871605" and not found.broken
        every_picture_is_read(found)

    @pytest.mark.parametrize("kind", ["intra_species", "cross_species"])
    def test_and_none_of_another_kind(self, kind):
        with pytest.raises(UserError, match=f"No two images .* make a pair of kind {kind}"):
            AP10K(REAL / "ap10k", kind=kind)
