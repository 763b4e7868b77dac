"""Train the toybox model: `python -m sdcorr.toybox.making.train vae`, then `... unet`.

The autoencoder comes first: what its latents do not show cannot be matched. Then the UNet and the text encoder are
trained together, on latents that are computed once, with the plain diffusion objective on captioned drawings. Neither
stage sees a keypoint, a mask or a pair. Both save regularly, and the same command continues a stage that was stopped;
a larger `--images` continues a finished one.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from diffusers import AutoencoderKL
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging
from transformers import CLIPTokenizer

from sdcorr.errors import UserError
from sdcorr.toybox import anatomy
from sdcorr.toybox.making.batches import Batches, CaptionedLatents
from sdcorr.toybox.making.model_card import TRAINING, merge
from sdcorr.toybox.making.objectives import AutoencoderTraining, DiffusionTraining
from sdcorr.toybox.making.pool import drawing_pool, to_unit_range


class Keeper(Callback):
    """Saves regularly and at the end: a checkpoint, a line with the loss, and what `export` writes.

    Args:
        every: steps from one save to the next.
        checkpoint: file that training continues from; the losses are kept beside it.
        export: called with the module with averaged weights, the step, and the running mean of the loss.
    """

    def __init__(self, every: int, checkpoint: Path, export: Callable[[Any, int, float], None]) -> None:
        self.every, self.checkpoint, self.export = every, checkpoint, export
        self.running = math.nan

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the running mean of the loss, and save if it is time."""
        loss = float(outputs["loss"].detach())
        self.running = loss if math.isnan(self.running) else 0.99 * self.running + 0.01 * loss
        if trainer.global_step % self.every == 0:
            self.save(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save once more."""
        self.save(trainer)

    def save(self, trainer: L.Trainer) -> None:
        """Write the checkpoint, the export and the line with the loss."""
        partial = self.checkpoint.with_suffix(".partial")
        trainer.save_checkpoint(partial)
        partial.replace(self.checkpoint)
        self.export(_averaged(trainer), trainer.global_step, self.running)
        with self.checkpoint.with_suffix(".jsonl").open("a") as log:
            log.write(json.dumps({"step": trainer.global_step, "loss": round(self.running, 5)}) + "\n")


def _averaged(trainer: L.Trainer) -> torch.nn.Module:
    """Return the copy of the module with averaged weights, which Lightning offers no public way to."""
    callbacks = trainer.callbacks  # pyright: ignore[reportAttributeAccessIssue]  # the Trainer has it from a connector
    averaging = next(callback for callback in callbacks if isinstance(callback, EMAWeightAveraging))
    assert averaging._average_model is not None  # it is made when the fit begins
    return averaging._average_model.module


def fit(module: L.LightningModule, data: Batches, keeper: Keeper, steps: int, decay: float) -> None:
    """Run one Lightning fit, from the last checkpoint if there is one.

    Args:
        module: what is trained.
        data: its batches; after a restart they come in another order.
        keeper: saves.
        steps: when to stop, counted from the first start.
        decay: of the averaged weights, per step.
    """
    resume = keeper.checkpoint if keeper.checkpoint.exists() else None
    if resume:  # with other batches and other noise than those of the steps already taken
        data.seed += torch.load(resume, mmap=True, weights_only=True)["global_step"]
        L.seed_everything(data.seed)
    trainer = L.Trainer(
        max_steps=steps,
        precision="bf16-mixed",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
        accelerator="auto",
        devices=1,
        callbacks=[EMAWeightAveraging(decay=decay), keeper],
    )
    loader = torch.utils.data.DataLoader(data, batch_size=None)
    trainer.fit(module, loader, ckpt_path=resume, weights_only=False)


def train_vae(args: argparse.Namespace) -> None:
    """Run the first stage, which writes vae/."""
    images, _ = drawing_pool(args.work / "pool", min(args.pool, args.images))
    steps = math.ceil(args.images / args.batch)

    def export(module: AutoencoderTraining, step: int, loss: float) -> None:
        module.vae.register_to_config(scaling_factor=latent_scale(module.vae, images[:512]))
        anatomy.save_half(module.vae, args.out / "vae")
        merge(args.out / TRAINING, {"vae_images_seen": step * args.batch, "vae_loss": loss})

    keeper = Keeper(args.save_every, args.work / "vae.ckpt", export)
    data = Batches(images, batch=args.batch, seed=args.seed)
    fit(AutoencoderTraining(steps), data, keeper, steps, decay=0.998)


def train_unet(args: argparse.Namespace) -> None:
    """Run the second stage, which writes unet/, text_encoder/, tokenizer/, scheduler/ and model_index.json.

    Raises:
        UserError: if there is no autoencoder yet.
    """
    if not (args.out / "vae").exists():
        raise UserError(f"There is no autoencoder in {args.out}: train it first, with the stage vae in place of unet.")
    images, captions = drawing_pool(args.work / "pool", args.pool)
    vae = AutoencoderKL.from_pretrained(args.out / "vae", dtype=torch.float32).eval()
    latents = cached_latents(vae, images, args.work / "latents")
    if (args.out / "tokenizer").exists():  # the text encoder has learned the numbers of its tokens
        tokenizer = CLIPTokenizer.from_pretrained(args.out / "tokenizer")
    else:
        tokenizer = anatomy.build_tokenizer(captions[:20000], args.out / "tokenizer")
        tokenizer.save_pretrained(args.out / "tokenizer")
    tokens = torch.cat(
        [anatomy.tokenize(tokenizer, captions[i : i + 4096]) for i in range(0, len(captions), 4096)]
    ).short()
    empty = anatomy.tokenize(tokenizer, [""])[0].short()
    anatomy.build_scheduler().save_pretrained(args.out / "scheduler")
    anatomy.write_model_index(args.out)
    steps = math.ceil(args.images / args.batch)

    machine = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.machine()} CPU"
    facts = {"drawings": args.pool, "seed": args.seed, "machine": machine}

    def export(module: DiffusionTraining, step: int, loss: float) -> None:
        anatomy.save_half(module.unet, args.out / "unet")
        anatomy.save_half(module.text_encoder, args.out / "text_encoder")
        merge(args.out / TRAINING, {"images_seen": step * args.batch, "loss": loss, **facts})

    keeper = Keeper(args.save_every, args.work / "unet.ckpt", export)
    data = CaptionedLatents(latents, tokens, empty, batch=args.batch, seed=args.seed)
    fit(DiffusionTraining(steps, tokenizer), data, keeper, steps, decay=0.999)


@torch.no_grad()
def latent_scale(vae: AutoencoderKL, images: np.ndarray) -> float:
    """Compute the factor that gives the latents of `images` unit variance."""
    return float(1 / _latents(vae, images).std())


@torch.no_grad()
def cached_latents(vae: AutoencoderKL, images: np.ndarray, file: Path) -> np.ndarray:
    """Return the scaled latents of all training images, `(N, 4, 16, 16)` float16.

    Args:
        vae: the trained autoencoder.
        images: `(N, S, S, 3)` uint8.
        file: start of the name of the file that keeps them; the rest names the pool's size and the autoencoder.
    """
    scale = vae.config["scaling_factor"]
    file = file.with_name(f"{file.name}-{len(images)}-{scale:.6f}.npy")
    if not file.exists():
        rows = []
        for start in range(0, len(images), 256):
            with torch.autocast(vae.device.type, torch.bfloat16):
                mean = _latents(vae, images[start : start + 256])
            rows.append((mean * scale).half().cpu().numpy())
        partial = file.with_suffix(".partial.npy")
        np.save(partial, np.concatenate(rows))
        partial.replace(file)
    return np.load(file)


def _latents(vae: AutoencoderKL, images: np.ndarray) -> torch.Tensor:
    """Encode images, `(B, S, S, 3)` uint8, to the mean of their latents, `(B, 4, 16, 16)` float32, not scaled."""
    return vae.encode(to_unit_range(images).to(vae.device), return_dict=False)[0].mean.float()


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line (or `argv`) and run one stage."""
    parser = argparse.ArgumentParser(prog="python -m sdcorr.toybox.making.train", description="Train the toybox model.")
    parser.add_argument("stage", choices=("vae", "unet"))
    parser.add_argument(
        "--images", type=int, help="how many images to train on, counting repeats (vae 100,000, unet 700,000)"
    )
    parser.add_argument("--batch", type=int, help="images per step (vae 16, unet 64)")
    parser.add_argument("--pool", type=int, default=150_000, help="distinct drawings to train on")
    parser.add_argument("--save-every", type=int, default=500, help="steps between saved models")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=anatomy.MODEL_FOLDER, help="diffusers folder to write")
    parser.add_argument("--work", type=Path, default=Path("outputs/toybox"), help="drawings, latents and checkpoints")
    args = parser.parse_args(argv)
    defaults = {"vae": (100_000, 16), "unet": (700_000, 64)}[args.stage]
    args.images, args.batch = args.images or defaults[0], args.batch or defaults[1]
    args.out.mkdir(parents=True, exist_ok=True)
    args.work.mkdir(parents=True, exist_ok=True)
    L.seed_everything(args.seed)
    {"vae": train_vae, "unet": train_unet}[args.stage](args)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
