"""What `sdcorr index` and `sdcorr search` share: the method that reads the pictures of an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdcorr.cli import build
from sdcorr.cli.compose import compose
from sdcorr.cli.paths import folder
from sdcorr.errors import UserError
from sdcorr.methods.features import FeatureMethod
from sdcorr.methods.student import StudentMethod
from sdcorr.retrieval.folder import IndexFolder
from sdcorr.retrieval.work import CELLS
from sdcorr.run.claims import differences, to_plain, told
from sdcorr.toybox.anatomy import STUDENT_FOLDER


@dataclass(frozen=True)
class Reading:
    """How the pictures of an index are read."""

    method: FeatureMethod
    settings: dict[str, Any]  # what an index says of it

    @property
    def knows_only_drawings(self) -> bool:
        """Whether it is the toybox's student, for which photographs are noise."""
        return isinstance(self.method, StudentMethod) and self.method.folder == STUDENT_FOLDER


def reading(folder: IndexFolder, words: Sequence[str], cells: int | None = None) -> Reading:
    """The method that reads an index's pictures, loaded.

    Args:
        folder: of the index.
        words: settings as of an evaluation, such as `method=dinov2`; none: those that the index was made with.
        cells: a side, on which pictures are kept; None: as the index has it.

    Raises:
        UserError: if a setting is not legal, the method has no features, or the index was made by another.
    """
    stored = folder.settings
    words = list(words) or list(stored["words"] if stored else [])
    side: int = cells if cells is not None else (stored["cells"] if stored else CELLS)
    if side % 2 or not 2 <= side <= 64:
        raise UserError(f"--cells {side} is not legal: give an even number from 2 to 64.")
    named = [word.removeprefix("method=") for word in words if word.startswith("method=")]
    name = named[-1] if named else "student"
    cfg = compose("eval", "embeddings=null", f"methods=[{name}]", f"method={name}", *words)
    entry = build.only_method(cfg, "pictures")
    if not isinstance(entry.method, FeatureMethod):
        raise UserError(f"Pictures are indexed by features, and {entry.name} has none: give method=student or dinov2.")
    entry.method.prepare()
    settings = {"cells": side, "words": words, "reads": to_plain(entry.claim())}
    if stored and list(differences(_decides(stored), _decides(settings))):
        differ = told(_decides(stored), _decides(settings))
        raise UserError(
            f"The index in {folder.folder} was made with something else ({differ}): "
            "choose another folder with --index FOLDER, delete this one, or go back to what made it."
        )
    return Reading(entry.method, stored or settings)


def index_folder(pictures: Path, index: str | None) -> IndexFolder:
    """The index that `--index` names, or the one of that folder of pictures.

    Raises:
        UserError: if there is no such folder of pictures.
    """
    if not pictures.is_dir():
        raise UserError(f"There is no folder {pictures}: give the folder with your pictures.")
    return IndexFolder(folder(index) if index else pictures / ".sdcorr" / "search")


def _decides(settings: dict[str, Any]) -> dict[str, Any]:
    """What decides the features of an index."""
    return {name: value for name, value in settings.items() if name != "words"}
