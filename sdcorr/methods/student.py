"""A network trained from pseudo-labels: one pass a picture, no optimization; see docs/student.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from PIL import Image

from sdcorr.datasets import ImageReader
from sdcorr.errors import UserError
from sdcorr.methods.consensus import Consensus
from sdcorr.methods.features import FeatureMethod
from sdcorr.methods.finder import Finder
from sdcorr.methods.maps import Features
from sdcorr.methods.peaks import Localization, Peaks
from sdcorr.methods.refine import Refine
from sdcorr.methods.resources import Resources
from sdcorr.student.files import Student, load_student
from sdcorr.toybox.anatomy import STUDENT_FOLDER


class StudentMethod(FeatureMethod):
    """The place in the target whose features, as the student makes them, resemble those of the query point most.

    Args:
        resources: where the device is had from.
        student: folder of a student, as `sdcorr train task=student` writes it; `toybox`: the one that ships.
        localization, window, temperature: see `Peaks`; cells of the student's grid.
        consensus: none, dense, dense_flip or joint; see `sdcorr.methods.consensus`.
        refine: none or pixels; see `sdcorr.methods.refine`.

    Raises:
        UserError: if a setting is not legal.
    """

    def __init__(
        self,
        resources: Resources,
        student: str,
        localization: Localization = "window_soft_argmax",
        window: int = 2,
        temperature: float = 0.05,
        consensus: Consensus = "none",
        refine: Refine = "none",
    ) -> None:
        if not student or not isinstance(student, str):
            raise UserError("student needs method.student=FOLDER, as `sdcorr train task=student` writes one.")
        super().__init__("student", Peaks(localization, window, temperature), consensus, refine)
        self.device = resources.device
        self.folder = STUDENT_FOLDER if student == "toybox" else student

    @cached_property
    def student(self) -> Student:
        """The network."""
        return load_student(self.folder)

    @cached_property
    def finder(self) -> Finder:
        """The same, ready to read pictures."""
        return Finder(self.student, self.device, self.peaks)

    @classmethod
    def claimed(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """All with an effect; the folder has none, for the identity says what lies in it."""
        return {name: value for name, value in super().claimed(settings).items() if name != "student"}

    def prepare(self) -> None:
        """Loads the student.

        Raises:
            UserError: if there is none in the folder.
        """
        _ = self.finder

    def model_identity(self) -> Mapping[str, Any]:
        """What the network is."""
        return self.student.identity

    def read(self, key: str, image: ImageReader, category: str) -> Features:
        """The features of a picture."""
        return self.finder.read_rgb([image(key)])[0]

    def read_pictures(self, pictures: Sequence[Image.Image]) -> list[Features]:
        """The features of several pictures at once."""
        return self.finder.read_rgb(pictures)
