"""Short names for content: of a text, of a value, of a file's bytes."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sdcorr.errors import UserError
from sdcorr.files import write_whole

FORMAT = "sdcorr digests 1"
DIGITS = 16  # hexadecimal ones of a digest: 64 bits
SETTLED = 2_000_000_000  # nanoseconds after which a file system's clock tells a second change from a first

Stamp = tuple[int, int, int]


def digest(content: str | bytes) -> str:
    """16 hexadecimal digits that name a text, or bytes.

    >>> digest("a")
    'ca978112ca1bbdca'
    """
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:DIGITS]


def value_digest(value: Any) -> str:
    """16 hexadecimal digits that name plain nested values, whatever the order of their keys."""
    return digest(json.dumps(value, sort_keys=True, separators=(",", ":")))


def combined(digests: Iterable[str]) -> str:
    """One digest for several, in their order; a single one stands for itself."""
    several = list(digests)
    return several[0] if len(several) == 1 else digest("\n".join(several))


def stamp(status: os.stat_result) -> Stamp:
    """What a file cannot change without: its size and the times of its content and of its entry, in nanoseconds.

    The entry's time cannot be set back, so a copy that keeps the content's time is noticed as well.
    """
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


class FileDigests:
    """Digests of files' bytes; a file is read again only if its size or one of its times has changed.

    A file that was written in the last two seconds is read at every call, since its next change may get the same time.

    Args:
        cache: a JSON file that keeps the digests for later processes; None if they are for this one alone. It is never
            needed: one that is damaged or cannot be written costs time only.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = cache
        self._known: dict[str, tuple[Stamp, str]] = {}

    def of(self, path: str | Path) -> str:
        """The digest of a file, 16 hexadecimal digits.

        Raises:
            OSError: if it cannot be read.
        """
        name, started = os.path.realpath(path), time.time_ns()
        status = Path(name).stat()
        found = stamp(status)
        if name not in self._known and self._cache is not None:
            self._known = self._recalled() | self._known
        if name in self._known and self._known[name][0] == found:
            return self._known[name][1]
        with Path(name).open("rb") as file:
            made = hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
        if started - max(status.st_mtime_ns, status.st_ctime_ns) > SETTLED:
            self._known[name] = (found, made)
            self._remember()
        return made

    def _recalled(self) -> dict[str, tuple[Stamp, str]]:
        """What the cache file holds."""
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            plain = json.loads(self._cache.read_bytes()) if self._cache else {}
            if plain["format"] == FORMAT and plain["check"] == value_digest(plain["files"]):
                return {
                    name: ((int(size), int(changed), int(entered)), str(made))
                    for name, (size, changed, entered, made) in plain["files"].items()
                }
        return {}

    def _remember(self) -> None:
        """Adds to the cache file what is known here, without the files that are gone."""
        if self._cache is None:
            return
        known = {name: known for name, known in (self._recalled() | self._known).items() if Path(name).exists()}
        files = {name: [*found, made] for name, (found, made) in known.items()}
        with suppress(UserError):
            plain = {"format": FORMAT, "check": value_digest(files), "files": files}
            write_whole(self._cache, json.dumps(plain, indent=1) + "\n")


def user_cache() -> Path:
    """The folder of what may be deleted at any time: `$XDG_CACHE_HOME/sdcorr`, or `~/.cache/sdcorr`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sdcorr"
