"""A backbone whose VAE is a mean over squares, and which counts what it encodes."""

import torch
import torch.nn.functional as F


class CountingBackbone:
    """Encodes an image as its mean color over 4 x 4 pixels, and counts."""

    latent_channels, latent_size, image_size, device = 3, 2, 8, torch.device("cpu")
    precision = "bf16"

    def __init__(self) -> None:
        self.batches: list[int] = []

    @property
    def encoded(self) -> int:
        return sum(self.batches)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(images))
        return F.avg_pool2d(images, 4)
