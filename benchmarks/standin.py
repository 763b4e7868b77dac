"""A stand-in for the frozen model: its answers have Stable Diffusion 1.4's shapes, and it computes nothing.

A run with it does everything that the library does besides the network. It can replace a `FrozenDiffusion` wherever the
method encodes, adds noise and reads maps.
"""

import torch
from torch import Tensor

GRIDS = (16, 16, 16, 32)  # sides of the four maps that are read
HEADS = 4  # of 8 that are read


class StandIn:
    """Has the attributes and methods of `FrozenDiffusion` that the method uses.

    Attributes:
        calls: how often the network would have run, by kind: "steps" (a query's forward and backward pass), "crops"
            (a forward pass for one embedding at transfer) and "encodes" (a crop through the VAE's encoder).
        precision: as a model says it; nothing is computed in it.
    """

    precision = "fp32"

    def __init__(
        self,
        device: str | torch.device = "cpu",
        *,
        tokens: int = 77,
        width: int = 768,
        grids: tuple[int, ...] = GRIDS,
        image_size: int = 512,
    ) -> None:
        self.device = torch.device(device)
        self.tokens, self.width = tokens, width
        self.image_size, self.latent_size, self.latent_channels = image_size, image_size // 8, 4
        self.layers = tuple(f"layer {index}" for index in range(len(grids)))
        self.alphas_cumprod = torch.linspace(0.999, 0.005, 1000, device=self.device)
        self.calls = {"steps": 0, "crops": 0, "encodes": 0}
        self._grids = grids

    def encode(self, images: Tensor) -> Tensor:
        """Return zeros: (B, 3, S, S) -> (B, 4, S / 8, S / 8)."""
        self.calls["encodes"] += len(images)
        return torch.zeros(len(images), self.latent_channels, self.latent_size, self.latent_size, device=self.device)

    def add_noise(self, latents: Tensor, noise: Tensor, timestep: int) -> Tensor:
        """Add noise as the model does."""
        alpha = self.alphas_cumprod[timestep]
        return alpha.sqrt() * latents + (1 - alpha).sqrt() * noise

    def attention_maps(self, noisy: Tensor, timestep: int, embeddings: Tensor, **reading: object) -> list[Tensor]:
        """Return flat maps (B, heads, g, g), differentiable in one number of each embedding."""
        self.calls["steps" if torch.is_grad_enabled() else "crops"] += len(noisy)
        value = embeddings[:, :1, :1, None]  # (B, 1, 1, 1)
        return [value.expand(-1, HEADS, grid, grid) for grid in self._grids]
