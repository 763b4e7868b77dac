import pytest
import torch
import torch.nn.functional as F

from sdcorr.finite import NotFinite
from sdcorr.prompt.crops import crop_images
from sdcorr.prompt.speed.latents import CachedCrops, LatentCache
from tests.prompt.counting import CountingBackbone


class TestCachedCrops:
    IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    def crops(self, backbone, **options) -> CachedCrops:
        return CachedCrops(LatentCache(backbone, **options), self.IMAGES, 5)

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
        CachedCrops(cache, self.IMAGES, 5).latents(torch.tensor([[1, 2, 3, 0]]))
        CachedCrops(cache, self.IMAGES[1:].clone(), 5).latents(torch.tensor([[0, 2, 3, 0]]))
        assert backbone.encoded == 1
        CachedCrops(cache, self.IMAGES[1:], 4).latents(torch.tensor([[0, 2, 3, 0]]))  # another side
        CachedCrops(cache, self.IMAGES[1:] / 2, 5).latents(torch.tensor([[0, 2, 3, 0]]))  # another picture
        assert backbone.encoded == 3

    def test_memory_is_bounded_and_nothing_is_wrong_beyond_it(self):
        backbone = CountingBackbone()
        cache = LatentCache(backbone, budget=3 * 4 * 3 * 2 * 2)  # three latents
        crops = CachedCrops(cache, self.IMAGES, 5)
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
        backbone = CountingBackbone()
        boxes = torch.tensor([[0, x, 0, 0] for x in (3, 1, 0, 2, 3)] + [[1, 0, 0, 0]])
        latents = self.crops(backbone).latents(boxes)
        assert backbone.batches == [2, 2, 1]
        torch.testing.assert_close(latents, backbone.encode(crop_images(self.IMAGES, boxes, 5)))

    @pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
    def test_what_is_no_number_is_not_kept(self, wrong):
        backbone = CountingBackbone()
        cache = LatentCache(backbone)
        backbone.encode = lambda images: F.avg_pool2d(images, 4).index_fill(0, torch.tensor([1]), wrong)
        crops, boxes = CachedCrops(cache, self.IMAGES, 5), torch.tensor([[1, 2, 3, 0], [0, 2, 3, 0]])
        crops.keys = ["a", "b"]
        with pytest.raises(NotFinite, match="latents of a crop of a are NaN or infinite: .*precision=fp32") as told:
            crops.latents(boxes)
        assert told.value.image == "a"  # of the second box
        assert len(cache) == 0
