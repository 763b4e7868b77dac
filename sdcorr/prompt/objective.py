"""What the optimization wants: a map that looks like a Gaussian round the query point.

The loss is the mean squared error between the map, upsampled bilinearly to S x S, and a Gaussian. Upsampling is
linear and separable, U = A M A^T, and so is the Gaussian, G = g_y g_x^T. With A = Q R (orthonormal columns)

    |A M A^T - g_y g_x^T|^2  =  |R M R^T - (Q^T g_y)(Q^T g_x)^T|^2  +  |g_y|^2 |g_x|^2 - |Q^T g_y|^2 |Q^T g_x|^2

so the S x S maps are never made: the first term lives on the map's own grid, the rest does not depend on the map.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from sdcorr.diffusion.precision import matmul_fp32


def gaussian_profile(centers: Tensor, size: int, sigma: float) -> Tensor:
    """exp(-(i - center)^2 / (2 sigma^2)) at the pixel indices i = 0 ... S - 1, (...) pixels -> (..., S).

    The released code compares the position, where a pixel's center is at index + 0.5, to the index itself.
    """
    index = torch.arange(size, device=centers.device, dtype=centers.dtype)
    return torch.exp(-((index - centers[..., None]) ** 2) / (2 * sigma**2))


def gaussian_target(centers: Tensor, size: int, sigma: float) -> Tensor:
    """The target map: a Gaussian of peak 1 at (..., 2) points (x, y) in pixels, (..., S, S), row first."""
    profile = gaussian_profile(centers, size, sigma)  # (..., 2, S)
    return profile[..., 1, :, None] * profile[..., 0, None, :]


def map_loss(maps: Sequence[Tensor], centers: Tensor, size: int, sigma: float) -> Tensor:
    """Each query's mean squared error between its upsampled maps and its Gaussian, mean over layers.

    Args:
        maps: for each layer (Q, heads, g, g); the mean over heads is compared.
        centers: (Q, 2) points (x, y) in pixels of the S x S crop.
        size: S, the size at which map and Gaussian are compared.
        sigma: width of the Gaussian in pixels of the S x S crop.

    Returns:
        (Q,). The sum over queries gives every query the gradient that it would have alone; a mean would not, and
        Adam's eps is not small against it.
    """
    profile = gaussian_profile(centers, size, sigma)  # (Q, 2, S): x, y
    losses = [_layer_loss(layer_maps.mean(1), profile) for layer_maps in maps]
    return torch.stack(losses).mean(0)


def _layer_loss(maps: Tensor, profile: Tensor) -> Tensor:
    """(Q, g, g) maps and (Q, 2, S) Gaussian profiles -> (Q,) mean squared error at S x S."""
    size = profile.shape[-1]
    basis, triangle = _upsampling_basis(maps.shape[-1], size, maps.dtype, maps.device)
    projected = matmul_fp32(profile, basis)  # (Q, 2, g)
    wanted = projected[:, 1, :, None] * projected[:, 0, None, :]  # (Q, g, g)
    reached = matmul_fp32(matmul_fp32(triangle, maps), triangle.T)  # (Q, g, g)
    reachable = (reached - wanted).square().sum((-2, -1))
    out_of_reach = profile.square().sum(-1).prod(-1) - projected.square().sum(-1).prod(-1)
    return (reachable + out_of_reach) / size**2


def upsampling_matrix(grid: int, size: int) -> Tensor:
    """A, (size, grid) float64: bilinear upsampling (align_corners=False) along one axis as a matrix."""
    return F.interpolate(torch.eye(grid, dtype=torch.float64)[None], size=size, mode="linear")[0].T


@lru_cache
def _upsampling_basis(grid: int, size: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Q (size, grid) with orthonormal columns and R (grid, grid) such that A = Q R."""
    basis, triangle = torch.linalg.qr(upsampling_matrix(grid, size))
    return basis.to(device, dtype), triangle.to(device, dtype)
