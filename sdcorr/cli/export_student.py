"""`sdcorr export-student`: a trained student as one file that needs nothing of sdcorr."""

from __future__ import annotations

from collections.abc import Sequence

from sdcorr.cli.command import Arguments
from sdcorr.cli.paths import folder

_ABOUT = """\
Writes a student as one graph, from two pictures and points to matches: .onnx for ONNX Runtime and its like (which needs
pip install 'sdcorr[onnx]' here), .pt2 for torch.export.load. Inputs are source (1, 3, S, S) and targets (N, 3, S, S),
RGB from 0 to 1, squashed to the student's square, and points (P, 2), xy as shares of the source's width and height;
outputs are places (N, P, 2), likewise in the targets, and cosines (N, P).
"""


def main(argv: Sequence[str]) -> None:
    """The command: prints the square that pictures are squashed to, and as its last line the file.

    Args:
        argv: its arguments.

    Raises:
        UserError: if there is no student, the suffix is another, or the file cannot be written.
    """
    parser = Arguments(prog="sdcorr export-student", description=_ABOUT)
    parser.add_argument("student", metavar="STUDENT", help="folder of a student; toybox: the one that ships")
    parser.add_argument("--to", required=True, metavar="FILE", help="a .onnx or .pt2 file; an older one is replaced")
    chosen = parser.parse_args(argv)
    from sdcorr.student.exporting import check_kind, export_student  # not at the top: they import torch
    from sdcorr.student.files import load_student
    from sdcorr.toybox.anatomy import STUDENT_FOLDER

    path = folder(chosen.to)
    check_kind(path)
    student = load_student(STUDENT_FOLDER if chosen.student == "toybox" else folder(chosen.student))
    export_student(student, path)
    print(f"pictures of {student.side} x {student.side} pixels")
    print(path)
