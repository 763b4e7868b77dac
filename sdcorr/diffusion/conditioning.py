"""What some UNets are told beside the noisy latents, the time and the prompt.

SDXL is told the size of the picture before it was scaled, the corner and the size of the crop that it sees, and a
pooled text (Podell et al. 2023, "SDXL", section 2.2): here the whole S x S image, and an empty text, which is zeros. A
latent consistency model is told the scale of the guidance that was distilled into it (Luo et al. 2023, section 4.3):
the default of its pipeline, for zero was never seen in its training.
"""

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor, nn

from sdcorr.diffusion.parts import config_of

GUIDANCE_SCALE = 8.5  # of diffusers' LatentConsistencyModelPipeline


class Conditioning(nn.Module):
    """The inputs of a UNet that are the same for every image; none for Stable Diffusion 1.x and 2.x.

    Args:
        unet: whose configuration says what it wants.
        side: S of the image in pixels.
    """

    sizes: Tensor | None
    pooled_text: Tensor | None
    guidance: Tensor | None

    def __init__(self, unet: UNet2DConditionModel, side: int) -> None:
        super().__init__()
        config = config_of(unet)
        sizes = pooled_text = guidance = None
        if config.addition_embed_type == "text_time":
            sizes = torch.tensor([[side, side, 0, 0, side, side]], dtype=torch.float32)  # (1, 6)
            width = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
            pooled_text = torch.zeros(1, width)
        if config.time_cond_proj_dim is not None:
            scale = torch.tensor([(GUIDANCE_SCALE - 1) * 1000])
            guidance = get_timestep_embedding(scale, config.time_cond_proj_dim, downscale_freq_shift=1)  # (1, dim)
        self.register_buffer("sizes", sizes, persistent=False)
        self.register_buffer("pooled_text", pooled_text, persistent=False)
        self.register_buffer("guidance", guidance, persistent=False)

    def forward(self, batch: int, dtype: torch.dtype) -> dict[str, Tensor | dict[str, Tensor]]:
        """The further arguments of the UNet for a batch."""
        told: dict[str, Tensor | dict[str, Tensor]] = {}
        if self.sizes is not None and self.pooled_text is not None:
            sizes, text = self.sizes.expand(batch, -1), self.pooled_text.expand(batch, -1)
            told["added_cond_kwargs"] = {"time_ids": sizes, "text_embeds": text.to(dtype)}
        if self.guidance is not None:
            told["timestep_cond"] = self.guidance.to(dtype).expand(batch, -1)
        return told
