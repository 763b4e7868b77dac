import pytest
import torch
from torch.autograd import gradcheck

from sdcorr.prompt.localize import argmax, combine_layers, confidence, soft_argmax
from sdcorr.prompt.objective import gaussian_target


def round_the_maximum(maps: torch.Tensor, window: int) -> torch.Tensor:
    return soft_argmax(maps, window, argmax(maps))


class TestCombineLayers:
    def test_mean(self):
        maps = torch.tensor([[[[1.0, 2.0]], [[3.0, 6.0]]]])
        assert combine_layers(maps, "mean").tolist() == [[[2.0, 4.0]]]

    def test_softmax_mean(self):
        maps = torch.tensor([[[[0.0, 1.0]], [[5.0, 5.0]]]])
        share = torch.sigmoid(torch.tensor(1.0)).item()  # of the second position in the first layer
        expected = [(1 - share) / 2 + 0.25, share / 2 + 0.25]
        assert combine_layers(maps, "softmax_mean")[0, 0].tolist() == pytest.approx(expected)

    def test_softmax_of_attention_is_nearly_the_mean(self):
        maps = torch.rand(3, 4, 32, 32) / 50
        nearly = (combine_layers(maps, "softmax_mean") * 32**2 - 1) + maps.mean((1, 2, 3))[:, None, None]
        torch.testing.assert_close(nearly, combine_layers(maps, "mean"), rtol=0, atol=5e-4)

    def test_gradient(self):
        maps = torch.rand(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
        assert gradcheck(lambda m: combine_layers(m, "softmax_mean"), maps)


class TestArgmax:
    def test_pixel_center(self):
        maps = torch.zeros(2, 4, 5)
        maps[0, 3, 1] = maps[1, 0, 4] = 1
        assert argmax(maps).tolist() == [[1.5, 3.5], [4.5, 0.5]]

    def test_first_of_equals(self):
        assert argmax(torch.zeros(1, 4, 4)).tolist() == [[0.5, 0.5]]

    def test_no_points(self):
        assert argmax(torch.zeros(0, 4, 4)).shape == (0, 2)


class TestSoftArgmax:
    def test_between_two_equal_pixels(self):
        maps = torch.zeros(1, 9, 9)
        maps[0, 4, 4] = maps[0, 4, 5] = 1
        torch.testing.assert_close(round_the_maximum(maps, 2), torch.tensor([[5.0, 4.5]]))

    def test_hand_computed_over_the_least_in_the_window(self):
        maps = torch.full((1, 5, 5), 3.0)
        maps[0, 2, 2:4] = torch.tensor([5.0, 4.0])  # weights 2 and 1 over the least, 3
        maps[0, 0, 0] = -9.0  # outside the window
        expected = (2 * 2.5 + 1 * 3.5) / 3
        torch.testing.assert_close(round_the_maximum(maps, 1), torch.tensor([[expected, 2.5]]))

    def test_what_is_outside_the_window_does_not_matter(self):
        maps = gaussian_target(torch.tensor([[8.3, 9.1]]), 32, 1.5)
        disturbed = maps.clone()
        disturbed[0, 25:, 25:] = 0.9
        torch.testing.assert_close(round_the_maximum(disturbed, 6), round_the_maximum(maps, 6))

    def test_finds_the_center_of_a_gaussian(self):
        centers = torch.tensor([[12.3, 14.8], [16.0, 15.5]])
        found = round_the_maximum(gaussian_target(centers, 32, 2.0), 8)
        torch.testing.assert_close(found, centers + 0.5, rtol=0, atol=0.02)  # index to pixel center

    def test_flat_map_and_no_window_give_the_argmax(self):
        assert round_the_maximum(torch.ones(1, 6, 6), 2).tolist() == [[0.5, 0.5]]
        maps = torch.rand(3, 6, 6)
        assert torch.equal(round_the_maximum(maps, 0), argmax(maps))

    def test_stays_in_the_image_at_the_border(self):
        maps = gaussian_target(torch.tensor([[-3.0, 31.0]]), 32, 4.0)
        x, y = round_the_maximum(maps, 5)[0].tolist()
        assert 0.5 <= x <= 6 and 26 <= y <= 31.5

    def test_no_points(self):
        assert round_the_maximum(torch.zeros(0, 4, 4), 2).shape == (0, 2)

    def test_gradient(self):
        maps = gaussian_target(torch.tensor([[2.3, 3.1]], dtype=torch.float64), 6, 1.0).requires_grad_()
        assert gradcheck(lambda m: round_the_maximum(m, 2), maps)


class TestConfidence:
    def test_one_sharp_peak(self):
        maps = torch.zeros(1, 16, 16)
        maps[0, 3, 5] = 0.7
        assert confidence(maps, argmax(maps), 1.0).item() == pytest.approx(1)

    @pytest.mark.parametrize("value", [0.0, 0.01, 1 / 3])
    def test_flat(self, value):
        assert confidence(torch.full((1, 16, 16), value), torch.tensor([[8.0, 8.0]]), 4.0).tolist() == [0]

    def test_two_equal_peaks(self):
        maps = torch.zeros(1, 16, 16)
        maps[0, 3, 3] = maps[0, 12, 12] = 1
        assert confidence(maps, argmax(maps), 2.0).item() == pytest.approx(0.5)

    def test_scale_and_background_do_not_matter(self):
        maps = torch.rand(4, 16, 16, dtype=torch.float64)
        points = argmax(maps)
        torch.testing.assert_close(confidence(maps * 7 + 3, points, 3.0), confidence(maps, points, 3.0))

    def test_perfect_map(self):
        maps = gaussian_target(torch.tensor([[128.0, 128.0]], dtype=torch.float64), 257, 8.0)
        share = confidence(maps, torch.tensor([[128.5, 128.5]], dtype=torch.float64), 16.0).item()
        assert share == pytest.approx(0.86, abs=0.03)

    def test_shape_and_range(self):
        maps = torch.rand(5, 8, 8)
        scores = confidence(maps, argmax(maps), 2.0)
        assert scores.shape == (5,) and (0 <= scores).all() and (scores <= 1).all()
        assert confidence(torch.zeros(0, 8, 8), torch.zeros(0, 2), 2.0).shape == (0,)
