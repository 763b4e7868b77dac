import pytest
import torch
import torch.nn.functional as F

from sdcorr.prompt.crops import (
    Crops,
    LatentCache,
    crop_images,
    crop_positions,
    crop_side,
    points_in_crops,
    position_bounds,
    start_bounds,
)


@pytest.mark.parametrize("size, fraction, side", [(512, 0.9316549294381423, 477), (64, 0.8, 51), (10, 1.0, 10)])
def test_crop_side(size, fraction, side):
    assert crop_side(size, fraction) == side


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


class TestPositions:
    def test_every_pixel_or_a_few_from_border_to_border(self):
        assert crop_positions(10, 7, 0).tolist() == [0, 1, 2, 3]
        assert crop_positions(512, 477, 4).tolist() == [0, 12, 23, 35]
        assert crop_positions(10, 10, 5).tolist() == [0]
        assert crop_positions(10, 9, 4).tolist() == [0, 1]

    def test_every_pixel_changes_no_bound(self):
        low, high = torch.tensor([[0, 3], [5, 5]]), torch.tensor([[2, 9], [5, 9]])
        first, last = position_bounds(torch.arange(10), low, high)
        assert torch.equal(first, low) and torch.equal(last, high)

    @pytest.mark.parametrize(
        "low, high, inside",
        [(0, 35, [0, 12, 23, 35]), (1, 23, [12, 23]), (12, 12, [12]), (13, 16, [12]), (18, 22, [23]), (24, 26, [23])],
    )
    def test_those_within_or_the_nearest(self, low, high, inside):
        positions = torch.tensor([0, 12, 23, 35])
        first, last = position_bounds(positions, torch.tensor([[low]]), torch.tensor([[high]]))
        assert positions[first.item() : last.item() + 1].tolist() == inside

    @pytest.mark.parametrize("low, high, nearest", [(5, 9, 3), (0, 1, 2)])
    def test_beyond_all_positions(self, low, high, nearest):
        positions = torch.tensor([2, 3])
        first, last = position_bounds(positions, torch.tensor([low]), torch.tensor([high]))
        assert positions[first].tolist() == positions[last].tolist() == [nearest]


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


class CountingBackbone:
    """Encodes an image as its mean color over 4 x 4 pixels, and counts."""

    latent_channels, latent_size, image_size, device = 3, 2, 8, torch.device("cpu")

    def __init__(self):
        self.encoded = 0

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        self.encoded += len(images)
        return F.avg_pool2d(images, 4)


class TestCrops:
    IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    def crops(self, backbone, **options) -> Crops:
        return Crops(LatentCache(backbone, **options), self.IMAGES, 5)

    def test_each_distinct_box_is_encoded_once(self):
        backbone = CountingBackbone()
        crops = self.crops(backbone)
        boxes = torch.tensor([[[0, 1, 2, 0], [0, 1, 2, 1]], [[1, 1, 2, 0], [0, 1, 2, 0]]])  # (2, 2, 4), 3 distinct
        crops.prepare(boxes)
        assert backbone.encoded == 3
        assert crops.latents(boxes[1]).shape == (2, 3, 2, 2)
        assert backbone.encoded == 3
        crops.latents(torch.tensor([[0, 3, 3, 0], [1, 1, 2, 0], [0, 3, 3, 0]]))
        assert backbone.encoded == 4

    def test_is_the_encoding_of_the_crop(self):
        backbone = CountingBackbone()
        crops = self.crops(backbone)
        boxes = torch.tensor([[1, 3, 0, 1], [0, 2, 1, 0], [1, 0, 3, 0], [0, 2, 1, 0]])
        for first in (2, 0):
            latents = crops.latents(boxes[first:])
            torch.testing.assert_close(latents, backbone.encode(crop_images(self.IMAGES, boxes[first:], 5)))

    def test_a_picture_is_shared_by_all_who_crop_it(self):
        backbone = CountingBackbone()
        cache = LatentCache(backbone)
        Crops(cache, self.IMAGES, 5).latents(torch.tensor([[1, 2, 3, 0]]))
        Crops(cache, self.IMAGES[1:].clone(), 5).latents(torch.tensor([[0, 2, 3, 0]]))
        assert backbone.encoded == 1
        Crops(cache, self.IMAGES[1:], 4).latents(torch.tensor([[0, 2, 3, 0]]))  # another side
        Crops(cache, self.IMAGES[1:] / 2, 5).latents(torch.tensor([[0, 2, 3, 0]]))  # another picture
        assert backbone.encoded == 3

    def test_memory_is_bounded_and_nothing_is_wrong_beyond_it(self):
        backbone = CountingBackbone()
        cache = LatentCache(backbone, budget=3 * 4 * 3 * 2 * 2)  # three latents
        crops = Crops(cache, self.IMAGES, 5)
        boxes = torch.tensor([[0, x, y, 0] for x in range(3) for y in range(3)])
        everything = backbone.encode(crop_images(self.IMAGES, boxes, 5))
        torch.testing.assert_close(crops.latents(boxes), everything)
        assert len(cache) == 3
        encoded = backbone.encoded
        crops.latents(boxes[-3:])  # the last ones used
        assert backbone.encoded == encoded
        torch.testing.assert_close(crops.latents(boxes), everything)

    def test_many_boxes_are_encoded_in_batches(self, monkeypatch):
        monkeypatch.setattr("sdcorr.prompt.crops._PIXELS_PER_ENCODING", 2 * 8 * 8)
        backbone, sizes = CountingBackbone(), []
        encode = backbone.encode
        backbone.encode = lambda images: sizes.append(len(images)) or encode(images)
        boxes = torch.tensor([[0, x, 0, 0] for x in (3, 1, 0, 2, 3)] + [[1, 0, 0, 0]])
        latents = self.crops(backbone).latents(boxes)
        assert sizes == [2, 2, 1]
        torch.testing.assert_close(latents, encode(crop_images(self.IMAGES, boxes, 5)))
