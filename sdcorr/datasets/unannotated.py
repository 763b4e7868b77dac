"""A folder of pictures that nobody has annotated: what corresponds is to be found out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from sdcorr.datasets.base import Pair
from sdcorr.datasets.pictures import PictureFiles
from sdcorr.errors import UserError
from sdcorr.files import readable
from sdcorr.images import as_seen, read_image

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


class Unannotated(PictureFiles):
    """The pictures in a folder, those of one subfolder a group; an image's key is its path from the folder.

    Args:
        root: the folder.

    Raises:
        UserError: if there is no such folder, or no picture in it.
    """

    name = "pictures"
    split = "all"
    title = "the folder"

    def __init__(self, root: str | Path) -> None:
        self.folder = Path(root)
        if not self.folder.is_dir():
            raise UserError(f"There is no folder {root}: give the folder with your pictures as dataset.root=FOLDER.")
        self._groups = self._found()
        if not self._groups:
            raise UserError(f"There is no picture ({', '.join(sorted(SUFFIXES))}) in {root}, nor in folders in there.")

    @property
    def pairs(self) -> tuple[Pair, ...]:  # pyright: ignore[reportIncompatibleVariableOverride] - it is read as one
        """None: raises UserError."""
        raise UserError("dataset=pictures has pictures and no pairs: it is there for `sdcorr label`.")

    @property
    def called(self) -> str:
        """By the folder's name."""
        return f"{self.name}-{readable(self.folder.resolve().name) or self.split}"

    @property
    def groups(self) -> Mapping[str, Sequence[str]]:
        """The keys of the pictures by the subfolder that they are in; those in the folder itself go by its name."""
        return self._groups

    def _found(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in sorted(self.folder.rglob("*")):
            inside = path.relative_to(self.folder)
            hidden = any(part.startswith(".") for part in inside.parts)
            if path.suffix.lower() in SUFFIXES and path.is_file() and not hidden:
                of = inside.parent.as_posix() if len(inside.parts) > 1 else self.folder.resolve().name
                found.setdefault(of, []).append(inside.as_posix())
        return found

    def path(self, key: str) -> Path:
        """The file of that picture."""
        return self.folder / key

    def image(self, key: str) -> Image.Image:
        """The picture as one sees it, RGB.

        Raises:
            UserError: if the file is missing or cannot be read.
        """
        return read_image(self.path(key), as_seen)
