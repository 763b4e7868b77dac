"""A student put to use: features once a picture, then any number of points in any number of pictures at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image

from sdcorr.images import GivenPicture, check_points, read_picture, to_tensor
from sdcorr.methods.layout import lay_out
from sdcorr.methods.maps import Features
from sdcorr.methods.peaks import Peaks
from sdcorr.student.files import Student, load_student
from sdcorr.student.losses import at_points, both_ways

Points: TypeAlias = np.ndarray | Sequence[Sequence[float]]

AT_ONCE = 64  # pictures that the network reads at a time


@dataclass(frozen=True, eq=False)
class Found:
    """Where points of one picture are in others."""

    points: np.ndarray  # (N, P, 2) xy, pixels of each target as one sees it
    confidence: np.ndarray  # (N, P) cosine, 0 if negative


class Finder:
    """Finds points with a trained student.

    ::

        finder = Finder.load("outputs/student")
        a, *others = finder.read(["a.jpg", "b.jpg", "c.jpg"])
        found = finder.find(a, [[120, 80], [40, 200]], others)

    Args:
        student: the network.
        device: where it computes.
        peaks: how a point is read from a map; by default the mean of the cells round the greatest, weighted by the
            softmax at the temperature that the student has learned.
    """

    def __init__(self, student: Student, device: torch.device | str = "cpu", peaks: Peaks | None = None) -> None:
        self.student, self.device = student, torch.device(device)
        self.network = student.network.to(self.device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - torch declares other forms
        self.peaks = peaks or Peaks("window_soft_argmax", 2, student.temperature)

    @classmethod
    def load(cls, folder: str | Path, device: torch.device | str = "cpu") -> Finder:
        """The finder of a student's folder.

        Raises:
            UserError: if there is no student, or its files are damaged.
        """
        return cls(load_student(folder), device)

    def read(self, pictures: Sequence[GivenPicture]) -> list[Features]:
        """The features of pictures, all that is needed of them from then on.

        Args:
            pictures: paths, PIL images or arrays, as `sdcorr.match` takes them.

        Raises:
            UserError: if one cannot be read.
        """
        return self.read_rgb([read_picture(each) for each in pictures])

    @torch.no_grad()  # not inference_mode, in which the cost of convolutions is not counted (`sdcorr.run.meter`)
    def read_rgb(self, pictures: Sequence[Image.Image]) -> list[Features]:
        """The same for pictures that are RGB already."""
        found: list[Features] = []
        for start in range(0, len(pictures), AT_ONCE):
            laid = [lay_out(each, self.student.side, "squash") for each in pictures[start : start + AT_ONCE]]
            pixels = torch.stack([to_tensor(canvas) for canvas, _ in laid]).to(self.device)
            values = both_ways(self.network, pixels.contiguous(memory_format=torch.channels_last))
            found += [Features(each, layout) for each, (_, layout) in zip(values, laid, strict=True)]
        return found

    @torch.no_grad()  # not inference_mode, in which the cost of convolutions is not counted (`sdcorr.run.meter`)
    def find(self, source: Features, points: Points, targets: Sequence[Features]) -> Found:
        """Where points of the source are in every target, by one matrix product a target.

        Args:
            source: features of the picture with the points.
            points: (P, 2) xy, pixels of the source.
            targets: features of N pictures.

        Raises:
            UserError: if a point is outside the source.
        """
        places = np.asarray(points, dtype=float).reshape(-1, 2)
        check_points(places, source.layout.size)
        cells = source.layout.to_grid(places, source.values.shape) / source.values.shape[:0:-1]  # shares of the canvas
        queries = at_points(source.values[None, None], torch.from_numpy(cells).to(source.values)[None, :, None])[0, 0]
        # target by target, for to stack the features of 1,000 pictures takes longer than all products
        maps = torch.stack([(queries @ each.values.flatten(1)).unflatten(1, each.values.shape[1:]) for each in targets])
        found, cosines = self.peaks.find(maps.flatten(0, 1))
        found = found.reshape(len(targets), -1, 2)
        on_targets = [each.layout.from_grid(row, maps.shape) for each, row in zip(targets, found, strict=True)]
        return Found(np.stack(on_targets), cosines.reshape(found.shape[:2]).clip(0, 1))
