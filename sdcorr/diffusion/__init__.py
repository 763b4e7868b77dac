"""Image -> latents -> cross-attention maps of named layers: frozen, and differentiable in the embedding."""

from sdcorr.diffusion.backbone import FrozenDiffusion
from sdcorr.diffusion.model import FrozenModel

__all__ = ["FrozenDiffusion", "FrozenModel"]
