"""Joint attention: Stable Diffusion 3 and 3.5, FLUX.1, whose image and text tokens attend to one another."""

from sdcorr.diffusion.joint.loading import is_joint
from sdcorr.diffusion.joint.model import JointDiffusion

__all__ = ["JointDiffusion", "is_joint"]
