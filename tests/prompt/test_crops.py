import pytest
import torch

from sdcorr.prompt.crops import Crops, crop_images, points_in_crops, start_bounds
from tests.prompt.counting import CountingBackbone


class TestStartBounds:
    def test_hand_computed(self):
        # Side 40 of 100, margin 0.25: the point must be 10 from the crop's left edge and 30 at most.
        low, high = start_bounds(torch.tensor([50.0, 62.9]), 100, 40, 0.25)
        assert low.tolist() == [20, 32]
        assert high.tolist() == [40, 52]

    @pytest.mark.parametrize("point, start", [(0.0, 0), (5.0, 0), (98.0, 60), (100.0, 60), (-3.0, 0), (104.0, 60)])
    def test_inside_the_image_wins(self, point, start):
        low, high = start_bounds(torch.tensor([point, point]), 100, 40, 0.25)
        assert low.tolist() == high.tolist() == [start, start]

    def test_every_start_keeps_the_margin_where_it_can(self):
        points = torch.rand(500, 2, generator=torch.Generator().manual_seed(0)) * 100
        low, high = start_bounds(points, 100, 40, 0.25)
        assert (low <= high).all() and (low >= 0).all() and (high <= 60).all()
        free = (points >= 30) & (points < 70)  # far enough from the image's border
        assert (points - low)[free].max() < 31 and (points - high)[free].min() >= 10

    def test_shape(self):
        low, high = start_bounds(torch.rand(3, 5, 2), 100, 40, 0.25)
        assert low.shape == high.shape == (3, 5, 2) and low.dtype == torch.int64


class TestPointsInCrops:
    def test_hand_computed(self):
        starts = torch.tensor([[10, 20], [10, 20]])
        points = torch.tensor([[20.0, 60.0], [20.0, 60.0]])
        there = points_in_crops(points, starts, 50, 100, torch.tensor([False, True]))
        assert there.tolist() == [[20.0, 80.0], [80.0, 80.0]]

    def test_lands_on_the_same_pixel(self):
        image = torch.zeros(1, 3, 16, 16)
        image[..., 6, 9] = 1  # pixel center (9.5, 6.5)
        boxes = torch.tensor([[0, 4, 2, 0], [0, 4, 2, 1]])
        crops = crop_images(image, boxes, 8)[:, 0]  # enlarged twice
        points = points_in_crops(torch.tensor([9.5, 6.5]), boxes[:, 1:3], 8, 16, boxes[:, 3].bool())
        grid = torch.arange(16) + 0.5
        for crop, point in zip(crops, points, strict=True):
            center = torch.stack(((crop.sum(0) * grid).sum(), (crop.sum(1) * grid).sum())) / crop.sum()
            torch.testing.assert_close(center, point)

    def test_shape(self):
        flips = torch.zeros(3, 5, dtype=torch.bool)
        assert points_in_crops(torch.rand(5, 2), torch.ones(3, 5, 2), 4, 8, flips).shape == (3, 5, 2)


class TestCropImages:
    def test_whole_image_is_unchanged(self):
        images = torch.rand(2, 3, 8, 8)
        assert torch.equal(crop_images(images, torch.tensor([[1, 0, 0, 0]]), 8), images[1:])

    def test_hand_computed(self):
        image = torch.arange(16.0).view(1, 1, 4, 4).expand(1, 3, 4, 4)
        crop = crop_images(image, torch.tensor([[0, 1, 2, 0]]), 2)[0, 0]  # pixels 9 10 / 13 14
        assert crop[0].tolist() == [9, 9.25, 9.75, 10]
        assert crop[:, 3].tolist() == [10, 11, 13, 14]

    def test_mirrored(self):
        images = torch.rand(1, 3, 8, 8)
        plain, mirrored = crop_images(images, torch.tensor([[0, 1, 2, 0], [0, 1, 2, 1]]), 5)
        torch.testing.assert_close(mirrored, plain.flip(-1))


class TestCrops:
    IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    BOXES = torch.tensor([[1, 3, 0, 1], [0, 2, 1, 0], [1, 0, 3, 0], [0, 2, 1, 0]])

    def test_are_those_of_their_boxes(self):
        backbone = CountingBackbone()
        crops = Crops(backbone, self.IMAGES, 5)
        pixels = crop_images(self.IMAGES, self.BOXES, 5)
        torch.testing.assert_close(crops.pixels(self.BOXES), pixels)
        torch.testing.assert_close(crops.latents(self.BOXES), backbone.encode(pixels))

    def test_many_are_encoded_in_batches(self, monkeypatch):
        monkeypatch.setattr("sdcorr.prompt.crops._PIXELS_PER_ENCODING", 2 * 8 * 8)
        backbone = CountingBackbone()
        latents = Crops(backbone, self.IMAGES, 5).latents(self.BOXES[:3])
        assert backbone.batches == [2, 1]
        torch.testing.assert_close(latents, backbone.encode(crop_images(self.IMAGES, self.BOXES[:3], 5)))

    def test_may_start_at_every_pixel(self):
        crops = Crops(CountingBackbone(), self.IMAGES, 5)
        assert crops.places == 4  # 0 to 3
        low, high = crops.bounds(torch.tensor([[4.5, 0.0]]), 0.2)  # 1 to 4 pixels from the crop's left edge
        assert crops.corners(low).tolist() == [[0, 0]] and crops.corners(high).tolist() == [[3, 0]]
