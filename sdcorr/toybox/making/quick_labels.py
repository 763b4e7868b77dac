"""First labels for the toybox's student: nearest neighbors of the UNet's own features, under one fit for each pair.

    python -m sdcorr.toybox.making.quick_labels --out outputs/quick-labels

A student of these can make the next ones, of other drawings: `--first 120 method=student method.student=FOLDER`.

They are worth less each than those of `sdcorr label`, which optimizes, but cost a hundredth: minutes for 80,000 on two
CPU cores. Only training drawings are looked at, and of them the pictures alone. For each pair the matches of a coarse
grid say which similarity or mirrored similarity sends the one object to the other (as in `sdcorr.methods.consensus`,
but once for the whole pair); a point's match is the best cell near the place that it sends the point to. A label is
kept where the way back ends near its start, in that half of a class's pairs whose matches agree most on one fit: of
training drawings' keypoints, which nothing else reads, 77 % are right without the latter and 87 % with it.
"""

from __future__ import annotations

import argparse
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sdcorr.cli import build
from sdcorr.cli.compose import compose
from sdcorr.files import write_whole
from sdcorr.methods.consensus import Matches, linear_parts, match_cells
from sdcorr.methods.features import FeatureMethod, cosine_maps, features_at
from sdcorr.methods.maps import Features
from sdcorr.methods.peaks import argmax
from sdcorr.toybox.classes import THINGS
from sdcorr.toybox.dataset import Toybox
from sdcorr.toybox.world import SIZE, TRAIN, draw

SERIES = 7  # last number of the drawings' seeds, which no other use of the training world has
POINTS, APART = 16, 3.0  # of a source, and pixels between two of them
COARSE, STRONGEST = 16, 250  # cells a side that are matched, and matches that have a say
FITS, POWER = 3, 4  # linear parts that are kept, and how much less the weaker ones count
REACH, ELSEWHERE = 0.12, 0.02  # sigma round the expected place, in sides; what counts anywhere else
SHARPNESS = 0.08  # a cosine that is so much greater is e times as likely
OFFSETS, BEYOND = 20, 0.2  # cells a side in which offsets are counted, from -BEYOND to 1 + BEYOND sides
CLOSE, CLOSER = 0.1, 0.05  # sides: matches that refine a fit; a way back that is kept


@dataclass(frozen=True)
class Fit:
    """A linear part that sends one object to the other, and where it sends the picture's middle."""

    weight: float  # share of all matches' weights that speak for it
    linear: Tensor  # (2, 2)
    middle: Tensor  # (2,) in sides of the target

    def expected(self, points: Tensor, back: bool) -> Tensor:
        """Where points (P, 2), in sides, are sent, or where they come from."""
        if back:
            return (points - self.middle) @ torch.linalg.inv(self.linear).T + 0.5
        return (points - 0.5) @ self.linear.T + self.middle


def fits_of(matches: Matches) -> list[Fit]:
    """The linear parts that most matches agree on with one offset."""
    strongest = matches.weights.topk(min(STRONGEST, len(matches.weights))).indices
    source, target, weights = (each[strongest] for each in (matches.source, matches.target, matches.weights))
    linear = linear_parts()
    middles = target[None] - torch.einsum("oab,mb->oma", linear, source - 0.5)  # (O, M, 2)
    cells = ((middles + BEYOND) / (1 + 2 * BEYOND) * OFFSETS).floor().long().clamp(0, OFFSETS - 1)
    votes = torch.zeros(len(linear), OFFSETS**2)
    votes.scatter_add_(1, cells[..., 1] * OFFSETS + cells[..., 0], weights.expand(len(linear), -1))
    smooth = votes.view(-1, 1, OFFSETS, OFFSETS)
    for _ in range(2):
        smooth = F.avg_pool2d(smooth, 3, 1, 1)
    most, where = smooth.flatten(1).max(1)
    found = []
    for part in most.topk(FITS).indices.tolist():
        center = torch.tensor([where[part] % OFFSETS + 0.5, where[part] // OFFSETS + 0.5])
        center = center / OFFSETS * (1 + 2 * BEYOND) - BEYOND
        near = weights * torch.exp(-(middles[part] - center).square().sum(-1) / (2 * CLOSE**2))
        middle = (middles[part] * near[:, None]).sum(0) / near.sum()
        found.append(Fit(float(most[part] / weights.sum()), linear[part], middle))
    return found


def find(
    source: Features, target: Features, points: np.ndarray, fits: Sequence[Fit], back: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The best cell for each point, near where the fits send it.

    Args:
        source: features of the picture with the points.
        target: features of the other.
        points: (P, 2) pixels.
        fits: from the source to the target, or with `back` from the target to the source.
        back: see above.

    Returns:
        (P, 2) pixels; (P,) cosines.
    """
    cells = torch.from_numpy(source.layout.to_grid(points, source.values.shape)).float()
    maps = cosine_maps(features_at(source.values, cells), target.values, (SIZE, SIZE))
    x = (torch.arange(SIZE) + 0.5) / SIZE
    centers = torch.stack(torch.meshgrid(x, x, indexing="xy"), -1)  # (S, S, 2)
    likely = torch.full_like(maps, ELSEWHERE)
    for fit in fits:
        places = fit.expected(torch.from_numpy(points / SIZE).float(), back)
        squares = (centers - places[:, None, None]).square().sum(-1)  # (P, S, S)
        likely += (fit.weight / fits[0].weight) ** POWER * torch.exp(-squares / (2 * REACH**2))
    found, _ = argmax(maps / SHARPNESS + likely.log())
    columns, rows = found.long().unbind(1)
    return found.double().numpy(), maps[torch.arange(len(maps)), rows, columns].numpy()


def choose_points(image: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """Points where the picture changes, spread, (P, 2) pixels: on the object rather than on the plain ground."""
    down, across = np.gradient(np.asarray(image, dtype=float), axis=(0, 1))
    edges = np.sqrt((across**2 + down**2).sum(-1))  # (S, S)
    for axis in (0, 1):
        edges = np.apply_along_axis(lambda row: np.convolve(row, np.ones(5) / 5, "same"), axis, edges)
    weights = np.minimum(edges, np.quantile(edges, 0.8))
    weights[weights < min(8, np.quantile(edges, 0.6))] = 0
    weights = (weights + 1e-9).ravel()
    chosen: list[np.ndarray] = []
    for cell in rng.choice(SIZE * SIZE, 400, p=weights / weights.sum()):
        point = np.array([cell % SIZE, cell // SIZE]) + rng.random(2)
        if all(np.hypot(*(point - other)) > APART for other in chosen):
            chosen.append(point)
        if len(chosen) == POINTS:
            break
    return np.array(chosen)


@torch.no_grad()
def label_class(name: str, method: FeatureMethod, indices: Sequence[int], targets: int) -> tuple[dict, dict]:
    """Labels of one class's drawings.

    Args:
        name: of the class.
        method: whose features are compared.
        indices: of the drawings, each of them a source.
        targets: of each source.

    Returns:
        Columns of the labels, and of the pictures, in the format of `sdcorr label`.
    """
    number, drawings = zlib.crc32(name.encode()), len(indices)
    keys = [f"{TRAIN}/{name}/{index}" for index in indices]
    seeds = [(TRAIN, number, index, SERIES) for index in indices]
    images = dict(zip(keys, (draw(seed, name, annotate=False).image for seed in seeds), strict=True))
    features = [method.read(key, images.__getitem__, name) for key in keys]
    coarse = [each.pooled(COARSE) for each in features]
    rng = np.random.default_rng(number)
    rows: list[tuple] = []
    for index, key in enumerate(keys):
        points = choose_points(images[key], rng)
        others = [other for other in range(drawings) if other != index]
        for other in rng.choice(others, min(targets, len(others)), replace=False):
            fits = fits_of(match_cells(coarse[index], coarse[other], (SIZE, SIZE), (SIZE, SIZE)))
            agreement = fits[0].weight
            places, cosines = find(features[index], features[other], points, fits)
            returned, _ = find(features[other], features[index], places, fits, back=True)
            ways = np.hypot(*(returned - points).T) / SIZE
            for track, (point, place, cosine, way) in enumerate(zip(points, places, cosines, ways, strict=True)):
                judged = max(0.0, float(cosine)), float(way), agreement
                rows.append((f"{key}#{track}", name, key, keys[other], *point, *place, *judged))
    columns = ("track", "category", "source", "target", "source_x", "source_y", "target_x", "target_y")
    columns += ("confidence", "way_back", "agreement")
    labels: dict[str, list] = {column: [row[place] for row in rows] for place, column in enumerate(columns)}
    way, agreement = np.array(labels["way_back"]), np.array(labels["agreement"])
    labels["kept"] = ((way < CLOSER) & (agreement >= np.median(agreement))).tolist()
    pictures = {"key": keys, "png": [_png(images[key]) for key in keys], "category": [name] * drawings}
    return labels, pictures | {"width": [SIZE] * drawings, "height": [SIZE] * drawings}


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def main(argv: Sequence[str] | None = None) -> None:
    """Label every class; one that is there is not labeled again."""
    from pyarrow import parquet, table

    parser = argparse.ArgumentParser(prog="python -m sdcorr.toybox.making.quick_labels", description="First labels.")
    parser.add_argument("--out", type=Path, default=Path("outputs/quick-labels"), help="folder of the labels")
    parser.add_argument("--drawings", type=int, default=120, help="of each class (120)")
    parser.add_argument("--first", type=int, default=0, help="number of the first drawing (0)")
    parser.add_argument("--targets", type=int, default=6, help="of each drawing (6)")
    default = ["method=unet_features", "method.draws=2"]
    parser.add_argument("words", nargs="*", default=default, help=f"whose features are compared ({' '.join(default)})")
    args = parser.parse_args(argv)
    named = next(word.partition("=")[2] for word in args.words if word.startswith("method="))
    cfg = compose("eval", f"methods=[{named}]", *args.words)
    method = build.methods(cfg, Toybox("val"))[0].method  # of the data set only the name is used
    assert isinstance(method, FeatureMethod)
    method.prepare()
    indices = range(args.first, args.first + args.drawings)
    for name in sorted(THINGS):
        file = args.out / "labels" / f"part-{name}-{args.first:05d}.parquet"
        if file.exists():
            continue
        labels, pictures = label_class(name, method, indices, args.targets)
        for path, columns in ((args.out / "pictures" / file.name, pictures), (file, labels)):
            write_whole(path, lambda to, columns=columns: parquet.write_table(table(columns), to))
        print(f"{name}: {len(labels['kept']):,} labels, {np.mean(labels['kept']):.0%} of them kept", flush=True)


if __name__ == "__main__":
    main()
