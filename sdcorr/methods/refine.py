"""Where exactly a match lies, by the pictures themselves: the stage after localization.

Maps are smooth: they know the neighborhood, and not the pixel. So small color patches around the query point, under
every rotation, scale and reflection that the consensus knows, are laid over the places near the match. The place is
taken whose normalized cross-correlation is greatest, less a price of moving, and looked at once more in finer steps.
Where nothing correlates, the match stays as it is. No network is read, and no other point has a say.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sdcorr.errors import UserError
from sdcorr.methods.consensus import linear_parts

Refine = Literal["none", "pixels"]

# Chosen on the val split of the toybox and on a ninth of PF-Willow's pairs; benchmarks/results/subpixel.md has what
# else was tried. Pixels are those of the scaled pictures.
SIDE = 256  # longer side, in pixels, that both pictures are scaled down to; none is enlarged
WINDOW = 4.0  # pixels from the match to the farthest place
STEP = 0.5  # pixels between places
FINE = 0.125  # pixels between the places around the best of them
PATCHES = (3, 6)  # pixels from the center of a square patch to its edge, so that it has 7 x 7 or 13 x 13
SIGMA = 0.5  # of the Gaussian that weighs a patch's pixels, in units of the above
LEAST = 0.55  # correlation below which a match stays where it is
WANDER = 2.5  # pixels that maps are off by (sigma): what moving costs
NOISE = 0.01  # share of noise in even the best of patches
FLAT = 0.01  # spread of pixels, of 1, below which a patch has nothing in it to recognize


def check_refine(method: str, refine: str) -> None:
    """Raises UserError if there is no such refinement."""
    if refine not in get_args(Refine):
        raise UserError(f"refine={refine} of {method} is not legal: give {', '.join(get_args(Refine))}.")


def refined(source: Image.Image, target: Image.Image, points: np.ndarray, matches: np.ndarray) -> np.ndarray:
    """Matches at the place nearby where the pictures agree best, each by itself.

    Args:
        source, target: RGB.
        points: (V, 2) xy, pixels of the source.
        matches: (V, 2) xy, pixels of the target.

    Returns:
        (V, 2) float64, pixels of the target: within `WINDOW` pixels of the scaled target, and on the picture.
    """
    side = min(SIDE, max(source.size), max(target.size))
    (here, to_here), (there, to_there) = _scaled(source, side), _scaled(target, side)
    back = torch.linalg.inv(linear_parts())  # (O, 2, 2): from the target's pixels to the source's
    moved = matches.astype(np.float64)
    for number, (point, match) in enumerate(zip(points * to_here, matches * to_there, strict=True)):
        move = _move(here, there, torch.from_numpy(point).float(), torch.from_numpy(match).float(), back)
        moved[number] += move.double().numpy() / to_there
    return moved


def correlations(window: Tensor, patches: Tensor, weights: Tensor, dilation: int) -> Tensor:
    """Normalized cross-correlation of patches with all that they fit on.

    Each color is taken less its own mean, so that flat regions of one color have nothing in common; the spreads of the
    colors are taken together.

    Args:
        window: (3, h, w) in [0, 1].
        patches: (O, 3, k, k) in [0, 1].
        weights: (k, k) of a patch's pixels, with sum 1.
        dilation: samples of the window from one of a patch's pixels to the next.

    Returns:
        (O, h - d * (k - 1), w - d * (k - 1)) in [-1, 1], to rounding; near 0 where either side is flat.
    """
    height, width = (length - dilation * (patches.shape[-1] - 1) for length in window.shape[-2:])
    shares = weights.flatten()  # (k * k,)
    window = window - window.mean((1, 2), keepdim=True)  # smaller numbers lose less in the difference of squares below
    beneath = F.unfold(window[:, None], patches.shape[-1], dilation=dilation)  # (3, k * k, N)
    spread = (shares @ beneath.square() - (shares @ beneath).square()).mean(0).clamp(min=FLAT**2)  # (N,)
    laid = patches.flatten(2)  # (O, 3, k * k)
    laid = laid - (laid @ shares)[..., None]
    own = (laid.square() @ shares).mean(1).clamp(min=FLAT**2)  # (O,)
    products = (laid * shares).flatten(1) @ beneath.flatten(0, 1) / 3  # (O, N)
    return (products / (spread * own[:, None]).sqrt()).unflatten(1, (height, width))


def _move(source: Tensor, target: Tensor, point: Tensor, match: Tensor, back: Tensor) -> Tensor:
    """How far a match is moved, (2,) xy; all in pixels of the scaled pictures, which are (3, h, w)."""
    offsets = _offsets(WINDOW, STEP)  # (n, n, 2)
    similar, parts = _similarity(source, target, point, match, back, WINDOW, STEP).max(0)  # (n, n)
    allowed = _allowed(offsets, match, target)
    if similar[allowed].max() < LEAST:
        return torch.zeros(2)
    # The logarithm of how likely pixels are that correlate so, their noise being Gaussian and of unknown size.
    likely = -(1 + NOISE - similar.clamp(min=0).square()).log() - offsets.square().sum(-1) / (2 * WANDER**2)
    best = likely.masked_fill(~allowed, -torch.inf).flatten().argmax()
    move, part = offsets.flatten(0, 1)[best], back[parts.flatten()[best]]
    closer = _similarity(source, target, point, match + move, part[None], STEP, FINE)[0]
    moves = move + _offsets(STEP, FINE)
    closer = closer.masked_fill(~_allowed(moves, match, target), -torch.inf)
    return moves.flatten(0, 1)[closer.argmax()]


def _allowed(moves: Tensor, match: Tensor, target: Tensor) -> Tensor:
    """Which moves, (n, n, 2), keep a match within its window and on the picture, (n, n) bool."""
    places = match + moves
    on_picture = (places >= 0) & (places <= torch.tensor([target.shape[-1], target.shape[-2]]))
    return on_picture.all(-1) & (moves.square().sum(-1) <= WINDOW**2)


def _similarity(
    source: Tensor, target: Tensor, point: Tensor, match: Tensor, back: Tensor, reach: float, step: float
) -> Tensor:
    """How well the point's patches fit on the places near a match.

    Args:
        source, target: (3, h, w).
        point, match: (2,) xy.
        back: (O, 2, 2) linear parts, from the target's pixels to the source's.
        reach: pixels from the match to the farthest place, along an axis.
        step: pixels between places.

    Returns:
        (O, n, n), the mean correlation over the patches.
    """
    found = []
    for radius in PATCHES:
        pixels = _offsets(radius, 1)  # (k, k, 2)
        weights = torch.exp(-pixels.square().sum(-1) / (2 * (SIGMA * radius) ** 2))
        patches = _sample(source, point + torch.einsum("oab,ijb->oija", back, pixels))  # (3, O, k, k)
        window = _sample(target, match + _offsets(reach + radius, step)[None])[:, 0]  # (3, m, m)
        found.append(correlations(window, patches.transpose(0, 1), weights / weights.sum(), round(1 / step)))
    return torch.stack(found).mean(0)


def _offsets(reach: float, step: float) -> Tensor:
    """A square grid of steps around 0, (n, n, 2) xy."""
    count = round(reach / step)
    along = torch.arange(-count, count + 1.0) * step
    return torch.stack(torch.meshgrid(along, along, indexing="xy"), -1)


def _sample(image: Tensor, places: Tensor) -> Tensor:
    """An image (3, h, w) at places (N, i, j, 2) xy, bilinear and continued beyond the border: (3, N, i, j)."""
    count, rows = places.shape[:2]
    grid = (places / torch.tensor([image.shape[-1], image.shape[-2]]) * 2 - 1).flatten(0, 1)  # (N * i, j, 2)
    found = F.grid_sample(image[None], grid[None], padding_mode="border", align_corners=False)  # (1, 3, N * i, j)
    return found[0].unflatten(1, (count, rows))


def _scaled(picture: Image.Image, side: int) -> tuple[Tensor, np.ndarray]:
    """A picture as (3, h, w) in [0, 1], its longer side being `side` pixels, and the factors of x and y, (2,)."""
    ratio = side / max(picture.size)
    size = max(1, round(picture.width * ratio)), max(1, round(picture.height * ratio))
    scaled = picture if picture.size == size else picture.resize(size, Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(scaled.convert("RGB"), dtype=np.float32) / 255)
    return pixels.permute(2, 0, 1), np.array(size) / picture.size
