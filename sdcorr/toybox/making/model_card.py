"""The card of the shipped model: what was measured of it, as numbers (card.json) and as prose (README.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sdcorr.files import write_whole
from sdcorr.toybox.anatomy import TOKENS
from sdcorr.toybox.classes import THINGS
from sdcorr.toybox.world import SIZE

TRAINING = "training.json"  # written by the training, beside the weights
CARD = "card.json"  # the same facts, and what was measured afterwards

Facts = dict[str, str | int | float]


def read_facts(file: Path) -> Facts:
    """Read the facts in a JSON file; there are none if there is no such file."""
    return json.loads(file.read_text()) if file.exists() else {}


def merge(file: Path, facts: Mapping[str, str | int | float]) -> Facts:
    """Add facts to a JSON file, in place of older ones of the same names, and return all facts that it then holds."""
    known = read_facts(file) | dict(facts)
    write_whole(file, json.dumps(known, indent=2) + "\n")
    return known


def scores(summary: Mapping[str, str | int | float], alpha: str = "0.10") -> Facts:
    """Choose from an evaluation's summary what goes on the card: PCK per point at one threshold, of all methods."""
    wanted = rf"protocol|pairs|points|(baseline/[^/]+/)?pck@{alpha}/per_point(/ambiguous|/distinct)?(/low|/high)?"
    return {name: value for name, value in summary.items() if re.fullmatch(wanted, name)}


def write_readme(folder: Path) -> Path:
    """Write the folder's README.md from its card.json, and return its path."""
    facts = read_facts(folder / CARD)
    text = _TEMPLATE.format(
        size=SIZE,
        tokens=TOKENS,
        things=", ".join(THINGS),
        rows="\n".join(f"| {what} | {value} |" for what, value in _rows(facts)),
    )
    write_whole(folder / "README.md", text)
    return folder / "README.md"


def _rows(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield the rows of the card's table; a fact that was not measured has none."""
    yield from _known(facts, _TRAINING_LINES + _PICTURE_LINES)
    words = {found[1]: facts[key] for key in facts if (found := re.fullmatch(r"words/(?!all/)(.+)/lift", key))}
    if words:
        yield (
            "the same, word by word",
            ", ".join(f"{w} {words[w]:.1f}" for w in sorted(words, key=lambda w: float(words[w]))[::-1]),
        )
    yield from _known(facts, _POINT_LINES)
    for key in facts:
        if found := re.fullmatch(r"(?:baseline/([^/]+)/)?pck@([\d.]+)/per_point(?:/(\w+))?", key):
            method, alpha, kind = found.groups()
            if kind in (None, "ambiguous", "distinct"):
                label = f"PCK@{float(alpha):g} per point, {method or 'prompt'}"
                yield (
                    label + (f", {kind} points" if kind else ""),
                    f"{facts[key]:.3f}" + _interval(facts, key, "{:.3f}"),
                )


def _known(facts: Facts, lines: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str]]:
    for key, what, form in lines:
        if key in facts:
            yield what, form.format(facts[key]) + _interval(facts, key, form)


def _interval(facts: Facts, key: str, form: str) -> str:
    low, high = facts.get(f"{key}/low"), facts.get(f"{key}/high")
    return "" if low is None else f" [{form.format(low)}, {form.format(high)}]"


_TRAINING_LINES = (  # key, meaning, format
    ("images_seen", "training images seen by the UNet", "{:,}"),
    ("drawings", "distinct drawings among them", "{:,}"),
    ("loss", "training loss at the end (v-prediction, min-SNR weights)", "{:.4f}"),
    ("vae_images_seen", "training images seen by the autoencoder", "{:,}"),
    ("vae_loss", "the autoencoder's training loss at the end", "{:.4f}"),
    ("seed", "seed", "{}"),
    ("machine", "trained on", "{}"),
)
_PICTURE_LINES = (
    ("vae_l1", "autoencoder, mean absolute error on val drawings (pixels in [-1, 1])", "{:.4f}"),
    ("judge/drawings", "val drawings whose class and facing a separate classifier reads as captioned", "{:.3f}"),
    ("judge/drawings/class", "val drawings whose class it reads as captioned", "{:.3f}"),
    ("judge/samples", "samples whose class and facing it reads as captioned", "{:.3f}"),
    ("judge/samples/class", "samples whose class it reads as captioned", "{:.3f}"),
    ("words/all/area", "fraction of a val drawing that a named part covers", "{:.3f}"),
    ("words/all/mass", "fraction of a part name's attention that lies on the part", "{:.3f}"),
    ("words/all/peak", "attention maps of part names whose peak lies on the part", "{:.3f}"),
    (
        "words/twins",
        "of a word's attention to its part and to the part on the other side, fraction on its own",
        "{:.3f}",
    ),
    ("words/all/lift", "attention on the part over the part's fraction of the area (1: chance)", "{:.1f}"),
)
_POINT_LINES = (
    ("protocol", "protocol of the PCK below", "{}"),
    ("pairs", "pairs", "{}"),
    ("points", "points", "{}"),
)

_TEMPLATE = """# The toybox model

A text-to-image diffusion model with Stable Diffusion's anatomy, small enough to ship: {size} x {size} pixels, captions
of up to {tokens} tokens. The folder is an ordinary diffusers folder with weights in half precision:

```python
import torch
from diffusers import StableDiffusionPipeline

pipeline = StableDiffusionPipeline.from_pretrained("sdcorr/toybox/model", dtype=torch.float32)
pipeline("a bird facing left on green yellow beak red wing", guidance_scale=4, num_inference_steps=30).images[0]
```

It knows these things: {things}.
It has seen drawings of them, with captions that name colors and parts, and nothing else: no keypoint, no mask, no
pair, no photograph. It is made for trying semantic correspondence without a GPU or a download, and can draw nothing
but these things.

| | |
|---|---|
{rows}

Brackets are 95 % bootstrap intervals. Written by `python -m sdcorr.toybox.making.showcase` from `card.json`.
To train such a model, run `python -m sdcorr.toybox.making.train vae`, then `python -m sdcorr.toybox.making.train unet`.
"""
