"""The student for torch.hub: points of one picture found in others at once. Needs torch, numpy, pillow and safetensors.

finder = torch.hub.load(REPOSITORY, "student")  # a clone: torch.hub.load(FOLDER, "student", source="local")
a, *others = finder.read(["a.jpg", "b.jpg", "c.jpg"])
found = finder.find(a, [[120, 80], [40, 200]], others)
found.points  # (2 pictures, 2 points, 2) xy, pixels
"""

from pathlib import Path as _Path

from sdcorr.methods.finder import Finder as _Finder

dependencies = ["torch", "numpy", "PIL", "safetensors"]


def student(folder: str | None = None, device: str = "cpu") -> _Finder:
    """A trained student, ready to find points.

    Args:
        folder: of a student, as `python train.py task=student` writes it; None: the toybox's, which knows nothing but
            its drawings.
        device: where it computes.
    """
    return _Finder.load(folder or _Path(__file__).parent / "sdcorr" / "toybox" / "student", device)
