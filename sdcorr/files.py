"""Writing files so that a reader sees them whole or not at all; names for them."""

import os
import re
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sdcorr.errors import UserError

LONGEST = 40  # letters of a name that is part of another
_STALE = 3600.0  # seconds after which a temporary file is taken for one that a killed process left
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


def write_whole(path: Path, content: str | bytes | Callable[[Path], None]) -> None:
    """Write a file that a reader sees whole or not at all, even if the process is killed or the power fails.

    The file is written under another name in the same folder and then renamed. Such temporary files that killed
    processes left in the folder are removed when they are an hour old.

    Args:
        path: the file; its folder is made if there is none, an older file is replaced.
        content: text (written as UTF-8), bytes, or a function that writes to the path it is given.

    Raises:
        UserError: if the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            if callable(content):
                content(temporary)
            else:
                temporary.write_bytes(content.encode() if isinstance(content, str) else content)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"Cannot write {path} ({error.strerror or error}): make room or choose another run folder, then run the "
            "same command again; it continues where it stopped."
        ) from error
    _sync_folder(path.parent)
    _sweep(path.parent)


def readable(words: str) -> str:
    """What can be part of a file's name, of words that can be anything: at most 40 letters.

    >>> readable("my cats (1)")
    'my_cats_1'
    """
    return re.sub(r"[^\w.-]+", "_", words)[:LONGEST].strip("._-")


def _sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut, on the file systems that can promise it."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _sweep(folder: Path) -> None:
    """Remove old temporary files; another process may be doing the same."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY.fullmatch(entry.name) and entry.stat().st_mtime < time.time() - _STALE:
                Path(entry).unlink()
