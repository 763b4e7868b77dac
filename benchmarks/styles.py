"""Another world: the toybox's objects in other styles, to ask of a setting whether it suits one kind alone.

Outlines are inked or ragged, surfaces hatched or grainy, grounds checkered, striped or mottled and as strong in color
as the objects; nothing of it was in the drawings that the model learned from or that settings were chosen on. Poses and
keypoints are the toybox's, of drawings that no split has.

    python benchmarks/styles.py              unet_features with each consensus
    python benchmarks/styles.py PICTURE.png  a look at some
"""

from __future__ import annotations

import sys
from functools import cached_property, lru_cache

import numpy as np
import torch
from consensus import off_by, table
from PIL import Image, ImageDraw

from sdcorr.cli import build
from sdcorr.cli.compose import compose
from sdcorr.datasets import Pair, group_by_source
from sdcorr.datasets.asking import VISIBLE
from sdcorr.digests import digest
from sdcorr.methods.base import Method
from sdcorr.toybox import world
from sdcorr.toybox.canvas import BACKGROUND, SUPERSAMPLING, Color, Places, turn
from sdcorr.toybox.classes import THINGS
from sdcorr.toybox.dataset import Toybox, pair_of, seed_of
from sdcorr.toybox.palette import COLORS, paler, rgb, to_color
from sdcorr.toybox.world import SIZE, draw

WORLD = 9  # first number of the drawings' seeds; the toybox has 0, 1 and 2
SOURCES, TARGETS = 3, 4  # of each class, of each source: 84 pairs
SIDE = SIZE * SUPERSAMPLING


class Styles(Toybox):
    """Pairs of drawings in other styles; keys are those of the toybox, with another first number."""

    name = "styles"
    title = "drawings of other styles"

    def __init__(self) -> None:
        self.split = "test"

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Every source with each of its targets."""
        return tuple(
            pair_of(f"{WORLD}/{name}/{source}", target, VISIBLE)
            for name in THINGS
            for source in range(SOURCES)
            for target in range(TARGETS)
        )

    def image(self, key: str) -> Image.Image:
        """The drawing of that key, RGB, SIZE x SIZE pixels."""
        return styled(key)

    def digest(self, key: str) -> str:
        """That of the drawing's pixels."""
        return digest(styled(key).tobytes())


@lru_cache(maxsize=512)
def styled(key: str) -> Image.Image:
    """The drawing of a key in another style: the same object, pose and occluder."""
    strokes: list[tuple[Places, Color]] = []
    _record(key, strokes)
    rng = np.random.default_rng((*seed_of(key), 1))
    ground = Image.fromarray(_ground(rng))
    ink: Color = to_color(rgb("black") + rng.normal(0, 10, 3))
    ragged, width = rng.random() < 0.5, int(rng.integers(3, 7))
    picture = ground.copy()
    pen = ImageDraw.Draw(picture)
    covered = Image.new("L", (SIDE, SIDE), BACKGROUND)
    cover = ImageDraw.Draw(covered)
    for outline, color in strokes:
        z = outline * SUPERSAMPLING + (rng.normal(0, 2, (2, len(outline))) * ragged).T @ np.array([1, 1j])
        corners = list(zip(z.real.tolist(), z.imag.tolist(), strict=True))
        pen.polygon(corners, fill=color)
        pen.line([*corners, corners[0]], fill=ink, width=width)
        cover.polygon(corners, fill=1)
    on_object = np.asarray(covered, dtype=bool)[..., None]
    surface = np.asarray(picture) + _texture(rng)[..., None] * on_object
    return Image.fromarray(surface.clip(0, 255).astype(np.uint8)).reduce(SUPERSAMPLING)


def _record(key: str, strokes: list[tuple[Places, Color]]) -> None:
    """Notes the shapes that the toybox paints for a key, in pixels, from back to front."""

    def note(shapes: list[tuple[Places, Color]], ground: np.ndarray) -> Image.Image:
        strokes.extend(shapes)
        return usual(shapes, ground)

    usual, world.paint = world.paint, note
    try:
        draw(seed_of(key), category=key.split("/")[1], annotate=False)
    finally:
        world.paint = usual


def _ground(rng: np.random.Generator) -> np.ndarray:
    """Checks, stripes or patches of two colors, (SIDE, SIDE, 3) uint8."""
    names = rng.choice(sorted(COLORS), 2, replace=False)
    first, second = (paler(rgb(str(name)), rng.uniform(0.1, 0.4)) for name in names)
    y, x = np.mgrid[:SIDE, :SIDE] / SUPERSAMPLING  # pixels
    z = (x + 1j * y) * turn(rng.uniform(0, np.pi))
    step, kind = rng.uniform(5, 14), int(rng.integers(3))
    if kind == 0:
        other = (z.real // step + z.imag // step) % 2 > 0
    elif kind == 1:
        other = z.real // step % 2 > 0
    else:
        patches = Image.fromarray(rng.random((9, 9)).astype(np.float32))
        other = np.asarray(patches.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) > 0.5
    return np.where(other[..., None], first, second).astype(np.uint8)


def _texture(rng: np.random.Generator) -> np.ndarray:
    """Hatching or grain that goes over the object, (SIDE, SIDE), added to its colors."""
    y, x = np.mgrid[:SIDE, :SIDE] / SUPERSAMPLING
    if rng.random() < 0.5:
        along = ((x + 1j * y) * turn(rng.uniform(0, np.pi))).real
        return np.where(along % rng.uniform(2.5, 5) < 1, -45.0, 0.0)
    grain = Image.fromarray(rng.normal(0, 28, (SIZE, SIZE)).astype(np.float32))
    return np.asarray(grain.resize((SIDE, SIDE), Image.Resampling.NEAREST), dtype=float)


def main() -> None:
    """Shows some drawings, or prints how a consensus does on them."""
    benchmark = Styles()
    if len(sys.argv) > 1:
        shown = Image.new("RGB", (7 * 2 * SIZE, 4 * 2 * SIZE))
        for number, pair in enumerate(benchmark.pairs[::3]):
            large = benchmark.image(pair.target).resize((2 * SIZE, 2 * SIZE))
            shown.paste(large, (number % 7 * 2 * SIZE, number // 7 * 2 * SIZE))
        shown.save(sys.argv[1])
        return
    ways = ("none", "dense", "dense_flip", "joint")
    entries = ",".join(f"{{method: unet_features, draws: 1, consensus: {way}, name: {way}}}" for way in ways)
    methods = build.methods(compose("eval", f"methods=[{entries}]", "embeddings=null", "logger=none"), benchmark)
    off = {way: distances(entry.method, benchmark) for way, entry in zip(ways, methods, strict=True)}
    print(table(off, benchmark.pairs))


def distances(method: Method, benchmark: Styles) -> list[np.ndarray]:
    """Of each pair how far its points are off, in longer sides of the target's box."""
    units = group_by_source(benchmark.pairs)
    found = {pair.id: match for unit in units for pair, match in method.match(unit, benchmark.image)}
    return [off_by(pair, found[pair.id].points) for pair in benchmark.pairs]


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
