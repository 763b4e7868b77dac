"""What the model draws for a caption, and whether a classifier trained on drawings alone recognizes it.

The classifier, the judge, is small and trained on the spot, on drawings labeled with class and facing. It shares
nothing with the diffusion model, so its agreement with a caption is independent evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from torch import Tensor, nn

from sdcorr.toybox.making.pool import to_unit_range
from sdcorr.toybox.palette import ANY, COLORS
from sdcorr.toybox.world import TRAIN, draw

GUIDANCE = 4.0
STEPS = 30


def load_pipeline(folder: Path) -> StableDiffusionPipeline:
    """Load a model folder into diffusers' own pipeline, in float32 and without a progress bar."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def sample(
    pipeline: StableDiffusionPipeline,
    captions: Sequence[str],
    *,
    guidance: float = GUIDANCE,
    steps: int = STEPS,
    seed: int = 0,
    batch: int = 32,
) -> list[Image.Image]:
    """Draw one image per caption: DDIM with classifier-free guidance against the empty caption.

    An image depends only on its caption, its place in the list and the seed.

    Args:
        pipeline: the model.
        captions: one per image.
        guidance: weight of the caption against the empty one.
        steps: of DDIM.
        seed: of the noise; image i takes `seed + i`.
        batch: images drawn at once.
    """
    images = []
    for start in range(0, len(captions), batch):
        prompts = list(captions[start : start + batch])
        generators = [torch.Generator().manual_seed(seed + start + i) for i in range(len(prompts))]
        drawn, _ = pipeline(
            prompts, guidance_scale=guidance, num_inference_steps=steps, generator=generators, return_dict=False
        )
        images += drawn
    return images


@torch.no_grad()
def reconstruction_error(pipeline: StableDiffusionPipeline, images: Sequence[Image.Image]) -> float:
    """Measure the mean absolute error of the autoencoder on images, decoding the latents' mean; pixels in [-1, 1]."""
    pixels = to_unit_range(np.stack([np.asarray(image) for image in images]))  # (N, 3, S, S)
    errors = [
        (pipeline.vae.decode(pipeline.vae.encode(some).latent_dist.mean).sample - some).abs().mean((1, 2, 3))
        for some in pixels.split(64)
    ]
    return float(torch.cat(errors).mean())


def subject(caption: str) -> str:
    """Return the class and the facing that a caption names.

    >>> subject("a bird facing left on green yellow beak")
    'bird facing left'
    >>> subject("a cat on pink orange fur")
    'cat'
    """
    return caption.partition(" on ")[0].removeprefix("a ")


def recolored(caption: str, seed: int) -> str:
    """Give the parts of a caption random colors.

    An object's natural colors are few, so three in ten captions of val drawings repeat a training caption up to the
    order of its words. Of recolored captions one in a thousand does: the model has to combine what it learned.

    >>> recolored("a cat on pink orange fur white left eye", seed=0)
    'a cat on pink grey fur brown left eye'
    """
    rng = np.random.default_rng(seed)
    start, _, rest = caption.partition(" on ")
    ground, *parts = rest.split()
    parts = [str(rng.choice(ANY)) if word in COLORS else word for word in parts]
    return " ".join([start, "on", ground, *parts])


class Judge:
    """A classifier of drawings into class and facing, trained when it is made.

    Args:
        drawings: how many training drawings it learns from, always the first ones.
        epochs: how often it sees each.
        seed: of its weights and of the order.
    """

    def __init__(self, drawings: int = 12_000, epochs: int = 5, seed: int = 0) -> None:
        shown = [draw((TRAIN, index), annotate=False) for index in range(drawings)]
        subjects = [subject(drawing.caption) for drawing in shown]
        self.subjects = sorted(set(subjects))
        labels = torch.tensor([self.subjects.index(name) for name in subjects])
        pixels = np.stack([np.asarray(drawing.image) for drawing in shown])
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.network = _small_classifier(len(self.subjects))
            self._learn(pixels, labels, epochs)

    def _learn(self, pixels: np.ndarray, labels: Tensor, epochs: int, batch: int = 64) -> None:
        steps = epochs * (len(labels) // batch)
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=2e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=steps)
        order = torch.cat([torch.randperm(len(labels)) for _ in range(epochs)])
        for chosen in order[: steps * batch].split(batch):
            loss = nn.functional.cross_entropy(self.network(to_unit_range(pixels[chosen])), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        self.network.eval()

    @torch.no_grad()
    def read(self, images: Sequence[Image.Image]) -> list[str]:
        """Classify each image, in the words of `subject`."""
        pixels = to_unit_range(np.stack([np.asarray(image) for image in images]))
        return [self.subjects[index] for index in self.network(pixels).argmax(-1).tolist()]


def _small_classifier(classes: int) -> nn.Sequential:
    widths, layers = (3, 24, 48, 96, 128), []
    for narrow, wide in pairwise(widths):
        layers += [nn.Conv2d(narrow, wide, 3, stride=2, padding=1), nn.BatchNorm2d(wide), nn.ReLU()]  # side / 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2), nn.Linear(widths[-1] * 16, classes))  # 4 x 4 left
