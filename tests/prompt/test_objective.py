import math

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from sdcorr.diffusion.precision import Float32Mode
from sdcorr.prompt.objective import gaussian_profile, gaussian_target, map_loss, upsampling_matrix


class TestGaussianTarget:
    def test_hand_computed(self):
        target = gaussian_target(torch.tensor([3.0, 1.0]), 5, 2.0)
        assert target[1, 3] == 1  # row y, column x
        assert target[1, 1].item() == pytest.approx(math.exp(-4 / 8))
        assert target[4, 2].item() == pytest.approx(math.exp(-(9 + 1) / 8))

    def test_center_between_pixels_and_outside(self):
        assert gaussian_profile(torch.tensor(1.5), 4, 1.0)[1:3].tolist() == pytest.approx([math.exp(-1 / 8)] * 2)
        assert gaussian_profile(torch.tensor(-2.0), 4, 1.0)[0].item() == pytest.approx(math.exp(-2))

    def test_shape(self):
        assert gaussian_target(torch.rand(3, 7, 2), 5, 2.0).shape == (3, 7, 5, 5)

    def test_gradient(self):
        centers = torch.tensor([[1.2, 3.4]], dtype=torch.float64, requires_grad=True)
        assert gradcheck(lambda c: gaussian_target(c, 5, 2.0), centers)


class TestUpsamplingMatrix:
    def test_hand_computed(self):
        expected = [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
        torch.testing.assert_close(upsampling_matrix(2, 4), torch.tensor(expected, dtype=torch.float64))

    @pytest.mark.parametrize("grid, size", [(3, 8), (16, 64), (8, 8), (8, 5)])
    def test_both_sides_of_a_map(self, grid, size):
        maps = torch.rand(2, grid, grid, dtype=torch.float64)
        matrix = upsampling_matrix(grid, size)
        expected = F.interpolate(maps[None], size=(size, size), mode="bilinear", align_corners=False)[0]
        torch.testing.assert_close(matrix @ maps @ matrix.T, expected)


def slow_loss(maps: list[torch.Tensor], centers: torch.Tensor, size: int, sigma: float) -> torch.Tensor:
    """The definition: every map at full size, compared pixel by pixel."""
    target = gaussian_target(centers, size, sigma)
    large = [F.interpolate(m, size=(size, size), mode="bilinear", align_corners=False).mean(1) for m in maps]
    return torch.stack([(m - target).square().mean((1, 2)) for m in large]).mean(0)


class TestMapLoss:
    SIZE, SIGMA = 32, 5.0

    def inputs(self, dtype: torch.dtype) -> tuple[list[torch.Tensor], torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        shapes = [(3, 2, 4, 4), (3, 4, 8, 8)]
        maps = [torch.rand(shape, generator=generator, dtype=dtype) / 10 for shape in shapes]
        return maps, torch.tensor([[3.0, 8.5], [30.0, 1.0], [16.0, -2.0]], dtype=dtype)

    @pytest.mark.parametrize("dtype, rtol", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
    def test_is_the_loss_at_full_size(self, dtype, rtol):
        maps, centers = self.inputs(dtype)
        ours, expected = (f(maps, centers, self.SIZE, self.SIGMA) for f in (map_loss, slow_loss))
        assert ours.shape == (3,)
        torch.testing.assert_close(ours, expected, rtol=rtol, atol=0)

    def test_near_the_optimum(self):
        # A map that is nearly the Gaussian itself: nothing may cancel, in value or gradient.
        _, centers = self.inputs(torch.float32)
        target = gaussian_target(centers, 16, self.SIGMA / 2)[:, None].requires_grad_()
        losses = [f([target], centers * 2, 32, self.SIGMA) for f in (map_loss, slow_loss)]
        torch.testing.assert_close(*losses, rtol=1e-3, atol=1e-8)
        torch.testing.assert_close(*[torch.autograd.grad(x.sum(), target)[0] for x in losses], rtol=1e-3, atol=1e-8)

    def test_hand_computed(self):
        # One cell upsampled is constant 0.5; the Gaussian is so wide that it is 1 everywhere.
        loss = map_loss([torch.tensor([0.25, 0.75]).view(1, 2, 1, 1)], torch.zeros(1, 2), 4, 1e6)
        torch.testing.assert_close(loss, torch.tensor([0.25]))

    def test_gradient(self):
        maps, centers = self.inputs(torch.float64)
        maps = [m.requires_grad_() for m in maps]
        assert gradcheck(lambda *m: map_loss(m, centers, self.SIZE, self.SIGMA), maps)

    def test_gradient_is_that_of_the_loss_at_full_size(self):
        maps, centers = self.inputs(torch.float64)
        maps = [m.requires_grad_() for m in maps]
        ours, expected = (
            torch.autograd.grad(f(maps, centers, self.SIZE, self.SIGMA).sum(), maps) for f in (map_loss, slow_loss)
        )
        torch.testing.assert_close(ours, expected)

    def test_stays_float32_where_the_network_is_not(self, monkeypatch):
        products, apply = [], torch.Tensor.__matmul__

        def watched(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            products.append(torch.backends.cuda.matmul.fp32_precision)
            return apply(a, b)

        monkeypatch.setattr(torch.Tensor, "__matmul__", watched)
        maps, centers = self.inputs(torch.float32)
        with Float32Mode("tf32"):
            map_loss([m.requires_grad_() for m in maps], centers, self.SIZE, self.SIGMA).sum().backward()
        assert products == ["ieee"] * 2 * (3 + 2)  # two layers: three products forward, two of them backward

    def test_each_query_is_alone(self):
        maps, centers = self.inputs(torch.float64)
        together = map_loss(maps, centers, self.SIZE, self.SIGMA)
        for row in range(3):
            alone = map_loss([m[row : row + 1] for m in maps], centers[row : row + 1], self.SIZE, self.SIGMA)
            torch.testing.assert_close(alone[0], together[row])
