"""Gaussian targets, maxima, crops and squashed images against the released code."""

import json

import numpy as np
import pytest
import torch

from sdcorr.images import image_to_tensor, read_image
from sdcorr.prompt.crops import crop_images, points_in_crops, start_bounds
from sdcorr.prompt.localize import argmax
from sdcorr.prompt.objective import gaussian_target
from sdcorr.prompt.settings import PromptSettings
from tests.golden import released

SIGMA_AT_64 = 16.0  # of the small Gaussians; the large ones have the released code's sigma


def test_gaussian_targets(arrays):
    recorded, sigma = arrays("c_small_functions"), float(arrays("e_optimize")["sigma"])
    positions = torch.from_numpy(recorded["gauss_pos"])
    small = gaussian_target(positions * 64, 64, SIGMA_AT_64)
    large = gaussian_target(positions * 512, 512, sigma)[:, 2::8, 5::8]
    for index in range(len(positions)):
        np.testing.assert_allclose(small[index], recorded[f"gauss_{index}_64"], rtol=0, atol=1e-6)
        np.testing.assert_allclose(large[index], recorded[f"gauss_{index}_512"], rtol=0, atol=1e-5)


def test_maxima(arrays):
    recorded = arrays("c_small_functions")
    maps = torch.from_numpy(recorded["findmax_in"])
    corners = argmax(maps) - 0.5  # the released function leaves the half pixel to its caller
    np.testing.assert_array_equal(corners, recorded["findmax_out_32"])
    np.testing.assert_array_equal(corners * (512 / maps.shape[-1]), recorded["findmax_out_512"])


@pytest.fixture(scope="module")
def crops(arrays):
    recorded = arrays("d_crops")
    return [{name: values[index] for name, values in recorded.items()} for index in range(len(recorded["seed"]))]


def test_crop_bounds(crops, images):
    size = images["src"].shape[-1]
    for crop in crops:
        side = PromptSettings(crop=float(crop["crop_percent"]) / 100).optimize_side(size)
        assert side == crop["height"] == crop["width"]
        low, high = start_bounds(torch.from_numpy(crop["pixel"]), size, side, PromptSettings().crop_margin)
        assert torch.stack((low, high + 1), -1).tolist() == crop["randint_lo_hi"].tolist(), crop["pixel"]


def test_crop_starts_are_x_then_y(crops):
    for crop in crops:
        torch.manual_seed(int(crop["seed"]))
        x, y = (torch.randint(int(low), int(high), (1,)).item() for low, high in crop["randint_lo_hi"])
        assert (x, y) == (crop["x_start"], crop["y_start"])


def test_points_in_crops(crops, images):
    size = images["src"].shape[-1]
    for crop in crops:
        start = torch.tensor([int(crop["x_start"]), int(crop["y_start"])])
        point = points_in_crops(torch.from_numpy(crop["pixel"]), start, int(crop["width"]), size, torch.tensor(False))
        np.testing.assert_allclose(point / size, crop["new_pixel"], rtol=0, atol=1e-6)


def test_cropped_images(crops, images):
    for crop in crops:
        box = torch.tensor([[0, int(crop["x_start"]), int(crop["y_start"]), 0]])
        cropped = crop_images(images["src"][None], box, int(crop["width"]))[0].permute(1, 2, 0)
        np.testing.assert_allclose(cropped[3::8, 3::8], crop["img_stride8"], rtol=0, atol=1e-6)
        np.testing.assert_allclose(cropped[100:108, 300:308], crop["img_patch"], rtol=0, atol=1e-6)


def test_squashed_images(arrays):
    root = released.FOLDER / "fake_datasets" / "SPair-71k"
    lines = (root / "Layout" / "large" / "test.txt").read_text().split()
    for line, expected in zip(lines, arrays("g_eval")["spair_src_img_stride16"], strict=True):
        pair = json.loads((root / "PairAnnotation" / "test" / f"{line}.json").read_text())
        path = root / "JPEGImages" / pair["category"] / f"{line.split('-')[1]}.jpg"
        squashed = image_to_tensor(read_image(path), expected.shape[-1] * 16)
        np.testing.assert_allclose(squashed[:, ::16, ::16], expected, rtol=0, atol=1e-6)
