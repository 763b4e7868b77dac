"""Where a caption's words look: cross-attention maps of part names on drawings, and how well they lie on the parts.

This is what the whole method rests on: a model that was only ever told which pictures have a `wheel` has learnt where
the wheel is. A drawing is encoded and noised, its own caption goes through the text encoder, and the map of one of the
caption's tokens is read just as the method reads the map of a token that it optimises. Nothing is optimised here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from sdcorr.diffusion.backbone import FrozenDiffusion
from sdcorr.images import image_to_tensor

from .anatomy import tokenise
from .world import Drawing

LAYERS = ("up_blocks.2.attentions.1",)  # the layer whose maps lie best on the parts of val drawings that are not scored
TIMESTEP = 140  # chosen likewise; anything from 40 to 260 is as good
DRAWS = 8  # noise draws that a map is the mean of
LEAST = 6.0  # pixels of a part that must be in sight for its word to be looked at


@dataclass(frozen=True)
class Word:
    """A part that a caption names."""

    part: str
    token: int  # index of the part's last word ("wheel" of "rear wheel") among the caption's tokens


@dataclass(frozen=True)
class WordScore:
    """How well the maps of some words lie on their parts; shares are means over the words."""

    words: int
    area: float  # share of the picture that the part covers: what a map without any idea would have in it
    mass: float  # share of the map's mass that lies in the part
    peak: float  # share of the maps whose greatest pixel lies in the part
    lift: float  # mass / area
    low: float  # 95 % bootstrap interval of the lift, over drawings
    high: float


class WordReader:
    """A diffusion model together with its text encoder, to read the maps of words.

    Args:
        folder: a diffusers folder with text_encoder/ and tokenizer/.
        layers: cross-attention layers to read.
    """

    def __init__(self, folder: Path, layers: Sequence[str] = LAYERS):
        self.backbone = FrozenDiffusion.load(str(folder), layers=layers)
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32).eval()

    @torch.no_grad()
    def maps(
        self, drawing: Drawing, words: Sequence[Word], *, timestep: int = TIMESTEP, draws: int = DRAWS, seed: int = 0
    ) -> Tensor:
        """The maps of words of a drawing's caption on the drawing.

        Args:
            drawing: a picture and its caption.
            words: W words of the caption.
            timestep: how much noise the picture is given.
            draws: noise draws that a map is the mean of.
            seed: of the noise.

        Returns:
            `(W, L, S, S)`: mean over heads and noise, the mass of each being 1, in the order of the layers.
        """
        backbone = self.backbone
        context = self.text_encoder(tokenise(self.tokenizer, [drawing.caption])).last_hidden_state  # (1, T, D)
        latents = backbone.encode(image_to_tensor(drawing.image, backbone.image_size)[None])  # (1, C, h, w)
        noise = torch.randn(draws, *latents.shape[1:], generator=torch.Generator().manual_seed(seed))
        noisy = backbone.add_noise(latents, noise, timestep)  # (draws, C, h, w)
        maps = []
        for word in words:
            read = backbone.attention_maps(
                noisy, timestep, context.expand(draws, -1, -1), token=word.token, heads="all"
            )  # L of (draws, heads, h_l, w_l)
            large = [
                F.interpolate(m.mean((0, 1))[None, None], size=drawing.image.size[::-1], mode="bilinear")[0, 0]
                for m in read
            ]
            maps.append(torch.stack(large))  # (L, S, S)
        stacked = torch.stack(maps)
        return stacked / stacked.sum((-2, -1), keepdim=True)


def part_words(drawing: Drawing) -> list[Word]:
    """The parts that a drawing's caption names, if enough of them is in sight, in the order of drawing."""
    caption = drawing.caption.split()
    found = []
    for part, mask in drawing.masks.items():
        name = part.split()
        ends = [i for i in range(len(name), len(caption) + 1) if caption[i - len(name) : i] == name]
        if ends and mask.sum() >= LEAST:
            found.append(Word(part, token=ends[0]))  # word i is token i + 1: every word is one, after the start token
    return found


def score_words(
    drawings: Sequence[Drawing], maps: Sequence[np.ndarray], *, samples: int = 1000, seed: int = 0
) -> dict[str, WordScore]:
    """Scores word maps against the masks of the parts.

    Args:
        drawings: N drawings.
        maps: for each drawing `(W, S, S)`, a map of mass 1 for each of its `part_words`.
        samples: bootstrap resamples of the drawings.
        seed: of the bootstrap.

    Returns:
        The score of all words under "all", then of each word: "wheel" is front and rear wheels alike, each held against
        its own wheel.
    """
    rows: dict[str, list[tuple[int, float, float, float]]] = {"all": []}  # word -> (drawing, area, mass, peak)
    for index, (drawing, own_maps) in enumerate(zip(drawings, maps, strict=True)):
        for word, heat in zip(part_words(drawing), own_maps, strict=True):
            mask = drawing.masks[word.part]
            peak = mask.flat[heat.argmax()] >= 0.5
            row = (index, float(mask.mean()), float((heat * mask).sum()), float(peak))
            for name in ("all", word.part.split()[-1]):
                rows.setdefault(name, []).append(row)
    return {name: _score(np.array(values), samples, seed) for name, values in rows.items()}


def _score(rows: np.ndarray, samples: int, seed: int) -> WordScore:
    """The score of words given as rows `(n, 4)`: drawing, area, mass, peak."""
    _, drawing = np.unique(rows[:, 0], return_inverse=True)
    area, mass = (np.bincount(drawing, rows[:, column]) for column in (1, 2))  # (drawings,) sums over their words
    drawn = np.random.default_rng(seed).integers(len(area), size=(samples, len(area)))
    low, high = np.percentile(mass[drawn].sum(1) / area[drawn].sum(1), [2.5, 97.5])
    means = rows[:, 1:].mean(0).tolist()
    return WordScore(len(rows), *means, float(mass.sum() / area.sum()), float(low), float(high))
