"""Bringing an index up to date with its folder of pictures: nothing is read twice, and nothing old is found."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout
from PIL import Image
from rich.console import Console

from sdcorr.datasets.unannotated import Unannotated
from sdcorr.digests import DIGITS, Stamp, stamp
from sdcorr.errors import UserError
from sdcorr.images import as_seen, read_image
from sdcorr.retrieval.cells import Cells, to_cells
from sdcorr.retrieval.folder import IndexFolder
from sdcorr.retrieval.index import Reader
from sdcorr.retrieval.neighbors import Neighbors
from sdcorr.run.progress import progress

AT_ONCE = 64  # pictures that are read at a time
MOST_SECONDS = 30.0  # of work that a killed process loses, and the pictures that it was at
CELLS = 32  # a side, on which pictures are kept unless it is said
DECODERS = 4  # threads that read files


@dataclass(frozen=True)
class Changes:
    """How a folder of pictures differs from its index; names of pictures."""

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)  # other bytes than those that were read
    gone: list[str] = field(default_factory=list)

    @property
    def stale(self) -> list[str]:
        """Pictures that the index has and should not have."""
        return [*self.changed, *self.gone]

    def __bool__(self) -> bool:
        return bool(self.new or self.stale)

    def __str__(self) -> str:
        told = [f"{len(names):,} {kind}" for kind, names in vars(self).items() if names]
        return ", ".join(told) or "nothing has changed"


def look(folder: IndexFolder, pictures: Path) -> Changes:
    """Compare an index with its pictures.

    Only a file whose size or dates have changed is read, and if its bytes are the same its new dates are kept.

    Args:
        folder: of the index.
        pictures: the folder of the pictures.

    Raises:
        UserError: if there is no such folder, or no picture in it.
    """
    found = Changes()
    names = [name for group in Unannotated(pictures).groups.values() for name in group]
    touched: dict[str, Stamp] = {}
    for name in names:
        known = folder.pictures.get(name)
        if known is None:
            found.new.append(name)
            continue
        try:
            seen = stamp((pictures / name).stat())
            if seen == folder.stamps[name]:
                continue
            if _digest(pictures / name) == known.digest:
                touched[name] = seen
            else:
                found.changed.append(name)
        except OSError:  # taken away at this moment
            found.gone.append(name)
    found.gone.extend(sorted(folder.pictures.keys() - set(names)))
    folder.restamp(touched)
    return found


def bring_up_to_date(
    folder: IndexFolder, pictures: Path, read: Reader, side: int = CELLS, console: Console | None = None
) -> tuple[Changes, list[str]]:
    """Read what is new or has changed, forget what is gone, and group the cells for the search.

    Args:
        folder: of the index.
        pictures: the folder of the pictures.
        read: gives the features of pictures.
        side: cells a side that a picture is kept on, even.
        console: where it is said how far this is; None to be silent.

    Returns:
        What has changed since the last time, and the pictures that cannot be read.

    Raises:
        UserError: if there is no picture, another process is at work on the index, or it cannot be written.
    """
    neighbors = Neighbors(folder)  # says what is missing before hours of work begin
    folder.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder.folder / "lock", timeout=0):
            changes = look(folder, pictures)
            unread = _read_all(folder, pictures, [*changes.new, *changes.changed], read, side, console)
            gone = {*changes.gone, *unread}
            alive = {name: each for name, each in folder.pictures.items() if name not in gone}
            if not alive:
                raise UserError(f"No picture in {pictures} can be read: nothing to index.")
            if not neighbors.holds(alive.values()):
                with progress(console, "grouping", [1.0] * len(alive), "pictures") as advance:
                    neighbors.update(alive, advance)
            folder.drop_dead_parts(alive.values())
    except Timeout:
        raise UserError(f"Another process is at work on {folder.folder}: wait until it has ended.") from None
    return changes, unread


def _read_all(
    folder: IndexFolder, pictures: Path, names: Sequence[str], read: Reader, side: int, console: Console | None
) -> list[str]:
    """Read pictures into the index; returns those that cannot be."""
    unread: list[str] = []
    waiting: list[tuple[str, tuple[int, int], Stamp, str, Cells]] = []
    since = time.monotonic()
    with progress(console, "reading", [1.0] * len(names), "pictures") as advance:
        for batch in _batches(pictures, names):
            unread += [name for name, _, _, image in batch if image is None]
            whole = [(name, seen, made, image) for name, seen, made, image in batch if image is not None]
            features = read([image for *_, image in whole])
            for (name, seen, made, image), each in zip(whole, features, strict=True):
                waiting.append((name, image.size, seen, made, to_cells(each, side)))
            if len(waiting) >= AT_ONCE or time.monotonic() - since > MOST_SECONDS:
                folder.add(waiting)
                waiting, since = [], time.monotonic()
            for _ in batch:
                advance(1.0, "")
    if waiting:
        folder.add(waiting)
    return unread


def _batches(pictures: Path, names: Sequence[str]) -> Iterator[list[tuple[str, Stamp, str, Image.Image | None]]]:
    """Pictures with the stamps and digests of their files, some at a time; None for one that cannot be read."""
    with ThreadPoolExecutor(DECODERS) as decoders:
        for start in range(0, len(names), AT_ONCE):
            yield list(decoders.map(partial(_decoded, pictures), names[start : start + AT_ONCE]))


def _decoded(pictures: Path, name: str) -> tuple[str, Stamp, str, Image.Image | None]:
    path = pictures / name
    try:
        seen = stamp(path.stat())  # before its bytes, so that a change in between is noticed the next time
        return name, seen, _digest(path), read_image(path, as_seen)
    except (OSError, UserError):
        return name, (0, 0, 0), "", None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
