import pytest
import torch

from sdcorr.prompt.speed.latents import LatentCache
from sdcorr.prompt.speed.pool import CropPool, crop_positions, position_bounds
from tests.prompt.counting import CountingBackbone


class TestPositions:
    def test_a_few_from_border_to_border(self):
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


def test_crops_start_in_the_pool_and_keep_the_margin_where_it_can():
    crops = CropPool(LatentCache(CountingBackbone()), torch.rand(1, 3, 8, 8), 4, pool=3)
    assert crops.places == 3 and crops.positions.tolist() == [0, 2, 4]
    low, high = crops.bounds(torch.tensor([[4.0, 7.0]]), 0.25)  # 1 to 3 pixels from the crop's left edge
    assert crops.corners(low).tolist() == [[2, 4]] and crops.corners(high).tolist() == [[2, 4]]
