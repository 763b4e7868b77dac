"""Files that a reader sees whole or not at all."""

import os
import re
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sdcorr.errors import UserError

_STALE = 3600.0  # seconds after which nobody writes a temporary file any more
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


def write_whole(path: Path, content: str | bytes | Callable[[Path], None]) -> None:
    """Writes a file that a reader sees whole or not at all, even if the process is killed or the power fails.

    It is written under another name in the same folder and renamed. What killed processes left of such files in that
    folder is removed when it is an hour old.

    Args:
        path: the file; its folder is made if need be, an older file is replaced.
        content: text (UTF-8), bytes, or a function that writes the file whose path it is given.

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
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"Cannot write {path} ({error.strerror or error}): make room or choose another run folder, then run the "
            "same command again, which goes on where it stopped."
        ) from error
    _sync_folder(path.parent)
    _sweep(path.parent)


def _sync_folder(folder: Path) -> None:
    """So that a rename survives a power cut too, on the file systems that can promise it."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _sweep(folder: Path) -> None:
    """Remove what killed processes left; another process may be sweeping too."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY.fullmatch(entry.name) and entry.stat().st_mtime < time.time() - _STALE:
                os.unlink(entry)
