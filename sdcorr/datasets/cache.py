"""What was read from thousands of small files, kept in one, so that the next start takes seconds.

A cache is never needed: one that is stale, torn, or cannot be written changes nothing but the time.
"""

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sdcorr.errors import UserError
from sdcorr.files import write_whole

FORMAT = "sdcorr annotations 1"
FOLDER = ".sdcorr"


def recall(root: Path, name: str, key: Mapping[str, Any]) -> dict[str, Any]:
    """What was remembered under that name, if it was under the same key; else nothing.

    Args:
        root: folder of the data set.
        name: which part of it, legal in a file name.
        key: plain values that change when what was read may have changed.
    """
    for path in _places(root, name):
        # a bit that has toppled fails gzip's checksum
        with suppress(OSError, EOFError, zlib.error, ValueError, KeyError, TypeError):
            found = json.loads(gzip.decompress(path.read_bytes()))
            if found["format"] == FORMAT and found["key"] == _plain(root, key):
                return dict(found["values"])
    return {}


def remember(root: Path, name: str, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Keeps plain values for `recall`: in the data set's own folder, else in the user's cache folder, else nowhere."""
    found = {"format": FORMAT, "key": _plain(root, key), "values": dict(values)}
    content = gzip.compress(json.dumps(found, separators=(",", ":")).encode(), compresslevel=1, mtime=0)
    for path in _places(root, name):
        with suppress(UserError):
            write_whole(path, content)
            return


def fingerprint(content: str) -> str:
    """64 hexadecimal digits that name a text."""
    return hashlib.sha256(content.encode()).hexdigest()


def _places(root: Path, name: str) -> tuple[Path, Path]:
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    apart = fingerprint(str(root.resolve()))[:8]  # two roots share the user's folder
    return root / FOLDER / f"{name}.json.gz", home / "sdcorr" / f"{name}-{apart}.json.gz"


def _plain(root: Path, key: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps({"root": str(root.resolve())} | dict(key)))
