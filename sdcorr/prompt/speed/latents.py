"""Latents of crops, each encoded once.

A latent is a function of the picture and the box alone, so whoever asks for a crop shares it: points, restarts and
steps, the same picture as a source and as a target.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from sdcorr.diffusion import FrozenModel
from sdcorr.finite import not_finite
from sdcorr.images import picture_digest
from sdcorr.prompt.crops import Crops

_CACHE_BYTES = 2**31  # 32,000 crops of Stable Diffusion 1.x: all that the images of one class of SPair-71k need

_Key = tuple[str | int, ...]  # digest of the picture, side of the crop, its box


class LatentCache:
    """Keeps latents; the least recently used are forgotten when there are too many."""

    def __init__(self, backbone: FrozenModel, budget: int = _CACHE_BYTES) -> None:
        """
        Args:
            backbone: whose VAE encodes.
            budget: bytes to keep on the backbone's device.
        """
        self.backbone = backbone
        self._room = max(1, budget // (4 * backbone.latent_channels * backbone.latent_size**2))
        self._kept: OrderedDict[_Key, Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: _Key) -> Tensor | None:
        """The latent (C, h, w) of a crop, if it is there."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def keep(self, latents: dict[_Key, Tensor]) -> None:
        """Adds latents, each (C, h, w), at the expense of the oldest."""
        self._kept |= latents
        while len(self._kept) > self._room:
            self._kept.popitem(last=False)


class CachedCrops(Crops):
    """Crops whose latents are taken from a cache, or encoded and kept there.

    Attributes:
        pictures: digests of the images.
        keys: of the images, set by who knows them: what is told of a latent that is NaN.
    """

    def __init__(self, cache: LatentCache, images: Tensor, side: int) -> None:
        """As `Crops`, for images on the CPU and the cache's backbone."""
        super().__init__(cache.backbone, images, side)
        self.pictures = [picture_digest(image) for image in images]
        self.keys: Sequence[str] = ()
        self._cache = cache

    def latents(self, boxes: Tensor) -> Tensor:
        """Latents of (B, 4) int64 boxes on the CPU: (B, C, h, w).

        Raises:
            UserError: if the VAE gives something that is no finite number; none of it is kept.
        """
        asked = [tuple(box) for box in boxes.tolist()]
        found = self._encode(dict.fromkeys(asked))
        return torch.stack([found[box] for box in asked])

    def prepare(self, boxes: Tensor) -> None:
        """Encodes the (..., 4) boxes that are not in the cache, in batches: faster than one step after the other."""
        self._encode(tuple(box) for box in boxes.flatten(0, -2).unique(dim=0).tolist())

    def _encode(self, boxes: Iterable[tuple[int, ...]]) -> dict[tuple[int, ...], Tensor]:
        """Box -> latent (C, h, w) for distinct boxes."""
        found = {box: self._cache.get(self._key(box)) for box in boxes}
        known = {box: latent for box, latent in found.items() if latent is not None}
        if missing := [box for box in found if box not in known]:
            latents = super().latents(torch.tensor(missing))
            if len(bad := (~latents.isfinite().flatten(1).all(1)).nonzero()):
                image = self.keys[missing[int(bad[0])][0]] if self.keys else None
                what = f"The latents of a crop of {image or 'a picture'} are"
                raise not_finite(what, self._cache.backbone.precision, image)
            new = {box: latent.clone() for box, latent in zip(missing, latents, strict=True)}  # no view holds a batch
            self._cache.keep({self._key(box): latent for box, latent in new.items()})
            known |= new
        return known

    def _key(self, box: tuple[int, ...]) -> _Key:
        return (self.pictures[box[0]], self.side, *box[1:])
