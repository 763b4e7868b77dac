import numpy as np
import pytest
import torch
from PIL import Image

from sdcorr.datasets import group_by_source
from sdcorr.methods.image_patches import ImagePatches, correlation, patches_at, peaks
from tests.run.fakes import make_pair


def texture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Colored blobs that are nowhere alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


class TestPatchesAt:
    def test_on_pixel_centers_the_patch_is_cut_out(self):
        image = torch.rand(3, 12, 20)
        (patch,) = patches_at(image, torch.tensor([[7.5, 4.5]]), 5)  # center of row 4, column 7
        assert torch.allclose(patch, image[:, 2:7, 5:10], atol=1e-5)

    def test_between_pixels_it_is_the_mean(self):
        image = torch.arange(20.0).expand(3, 12, 20)
        (patch,) = patches_at(image, torch.tensor([[8.0, 4.5]]), 3)
        assert torch.allclose(patch, torch.tensor([6.5, 7.5, 8.5]).expand(3, 3, 3), atol=1e-4)

    def test_beyond_the_border_the_image_is_continued(self):
        image = torch.arange(20.0).expand(3, 12, 20)
        (patch,) = patches_at(image, torch.tensor([[0.5, 0.5]]), 3)
        assert torch.allclose(patch, torch.tensor([0.0, 0.0, 1.0]).expand(3, 3, 3), atol=1e-4)

    def test_shapes(self):
        assert patches_at(torch.rand(3, 8, 9), torch.rand(4, 2), 3).shape == (4, 3, 3, 3)
        assert patches_at(torch.rand(3, 8, 9), torch.rand(0, 2), 3).shape == (0, 3, 3, 3)


class TestCorrelation:
    def test_against_the_definition(self):
        image, patches = torch.rand(3, 9, 11, dtype=torch.float64), torch.rand(2, 3, 5, 5, dtype=torch.float64)
        maps = correlation(image, patches)
        for row, column in ((2, 2), (4, 5), (6, 8)):
            here = image[:, row - 2 : row + 3, column - 2 : column + 3].numpy().ravel()
            expected = [np.corrcoef(here, patch.numpy().ravel())[0, 1] for patch in patches]
            assert maps[:, row, column].tolist() == pytest.approx(expected)

    def test_brightness_and_contrast_do_not_matter(self):
        image, patches = torch.rand(3, 9, 11), torch.rand(2, 3, 5, 5)
        assert torch.allclose(correlation(image, patches), correlation(0.5 * image + 0.2, patches), atol=1e-4)

    def test_a_flat_image_is_like_nothing(self):
        assert correlation(torch.full((3, 30, 30), 0.7), torch.rand(1, 3, 7, 7)).abs().max() < 1e-3
        assert correlation(torch.rand(3, 30, 30), torch.full((1, 3, 7, 7), 0.7)).abs().max() < 1e-3


def test_peaks_are_at_the_centers_of_cells():
    maps = torch.zeros(2, 4, 6)
    maps[0, 1, 5], maps[1, 3, 2] = 0.5, 0.25
    points, values = peaks(maps)
    assert points.tolist() == [[5.5, 1.5], [2.5, 3.5]] and values.tolist() == [0.5, 0.25]


class TestImagePatches:
    def test_points_are_found_again_in_a_shifted_image_of_another_size(self):
        """The target shows a window of the source, twice as large."""
        source = texture(128, 96)
        target = source.crop((16, 8, 112, 80)).resize((192, 144), Image.Resampling.BICUBIC)
        points = np.array([[40.5, 30.5], [64, 50], [100, 60]])
        pair = make_pair(
            "a-b",
            points=3,
            source_size=source.size,
            target_size=target.size,
            source_points=points,
            target_points=(points - [16, 8]) * 2,
            visible=[True, False, True],
        )
        (unit,) = group_by_source([pair])
        ((_, match),) = ImagePatches(None, side=96).match(unit, {"a": source, "b": target}.__getitem__)
        # the target is scaled to 96 pixels and the source too, so the patches differ a little in scale
        assert np.abs(match.points - pair.true_points).max() < 2 * 192 / 96
        assert match.confidence.min() > 0.5

    def test_another_picture_is_trusted_less(self):
        images = {"a": texture(96, 96), "b": texture(96, 96), "c": texture(96, 96, seed=1)}
        sizes = {"source_size": (96, 96), "target_size": (96, 96), "source_points": [[30, 40], [60, 50]]}
        pairs = [make_pair(f"a-{target}", points=2, **sizes) for target in "bc"]
        (unit,) = group_by_source(pairs)
        (_, same), (_, other) = ImagePatches(None).match(unit, images.__getitem__)
        assert np.abs(same.points - [[30, 40], [60, 50]]).max() <= 1
        assert same.confidence.min() > other.confidence.max()
