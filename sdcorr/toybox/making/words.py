"""Where the words of a caption look: cross-attention maps of part names, and how well they cover the parts.

The whole method rests on this: a model that was only told which images have a `wheel` has learned where the wheel is.
A drawing is encoded and noised, its own caption goes through the text encoder, and the map of one of the caption's
tokens is read as the method reads the map of a token that it optimizes. Nothing is optimized here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from sdcorr.diffusion.backbone import FrozenDiffusion
from sdcorr.images import image_to_tensor
from sdcorr.toybox.anatomy import tokenize
from sdcorr.toybox.world import Drawing

LAYERS = ("up_blocks.2.attentions.1",)  # the layer whose maps cover the parts best, on val drawings that are not scored
TIMESTEP = 140  # chosen on the same drawings; anything from 40 to 260 is as good
DRAWS = 8  # noise draws that a map is the mean of
LEAST = 6.0  # pixels of a part that must be visible for its word to count


@dataclass(frozen=True)
class Word:
    """A part that a caption names."""

    part: str
    token: int  # index of the part's last word ("wheel" of "rear wheel") among the caption's tokens


class Interval(NamedTuple):
    """A value with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class WordScore:
    """How well the maps of some words cover their parts; fractions are means over the words."""

    words: int  # how many
    area: float  # fraction of the image that the part covers, which is the mass that a uniform map would have in it
    mass: float  # fraction of the map's mass that lies in the part
    peak: float  # fraction of the maps whose greatest pixel lies in the part
    lift: Interval  # sum of mass by sum of area


class WordReader:
    """A diffusion model with its text encoder, which reads the maps of words.

    Args:
        folder: a diffusers folder with text_encoder/ and tokenizer/.
        layers: cross-attention layers to read.
    """

    def __init__(self, folder: Path, layers: Sequence[str] = LAYERS) -> None:
        self.backbone = FrozenDiffusion.load(str(folder), layers=layers)
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32).eval()

    @torch.no_grad()
    def maps(
        self, drawing: Drawing, words: Sequence[Word], *, timestep: int = TIMESTEP, draws: int = DRAWS, seed: int = 0
    ) -> Tensor:
        """Read the attention maps of words of a drawing's caption on that drawing.

        Args:
            drawing: an image and its caption.
            words: W words of the caption.
            timestep: how much noise the image is given.
            draws: noise draws that a map is the mean of.
            seed: of the noise.

        Returns:
            `(W, L, S, S)`: mean over heads and noise draws, each map of mass 1, layers in the order they are read.
        """
        backbone = self.backbone
        context = self.text_encoder(tokenize(self.tokenizer, [drawing.caption])).last_hidden_state  # (1, T, D)
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
    """List the parts that a drawing's caption names and that are visible enough, in the order of drawing."""
    caption = drawing.caption.split()
    found = []
    for part, mask in drawing.masks.items():
        name = part.split()
        ends = [i for i in range(len(name), len(caption) + 1) if caption[i - len(name) : i] == name]
        if ends and mask.sum() >= LEAST:
            found.append(Word(part, token=ends[0]))  # word i is token i + 1: every word is one, after the start token
    return found


def score_words(drawings: Sequence[Drawing], maps: Sequence[np.ndarray]) -> dict[str, WordScore]:
    """Score word maps against the masks of the parts.

    Args:
        drawings: N drawings.
        maps: for each drawing `(W, S, S)`, a map of mass 1 for each of its `part_words`.

    Returns:
        The score of all words under "all", then of each noun: "wheel" is of front and rear wheels together, each map
        compared with its own wheel.
    """
    rows: dict[str, list[tuple[float, ...]]] = {"all": []}  # word -> (drawing, area, mass, peak)
    for index, word, heat, drawing in _each(drawings, maps):
        mask = drawing.masks[word.part]
        row = (index, float(mask.mean()), float((heat * mask).sum()), float(mask.flat[heat.argmax()] >= 0.5))
        for name in ("all", _noun(word.part)):
            rows.setdefault(name, []).append(row)
    scores = {}
    for name, values in rows.items():
        drawing, area, mass, peak = np.array(values).T  # each (n,)
        lift = ratio_of_sums(drawing, mass, area)
        scores[name] = WordScore(len(values), float(area.mean()), float(mass.mean()), float(peak.mean()), lift)
    return scores


def score_twins(drawings: Sequence[Drawing], maps: Sequence[np.ndarray]) -> Interval:
    """Measure whether the map of "left eye" prefers the left eye to the right one.

    Args:
        drawings: N drawings, some with parts of the same last word.
        maps: as for `score_words`.

    Returns:
        Of the attention per pixel to a part and to its twin, the part's fraction: mean over all words with a visible
        twin. At 1 the words tell twins apart, at 0.5 they do not.
    """
    rows = []
    for index, word, heat, drawing in _each(drawings, maps):
        own = drawing.masks[word.part]
        for part, mask in drawing.masks.items():
            if part != word.part and _noun(part) == _noun(word.part) and mask.sum() >= LEAST:
                here, there = (heat * own).sum() / own.sum(), (heat * mask).sum() / mask.sum()
                rows.append((index, here / (here + there)))
    drawing, share = np.array(rows).T
    return ratio_of_sums(drawing, share, np.ones_like(share))


def ratio_of_sums(
    groups: np.ndarray, above: np.ndarray, below: np.ndarray, samples: int = 1000, seed: int = 0
) -> Interval:
    """Divide the sum of `above` by the sum of `below`, with a bootstrap over groups.

    Args:
        groups: `(n,)` what must stay together in a resample, such as the number of a drawing.
        above: `(n,)` terms of the numerator.
        below: `(n,)` terms of the denominator.
        samples: bootstrap resamples of the groups.
        seed: of the bootstrap.
    """
    _, group = np.unique(groups, return_inverse=True)
    sums = np.stack([np.bincount(group, above), np.bincount(group, below)])  # (2, G)
    drawn = np.random.default_rng(seed).integers(sums.shape[1], size=(samples, sums.shape[1]))
    resampled = sums[:, drawn].sum(2)  # (2, samples)
    low, high = np.percentile(resampled[0] / resampled[1], [2.5, 97.5])
    return Interval(float(np.sum(above) / np.sum(below)), float(low), float(high))


def _each(drawings: Sequence[Drawing], maps: Sequence[np.ndarray]) -> Iterator[tuple[int, Word, np.ndarray, Drawing]]:
    """Yield for every word the number of its drawing, the word, its map and the drawing."""
    for index, (drawing, own_maps) in enumerate(zip(drawings, maps, strict=True)):
        for word, heat in zip(part_words(drawing), own_maps, strict=True):
            yield index, word, heat, drawing


def _noun(part: str) -> str:
    return part.split()[-1]
