"""What was read from thousands of small files, kept in one, so that the next start takes seconds.

A cache is never needed: one that is torn or cannot be written changes nothing but the time. Whoever reads from it must
know when a file has changed since, for which there are `stamps`.
"""

import gzip
import json
import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sdcorr.digests import digest, stamp, user_cache
from sdcorr.errors import UserError
from sdcorr.files import write_whole

FORMAT = "sdcorr annotations 2"
FOLDER = ".sdcorr"


def stamps(folder: Path) -> dict[str, list[int]]:
    """The stamp of every file of a folder by its name, see `sdcorr.digests.stamp`: another content, another stamp."""
    found = {}
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # a link that leads nowhere
                found[entry.name] = list(stamp(entry.stat()))
    return found


def recall(root: Path, name: str) -> dict[str, Any]:
    """What was remembered under that name in a data set that lay at the same place; else nothing.

    Args:
        root: folder of the data set.
        name: which part of it, legal in a file name.
    """
    for path in _places(root, name):
        # a bit that has toppled fails gzip's checksum
        with suppress(OSError, EOFError, zlib.error, ValueError, KeyError, TypeError):
            found = json.loads(gzip.decompress(path.read_bytes()))
            if found["format"] == FORMAT and found["root"] == str(root.resolve()):
                return dict(found["values"])
    return {}


def remember(root: Path, name: str, values: Mapping[str, Any]) -> None:
    """Keeps plain values for `recall`: in the data set's own folder, else in the user's cache folder, else nowhere."""
    found = {"format": FORMAT, "root": str(root.resolve()), "values": dict(values)}
    content = gzip.compress(json.dumps(found, separators=(",", ":")).encode(), compresslevel=1, mtime=0)
    for path in _places(root, name):
        with suppress(UserError):
            write_whole(path, content)
            return


def _places(root: Path, name: str) -> tuple[Path, Path]:
    apart = digest(str(root.resolve()))[:8]  # two roots share the user's folder
    return root / FOLDER / f"{name}.json.gz", user_cache() / f"{name}-{apart}.json.gz"
