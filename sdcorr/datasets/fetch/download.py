"""Downloading one file, which goes on where it stopped however often it is interrupted."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import gdown
import requests
from gdown.exceptions import DownloadError, FileURLRetrievalError
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from sdcorr.datasets.fetch.sources import Address
from sdcorr.errors import UserError

TIMEOUT = (15, 60)  # seconds: for a connection, and between two pieces of the file
RETRIES = 3  # of one connection, with growing pauses; they start anew whenever something has arrived


def place(address: Address, folder: Path) -> Path:
    """Where `download` puts a file: every URL has a folder of its own, so that no two downloads mix."""
    return folder / hashlib.sha256(address.url.encode()).hexdigest()[:8] / address.file


def download(address: Address, folder: Path) -> Path:
    """Downloads a file to its place below `folder`, with a bar and the time left.

    A file that is there already is not downloaded again; one that is there in part is continued, unless the server
    cannot continue it or has another one now.

    Returns:
        where the file is.

    Raises:
        UserError: if it cannot be had now; what has arrived is kept.
        OSError: if it cannot be written.
    """
    path = place(address, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    print(f"{path} has been downloaded" if path.exists() else f"downloading {address.url}  {address.note}".rstrip())
    begun_anew = False
    with bar(address.file, address.size) as progress:
        while not path.exists():
            before = _arrived(path)
            try:
                gdown.download(
                    *(address.url, str(path)),
                    quiet=True,
                    use_cookies=False,
                    resume=True,
                    progress=progress,
                    timeout=TIMEOUT,
                    retries=RETRIES,
                )
            except (DownloadError, requests.RequestException) as error:
                if _arrived(path) > before:
                    continue
                if before and not begun_anew and _is_refusal(error):
                    begun_anew = True
                    _parts(path)[-1].unlink()
                    continue
                raise UserError(f"{address.url} cannot be downloaded ({_reason(error)})") from error
    return path


@contextmanager
def bar(task: str, total: int | None) -> Iterator:
    """A progress bar on stderr; yields a function of the bytes so far and, if it is known by now, of those in all."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        shown = progress.add_task(task, total=total)
        yield lambda done, of=None: progress.update(shown, completed=done, total=of or total)


def _parts(path: Path) -> list[Path]:
    """What gdown has left of interrupted downloads of a file, the largest last; only that one is kept."""
    parts = sorted(path.parent.glob(f"{glob.escape(path.name)}????????.part"), key=lambda part: part.stat().st_size)
    for part in parts[:-1]:
        part.unlink()
    return parts[-1:]


def _arrived(path: Path) -> int:
    return sum(part.stat().st_size for part in _parts(path))


def _is_refusal(error: Exception) -> bool:
    """Whether the server answered, but not with the rest of the file that has arrived in part."""
    network = isinstance(error, requests.RequestException) or isinstance(error.__cause__, requests.RequestException)
    return not network and not isinstance(error, FileURLRetrievalError)


def _reason(error: BaseException) -> str:
    """A few words for an exception of gdown's or of requests'."""
    if isinstance(error, FileURLRetrievalError):
        return "Google Drive does not hand it out to programs now: too many downloads, or it has been withdrawn"
    if isinstance(error, DownloadError) and isinstance(error.__cause__, Exception):
        return _reason(error.__cause__)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"{error.response.status_code} {error.response.reason}".strip()
    url = getattr(getattr(error, "request", None), "url", None)
    host = (url and urlsplit(url).hostname) or "the server"
    if isinstance(error, requests.Timeout):
        return f"{host} did not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return f"the certificate of {host} is not accepted"
    if isinstance(error, (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        return f"no connection to {host}, or it broke"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
