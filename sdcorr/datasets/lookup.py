r"""Pictures in a folder by the names that people write for them.

A name that is typed on one machine and a file that comes from another may differ in ways that nobody sees: `ü` is one
letter or two (Unicode's NFC and NFD, the latter in archives from macOS), folders are separated by `\` on Windows, and
a path can start at the folder or at the root of the disk. All of these find the picture, and are one picture.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path, PurePath

from sdcorr.datasets.reading import Once
from sdcorr.errors import UserError
from sdcorr.images import upright_size


class Pictures:
    """The pictures of a folder that somebody names.

    Attributes:
        folder: where they are.
        sizes: (W, H) of every picture that was looked at, as one sees it, by its key.
        damaged: why another one has no size.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sizes: dict[str, tuple[int, int]] = {}
        self.damaged: dict[str, UserError] = {}
        self._keys = Once(self._find)
        self._listed = Once(_listing)

    def key(self, written: str) -> str:
        """The key of the picture that is meant, its path from the folder, whether it is there or not."""
        return self._keys[written]

    def path(self, key: str) -> Path:
        """The file of a key."""
        return self.folder / key

    def look(self, key: str) -> str:
        """Notes the size of a picture, or what is wrong with it.

        Returns:
            what is wrong with its name, to be mended in the table; empty if it is there, damaged or not.
        """
        if key in self.sizes or key in self.damaged:
            return ""
        if not os.path.isfile(self.path(key)):
            if not _can_be_asked_for(key):
                return (
                    f"{key} cannot be looked for, since this system's encoding is {sys.getfilesystemencoding()} (set "
                    "PYTHONUTF8=1)"
                )
            like = self._like(key)
            return f"there is no picture {key} in the folder" + (f", but {like}" if like else "")
        try:
            self.sizes[key] = upright_size(self.path(key))
        except UserError as error:
            self.damaged[key] = error
        return ""

    def size(self, key: str) -> tuple[int, int]:
        """(W, H) of a picture that was looked at. Raises UserError if it is damaged."""
        if key in self.damaged:
            raise self.damaged[key]
        return self.sizes[key]

    def _find(self, written: str) -> str:
        names = dict.fromkeys((written, written.replace("\\", "/")))
        for name in names:
            if os.path.isfile(self.folder / name):
                return self._canonical(name)
        for name in names:
            if found := self._spelled_otherwise(name):
                return self._canonical(found)
        return self._canonical(list(names)[-1])

    def _canonical(self, name: str) -> str:
        """A path from the folder, however it is written: from there or absolute, with `.` and `..`, through links."""
        if os.path.isabs(name):
            real = os.path.join(os.path.realpath(os.path.dirname(name)), os.path.basename(name))
            inside = _relative(real, os.path.realpath(self.folder))
            name = inside if not inside.startswith("..") else name
        return PurePath(_relative(os.path.join(self.folder, name), self.folder)).as_posix()

    def _spelled_otherwise(self, name: str) -> str:
        """The same path as the disk spells it; empty if there is none."""
        place = Path(PurePath(name).anchor) if os.path.isabs(name) else self.folder
        parts = PurePath(name).relative_to(place).parts if os.path.isabs(name) else PurePath(name).parts
        for part in parts:
            spelled = part if part == ".." else self._listed[place].get(unicodedata.normalize("NFC", part))
            if spelled is None:
                return ""
            place /= spelled
        return str(place) if os.path.isabs(name) else str(place.relative_to(self.folder))

    def _like(self, key: str) -> str:
        """A file beside it that differs in its capitals alone."""
        place = self.path(key)
        names = set(self._listed[place.parent].values()) - {place.name}  # a folder, or a link to nothing
        return next((name for name in sorted(names) if name.casefold() == place.name.casefold()), "")


def _can_be_asked_for(name: str) -> bool:
    """Whether the system's encoding has all letters of a name."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def _listing(folder: Path) -> dict[str, str]:
    """The names in a folder by their spelling in NFC; none if it is no folder."""
    try:
        return {unicodedata.normalize("NFC", name): name for name in sorted(os.listdir(folder))}
    except OSError:
        return {}


def _relative(path: str, start: str | Path) -> str:
    try:
        return os.path.relpath(path, start)
    except ValueError:  # another drive of Windows
        return path
