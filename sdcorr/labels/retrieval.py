"""Which pictures show objects of one kind, where no folder says so: each retrieves those that resemble it most.

A picture is described by the greatest and the least value of each channel of its features, wherever in the picture they
are, less what all pictures have in common: what is special in it, however small, and not what most of it is, which
would be the background. Two pictures belong together if each is among the other's nearest, so that a picture that is
like none of the others is left alone, though it too has nearest neighbors.

Chosen on the drawings of the toybox's val split; docs/labels.md says how pure the links are, and what else was tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from sdcorr.datasets import Benchmark
from sdcorr.digests import value_digest
from sdcorr.errors import UserError
from sdcorr.files import write_whole
from sdcorr.labels.points import GRID
from sdcorr.methods.maps import Features, MapMethod
from sdcorr.run.units import unreadable

DESCRIPTORS = "descriptors.safetensors"
VERSION = 1  # raised when other pictures are found to belong together

Links = Mapping[str, Sequence[str]]  # key -> those that it belongs with, the nearest first


@dataclass(frozen=True)
class Grouping:
    """How pictures find together; it is part of what makes labels.

    Raises:
        UserError: if the number is not legal.
    """

    neighbors: int  # of each picture that are looked at
    version: int = VERSION

    def __post_init__(self) -> None:
        if type(self.neighbors) is not int or self.neighbors < 1:
            raise UserError(f"neighbors={self.neighbors} is not legal: give a whole number from 1.")


def read_grouping(group_by: str, neighbors: int) -> Grouping | None:
    """The grouping of a configuration; None if the data set's own groups are used.

    Raises:
        UserError: if a value is not legal.
    """
    if group_by not in ("given", "retrieval"):
        raise UserError(f"group_by={group_by} is not legal: give given or retrieval.")
    return Grouping(neighbors) if group_by == "retrieval" else None


def links_of(
    digests: Mapping[str, str], method: MapMethod, benchmark: Benchmark, folder: Path, claim: object, grouping: Grouping
) -> Links:
    """The links between pictures; what describes them is kept in the folder, and not made again for the same pictures.

    Args:
        digests: of the pictures, by key.
        method: has features of pictures.
        benchmark: reads them.
        folder: of the labels.
        claim: of the method, plain values: what decides its features.
        grouping: how far to look.

    Raises:
        UserError: if the method has no features, the folder cannot be written, or no picture is linked with another.
    """
    keys, path = sorted(digests), folder / DESCRIPTORS
    name = value_digest([VERSION, claim, dict(digests)])
    try:
        described = load_file(path)[name]
    except (OSError, KeyError, SafetensorError):
        method.prepare()
        bad = unreadable(benchmark, keys)
        described = descriptors([None if key in bad else partial(_surface, method, benchmark, key) for key in keys])
        write_whole(path, save({name: described}))
    links = linked(keys, described, grouping.neighbors)
    if not any(links.values()):
        raise UserError(
            f"No two of these {len(keys)} pictures are among each other's {grouping.neighbors} nearest: give "
            "neighbors=MORE, or more pictures of the same things."
        )
    return links


def descriptors(surfaces: Sequence[Callable[[], Features] | None]) -> Tensor:
    """One vector a picture, (N, 2 C) of unit length.

    Args:
        surfaces: give the features of N pictures, see `MapMethod.surfaces`; None where a picture cannot be read, which
            then has NaN.

    Raises:
        UserError: if the method has no features.
    """
    rows = {number: _extremes(surface()) for number, surface in enumerate(surfaces) if surface}
    found = torch.stack(list(rows.values()))
    described = torch.full((len(surfaces), found.shape[1]), torch.nan)
    described[list(rows)] = F.normalize(found - found.mean(0), dim=1)
    return described


def linked(keys: Sequence[str], described: Tensor, neighbors: int) -> Links:
    """The pictures that belong with each: among its nearest, and it among theirs.

    Args:
        keys: of N pictures.
        described: (N, C) of unit length; NaN for a picture that belongs with none.
        neighbors: of each that are looked at.

    >>> beside = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.7, 0.7], [-1.0, 0.0]])
    >>> linked(["a", "b", "c", "alone"], beside, 1)
    {'a': [], 'b': ['c'], 'c': ['b'], 'alone': []}
    """
    cosines = (described @ described.T).nan_to_num(-torch.inf)
    cosines.fill_diagonal_(-torch.inf)
    order: list[list[int]] = cosines.argsort(dim=1, descending=True, stable=True)[:, :neighbors].tolist()
    near = [{j for j in row if cosines[i, j] > -torch.inf} for i, row in enumerate(order)]
    return {key: [keys[j] for j in order[i] if j in near[i] and i in near[j]] for i, key in enumerate(keys)}


def _surface(method: MapMethod, benchmark: Benchmark, key: str) -> Features:
    return method.surfaces(key, benchmark.image, benchmark.name)


def _extremes(features: Features) -> Tensor:
    """(2 C,) the greatest and the least value of each channel over the picture."""
    cells = features.pooled(GRID).flatten(1)
    return torch.cat([cells.amax(1), -cells.amin(1)]).float().cpu()
