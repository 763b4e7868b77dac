"""What the toybox model is trained for: an autoencoder of drawings, and diffusion of captioned latents."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from transformers import CLIPTokenizer

from sdcorr.toybox import anatomy
from sdcorr.toybox.making.pool import to_unit_range

MIN_SNR = 5.0  # gamma of the min-SNR loss weighting


def trapezoid(step: int, steps: int, warm_up: int = 200, cool_down: float = 0.25) -> float:
    """Learning-rate factor: up over `warm_up` steps, level, linearly down to 0 over the last fraction `cool_down`."""
    return max(0.0, min(1.0, (step + 1) / warm_up, (steps - step) / (cool_down * steps)))


class AutoencoderTraining(L.LightningModule):
    """Trains the autoencoder: L1 on pixels, L1 on the differences of neighbors (for sharp edges), and a very small KL.

    Args:
        steps: how many there will be, which sets the learning rate's schedule.
        learning_rate: its highest.
    """

    def __init__(self, steps: int, learning_rate: float = 2e-3) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.vae = anatomy.build_vae()

    def training_step(self, batch: tuple[torch.Tensor]) -> torch.Tensor:
        """Return the loss of `(B, S, S, 3)` uint8 images."""
        images = to_unit_range(batch[0])  # (B, 3, S, S)
        posterior = self.vae.encode(images, return_dict=False)[0]
        latents: Any = posterior.sample()  # (B, 4, S / 4, S / 4)
        error = self.vae.decode(latents, return_dict=False)[0].float() - images
        edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
        self.log("l1", error.abs().mean(), prog_bar=True)
        return error.abs().mean() + edges + 1e-6 * posterior.kl().mean()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW whose learning rate follows `trapezoid`."""
        return _adam_with_trapezoid(self, self.hparams)


class DiffusionTraining(L.LightningModule):
    """Trains UNet and text encoder together: v-prediction of noised latents given their captions, min-SNR weights.

    Args:
        steps: how many there will be, which sets the learning rate's schedule.
        tokenizer: of the captions.
        learning_rate: its highest.
    """

    alphas: torch.Tensor  # (1000,) the scheduler's cumulative products

    def __init__(self, steps: int, tokenizer: CLIPTokenizer, learning_rate: float = 1.5e-3) -> None:
        super().__init__()
        self.save_hyperparameters(ignore="tokenizer")
        self.unet = anatomy.build_unet()
        self.text_encoder = anatomy.build_text_encoder(tokenizer)
        self.register_buffer("alphas", anatomy.build_scheduler().alphas_cumprod, persistent=False)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Return the loss of `(B, 4, 16, 16)` latents and their `(B, T)` tokens."""
        latents, tokens = batch  # (B, 4, 16, 16), (B, T)
        latents = latents.float()
        t = torch.randint(0, len(self.alphas), latents.shape[:1], device=latents.device)
        alpha = self.alphas[t][:, None, None, None]  # (B, 1, 1, 1)
        noise = torch.randn_like(latents)
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        velocity = alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
        context = self.text_encoder(tokens.long()).last_hidden_state  # (B, T, D)
        error = (self.unet(noisy, t, context).sample.float() - velocity).square().mean((1, 2, 3))  # (B,)
        snr = self.alphas[t] / (1 - self.alphas[t])
        loss = (error * snr.clamp(max=MIN_SNR) / (snr + 1)).mean()
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW whose learning rate follows `trapezoid`."""
        return _adam_with_trapezoid(self, self.hparams)


def _adam_with_trapezoid(module: L.LightningModule, hparams: Any) -> OptimizerLRSchedulerConfig:
    optimizer = torch.optim.AdamW(module.parameters(), lr=hparams.learning_rate, weight_decay=1e-2, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: trapezoid(step, hparams.steps))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
