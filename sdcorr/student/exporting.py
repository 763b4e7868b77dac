"""A student out of Python: one graph from pictures and points to matches, as ONNX or as a program of torch.export.

    in   source   (1, 3, S, S) float32, RGB in [0, 1]: the picture with the points, squashed to the student's square
         targets  (N, 3, S, S) float32, likewise: the pictures to look in
         points   (P, 2) float32, xy of the source as shares of its width and height; (0, 0) is its top-left corner
    out  places   (N, P, 2) float32, xy of each target, likewise
         cosines  (N, P) float32, of the features there with those at the point

N and P are free. What it computes is `sdcorr.methods.finder.Finder` with its default peaks.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdcorr.errors import UserError
from sdcorr.files import write_whole
from sdcorr.student.files import Student
from sdcorr.student.losses import both_ways, grid_centers

INPUTS, OUTPUTS = ("source", "targets", "points"), ("places", "cosines")
KINDS = (".onnx", ".pt2")


class Matching(nn.Module):
    """The graph that is exported.

    Args:
        student: the network.
        window: cells from the greatest to the edge of those that say where exactly.
    """

    def __init__(self, student: Student, window: int = 2) -> None:
        super().__init__()
        self.network, self.temperature, self.window = student.network, student.temperature, window

    def forward(self, source: Tensor, targets: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """See the module's docstring."""
        features = both_ways(self.network, source)  # (1, C, h, w)
        queries = F.grid_sample(
            features, points[None, :, None] * 2 - 1, mode="bilinear", padding_mode="border", align_corners=False
        )  # (1, C, P, 1)
        queries = F.normalize(queries[0, :, :, 0].T, dim=1)  # (P, C)
        found = both_ways(self.network, targets)  # (N, C, h, w)
        height, width = found.shape[-2:]
        maps = torch.matmul(queries[None], found.flatten(2))  # (N, P, h * w)
        cosines, best = maps.max(-1)
        centers = grid_centers(height, width).to(maps)  # (h * w, 2)
        away = (centers - centers[best][:, :, None]).abs() * torch.tensor([float(width), float(height)])  # cells
        near = (away <= self.window + 0.5).all(-1)  # (N, P, h * w)
        weights = (maps / self.temperature).masked_fill(~near, -1e4).softmax(-1)
        return torch.matmul(weights, centers), cosines


def check_kind(path: Path) -> None:
    """Raises UserError if a file's name does not say what kind of graph it is to be."""
    if path.suffix not in KINDS:
        raise UserError(f"{path} says no kind: give a name that ends with {' or '.join(KINDS)}.")


def export_student(student: Student, path: Path) -> None:
    """Write the graph.

    Args:
        student: the network.
        path: `.onnx` or `.pt2`, which says the kind; an older file is replaced.

    Raises:
        UserError: if the suffix is another, a package is not installed, or the file cannot be written.
    """
    check_kind(path)
    side = student.side
    example = (torch.rand(1, 3, side, side), torch.rand(2, 3, side, side), torch.rand(3, 2))
    many, points = torch.export.Dim("N", min=1), torch.export.Dim("P", min=1)
    shapes = ({}, {0: many}, {0: points})
    with torch.no_grad():
        program = torch.export.export(Matching(student).eval(), example, dynamic_shapes=shapes)
    if path.suffix == ".pt2":
        write_whole(path, lambda file: _save(program, file))
        return
    try:
        made = torch.onnx.export(program, input_names=list(INPUTS), output_names=list(OUTPUTS), verbose=False)
    except ImportError:
        raise UserError("An .onnx file needs more packages: pip install 'sdcorr[onnx]'.") from None
    assert made is not None  # it is None where torch.onnx.export writes the file itself
    write_whole(path, made.model_proto.SerializeToString())


def _save(program: torch.export.ExportedProgram, path: Path) -> None:
    with path.open("wb") as file:
        torch.export.save(program, file)
